"""When what was given up is carried to where people look."""

from schedules.entries import Entry

ENTRIES = (
    Entry(
        name="sweep-quarantine",
        task="maintenance.sweep_quarantine",
        every="sweep_seconds",
        missed="level",
        why="a refused message or a task that was given up would stay in the broker, where nobody looks",
    ),
)
