"""When reactions that are owed are looked for."""

from schedules.entries import Entry

ENTRIES = (
    Entry(
        name="dispatch-events",
        task="events.dispatch",
        every="sweep_seconds",
        missed="level",
        why="a reaction whose message or worker was lost would never be done",
    ),
)
