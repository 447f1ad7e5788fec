"""When remembered reads that are asked for often are built anew."""

from schedules.entries import Entry

#: Seconds between two looks: shorter than the shortest age after which an answer is called stale.
REFRESH_SECONDS = 10.0

ENTRIES = (
    Entry(
        name="refresh-hot",
        task="aggregations.refresh_hot",
        every=REFRESH_SECONDS,
        missed="level",
        why="what many ask for would go stale between two of them, and one of them would wait for it",
    ),
)
