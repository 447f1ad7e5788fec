"""What a periodic entry is: a task's name and how often, nothing that runs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One periodic entry.

    Attributes:
        name: what the entry is called in the schedule.
        task: the public name of the task.
        every: seconds, or the name of the setting that holds them.
        why: what would go wrong without it.
    """

    name: str
    task: str
    every: float | str
    why: str
