"""Python's wall clock, moved by the seconds that a file holds: for a process that is to be on a machine of its own.

On PYTHONPATH it is imported before anything else is. Whatever tells the time of day is moved, also while the process
runs, whenever the file changes; the monotonic clock is left alone, and so are files and servers.
"""

import copyreg
import datetime  # noqa: ICN001 - the module itself is changed
import os
import socket
import time
from pathlib import Path
from typing import Any

_file = Path(os.environ["NESTCMS_TEST_CLOCK"])
_true_time, _true_ns, _monotonic = time.time, time.time_ns, time.monotonic
_true_datetime = datetime.datetime

#: For how long what the file says is gone on with, in seconds.
_KNOWN_SECONDS = 0.05
_known = [-1.0, 0.0]


def _ahead() -> float:
    if _monotonic() >= _known[0]:
        try:
            _known[1] = float(_file.read_text())
        except (OSError, ValueError):
            _known[1] = _known[1]  # it is being written
        _known[0] = _monotonic() + _KNOWN_SECONDS
    return _known[1]


def _time() -> float:
    return _true_time() + _ahead()


class _Kind(type):
    """Has every true time be one of the moved ones too: libraries in C make those."""

    def __instancecheck__(cls, one: object) -> bool:
        return isinstance(one, _true_datetime)

    def __subclasscheck__(cls, one: type) -> bool:
        return issubclass(one, _true_datetime)


class _Moved(_true_datetime, metaclass=_Kind):
    """A time whose `now` is moved; what it makes are true ones."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return _true_datetime(*args, **kwargs)

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return _true_datetime.fromtimestamp(_time(), tz)

    @classmethod
    def utcnow(cls) -> Any:
        return _true_datetime.fromtimestamp(_time(), datetime.UTC).replace(tzinfo=None)

    @classmethod
    def today(cls) -> Any:
        return cls.now()


# A clock is a machine's: this one is another than that of the test and of whatever else it has started.
socket.gethostname = lambda: "machine-with-a-clock-of-its-own"
time.time, time.time_ns = _time, lambda: _true_ns() + int(_ahead() * 1e9)
_Moved.__name__ = _Moved.__qualname__ = _Moved.__module__ = "datetime"
datetime.datetime = _Moved  # type: ignore[misc]
# A true time is pickled by the name that stands for the moved one by now.
copyreg.pickle(_true_datetime, lambda one: (_Moved, one.__reduce_ex__(4)[1]))  # type: ignore[arg-type, return-value]
