"""How much time a running task has left before it is asked to stop, and whether somebody waits for its answer.

A send that begins too late for its task would be broken off on the wire, and nobody would know what became of it: who
sends asks here first.
"""

import math
import time
from collections.abc import Sequence
from contextvars import ContextVar

#: When the task that runs here is asked to stop, on the monotonic clock.
_ENDS_AT: ContextVar[float] = ContextVar("task_ends_at", default=math.inf)

#: Whether somebody waits for the answer of the task that runs here.
_IS_AWAITED: ContextVar[bool] = ContextVar("task_is_awaited", default=False)


def task_begins(soft_time_limit_seconds: float | None, *, awaited: bool = False) -> None:
    """Note that a task begins now.

    Args:
        soft_time_limit_seconds: when it is asked to stop; None when nothing will ask it.
        awaited: whether a caller waits for its answer.
    """
    _IS_AWAITED.set(awaited)
    _ENDS_AT.set(math.inf if soft_time_limit_seconds is None else time.monotonic() + soft_time_limit_seconds)


def limit_of(timelimit: Sequence[float | None] | None, soft_time_limit_seconds: float | None) -> float | None:
    """Return after how long a task is stopped at the earliest: by its own limit, or by one that its caller has set."""
    limits = [one for one in (soft_time_limit_seconds, *(timelimit or ())) if one]
    return min(limits, default=None)


def seconds_left() -> float:
    """Return how many seconds the running task has; infinity outside tasks."""
    return _ENDS_AT.get() - time.monotonic()


def is_awaited() -> bool:
    """Tell whether a caller waits for the running task's answer."""
    return _IS_AWAITED.get()
