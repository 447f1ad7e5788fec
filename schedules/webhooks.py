"""When recorded deliveries are looked at."""

from schedules.entries import Entry

ENTRIES = (
    Entry(
        name="sweep-inbox",
        task="maintenance.sweep_inbox",
        every="sweep_seconds",
        missed="level",
        why="a recorded delivery whose message or worker was lost would never be applied",
    ),
)
