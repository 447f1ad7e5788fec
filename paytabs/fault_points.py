"""Named places at which a process kills or freezes itself, so that tests can try a death at each step of a payment.

Nothing happens unless the environment variable `FAULT_POINT` names the place, or several, comma-separated. A place that
many pass may be narrowed down to one of them: `handler_effected:email_client`. `FAULT_SIGNAL` is what the process sends
itself (SIGKILL unless set), and `FAULT_ONCE` a file that the first process to arrive creates: later ones pass by. Of
several places each has a file of its own, called so with a dash and the place's name behind it.
"""

import os
import signal

#: Every place of an operation, in the order in which one passes them.
FAULT_POINTS = (
    "before_row",
    "after_row",
    "after_sending",
    "before_write",
    "after_write",
    "before_booking",
    "after_booking",
)

#: Every place of a reaction, in the order in which one passes them: the outbox, the sweep, the handler.
REACTION_POINTS = (
    "outbox_committed",
    "dispatch_claimed",
    "handler_claimed",
    "handler_in_transaction",
    "handler_effected",
    "handler_done",
)


def fault_point(name: str, about: str = "") -> None:
    """Die here, or freeze, when the environment says so.

    Args:
        name: the place.
        about: what it is passed for, where it can be narrowed down.
    """
    places = os.environ.get("FAULT_POINT", "").split(",")
    for place in places:
        if place in {name, f"{name}:{about}"} and _is_first(place if len(places) > 1 else ""):
            os.kill(os.getpid(), signal.Signals[os.environ.get("FAULT_SIGNAL", "SIGKILL")])


def _is_first(place: str) -> bool:
    marker = os.environ.get("FAULT_ONCE")
    if marker is None:
        return True
    try:
        os.close(os.open(f"{marker}-{place}" if place else marker, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return False
    return True
