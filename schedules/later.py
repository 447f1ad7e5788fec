"""When messages that wait for their time are looked at."""

from schedules.entries import Entry

ENTRIES = (
    Entry(
        name="sweep-later",
        task="later.sweep",
        every="sweep_seconds",
        missed="level",
        why="what a caller has asked for at a later time would never be run",
    ),
)
