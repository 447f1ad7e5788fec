"""When a process that ended by itself is started again: as a container's restart policy does it.

The first time nearly at once, then after twice as long each time, a minute at most; a process that ran for a while
begins anew.
"""

import time
from collections.abc import Callable

#: The first and the longest wait, in seconds.
FIRST_SECONDS, LONGEST_SECONDS = 0.1, 60.0

#: A process that ran for so many seconds had started well.
WELL_SECONDS = 10.0


class Restarts:
    """Says when one process is to be started again.

    Args:
        monotonic: A clock in seconds.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._began = monotonic()
        self._in_a_row = 0
        #: How often it was started again in all.
        self.count = 0
        #: When it is to be started again; None while it runs.
        self.due: float | None = None

    def began(self) -> None:
        """Note that the process was started."""
        self._began, self.due = self._monotonic(), None

    def ended(self) -> float:
        """Note that it ended by itself, and return after how many seconds it is started again."""
        now = self._monotonic()
        self._in_a_row = 0 if now - self._began >= WELL_SECONDS else self._in_a_row + 1
        self.count += 1
        seconds = min(FIRST_SECONDS * 2.0 ** max(self._in_a_row - 1, 0), LONGEST_SECONDS)
        self.due = now + seconds
        return float(seconds)

    def is_due(self) -> bool:
        """Tell whether it is to be started now."""
        return self.due is not None and self._monotonic() >= self.due
