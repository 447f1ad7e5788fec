"""When remembered reads that are asked for often are built anew."""

from schedules.entries import Entry

#: Seconds between two looks. An answer is built anew between its soft and its hard age, and two looks more fit between
#: the two for every aggregation, so that a look that comes late lets none expire.
REFRESH_SECONDS = 2.0

ENTRIES = (
    Entry(
        name="refresh-hot",
        task="aggregations.refresh_hot",
        every=REFRESH_SECONDS,
        missed="level",
        why="what many ask for would expire between two of them, and one of them would wait for it",
    ),
)
