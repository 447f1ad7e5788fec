"""When open payments are looked at."""

from schedules.entries import Entry

ENTRIES = (
    Entry(
        name="sweep-operations",
        task="maintenance.sweep_operations",
        every="sweep_seconds",
        missed="level",
        why="an accepted operation whose message was lost would never be sent, an unanswered one never settled",
    ),
)
