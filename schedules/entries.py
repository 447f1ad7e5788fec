"""What a periodic entry is: a task's name, how often, and what becomes of a missed run; nothing that runs."""

from dataclasses import dataclass
from typing import Literal

#: What becomes of runs that were missed. `level`: the task looks at what is due, so it claims nothing, two at once are
#: harmless, and the next one finds what a lost one has left. `skip`: a slot that was not begun in its time is left out.
#: `once`: however many were left out, one run makes up for all of them, as soon as there is somebody to do it.
Missed = Literal["level", "skip", "once"]


@dataclass(frozen=True)
class Entry:
    """One periodic entry; its slots begin every so many seconds, counted from midnight, or each day at one time.

    Attributes:
        name: what the entry is called in the schedule.
        task: the public name of the task.
        every: seconds, or the name of the setting that holds them; None for an entry with a time.
        why: what would go wrong without it.
        missed: what becomes of missed runs.
        at: the time of the day, as `02:30`, in UTC; None for an entry with a period.
        late_seconds: how long after its beginning a slot may still be begun with `skip`; until the next unless given.
    """

    name: str
    task: str
    every: float | str | None = None
    why: str = ""
    missed: Missed = "level"
    at: str | None = None
    late_seconds: float | None = None

    def __post_init__(self) -> None:
        """Refuse an entry that is no schedule.

        Raises:
            ValueError: it has both a period and a time, or neither, or a time without a slot to claim.
        """
        if (self.every is None) == (self.at is None):
            raise ValueError(f"{self.name}: expected either every or at")
        if self.at is not None and self.missed == "level":
            raise ValueError(f"{self.name}: expected missed to be skip or once, since it has a time")
