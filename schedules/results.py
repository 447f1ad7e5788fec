"""When results are stored that could not be."""

from schedules.entries import Entry

#: Seconds between two looks: a caller may be waiting.
STORE_SECONDS = 5.0

ENTRIES = (
    Entry(
        name="store-results",
        task="maintenance.store_results",
        every=STORE_SECONDS,
        missed="level",
        why="a result that was not stored when its task ended would never reach its caller",
    ),
)
