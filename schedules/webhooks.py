"""When recorded deliveries are looked at."""

from schedules.entries import Entry

ENTRIES = (
    Entry(
        name="sweep-inbox",
        task="maintenance.sweep_inbox",
        every="sweep_seconds",
        why="a recorded delivery whose message or worker was lost would never be applied",
    ),
)
