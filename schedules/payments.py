"""When open payments are looked at."""

from schedules.entries import Entry

#: Seconds between two looks for rows that sleep for too long.
WAKE_SECONDS = 60.0

ENTRIES = (
    Entry(
        name="sweep-operations",
        task="maintenance.sweep_operations",
        every="sweep_seconds",
        missed="level",
        why="an accepted operation whose message was lost would never be sent, an unanswered one never settled",
    ),
    Entry(
        name="wake-sleepers",
        task="maintenance.wake_sleepers",
        every=WAKE_SECONDS,
        missed="level",
        why="a row that was put to sleep by a clock that was ahead would sleep for that much longer, in silence",
    ),
    Entry(
        name="sweep-documents",
        task="maintenance.sweep_documents",
        every="sweep_seconds",
        missed="level",
        why="what the CMS writes into our fields, or a contract's payments, would go unnoticed with a lost message",
    ),
)
