"""Named places at which a process kills or freezes itself, so that tests can try a death at each step of a payment.

Nothing happens unless the environment variable `FAULT_POINT` names the place. `FAULT_SIGNAL` is what the process sends
itself (SIGKILL unless set), and `FAULT_ONCE` a file that the first process to arrive creates: later ones pass by.
"""

import os
import signal

#: Every place, in the order in which one operation passes them.
FAULT_POINTS = (
    "before_row",
    "after_row",
    "after_sending",
    "before_write",
    "after_write",
    "before_booking",
    "after_booking",
)


def fault_point(name: str) -> None:
    """Die here, or freeze, when the environment says so."""
    if os.environ.get("FAULT_POINT") == name and _is_first():
        os.kill(os.getpid(), signal.Signals[os.environ.get("FAULT_SIGNAL", "SIGKILL")])


def _is_first() -> bool:
    marker = os.environ.get("FAULT_ONCE")
    if marker is None:
        return True
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return False
    return True
