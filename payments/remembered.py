"""What a process still knows of payments it has just changed, so that the next change need not read it again.

A stream only ever grows, version by version, and the unique index lets one writer have each version: who appends
version n + 1 has thereby proved that the n events it knew were all there are. So what is remembered may be decided
upon as long as something is appended; where nothing is, or anything is refused, the stream is read after all. Only a
database that was restored to an earlier state has made a stream shorter: so the last event is looked for all the same.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from payments.assessment import Assessment, assess
from payments.events import Event
from payments.payment import Payment, fold

#: How long a history is remembered: the steps of one operation follow each other within this.
REMEMBERED_SECONDS = 5.0

#: How many histories are remembered.
REMEMBERED_PAYMENTS = 256


@dataclass(frozen=True)
class Known:
    """A payment's history up to some version, what it amounts to, and the verdict over it."""

    history: tuple[Event, ...]
    payment: Payment
    verdict: Assessment

    def plus(self, newer: Sequence[Event]) -> "Known":
        """Return what is known with what follows."""
        if not newer:
            return self
        payment = fold((event.fact for event in newer), self.payment)
        return Known((*self.history, *newer), payment, assess(payment))


#: What is known of a payment before anything was read.
NOTHING = Known((), Payment(), assess(Payment()))


class Reading:
    """What one change knows of its payment, and whether that has to be read in its next try."""

    def __init__(self, remembered: Known | None) -> None:
        """Begin with what is remembered, if it is."""
        self.known = remembered or NOTHING
        self.due = remembered is None


class Remembered:
    """The histories that this process has just written or read on the way."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Remember nothing yet."""
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[float, Known]] = OrderedDict()
        self._monotonic = monotonic

    def take(self, payment_id: str) -> Known | None:
        """Give what is remembered of a payment and forget it: whoever commits upon it remembers the result."""
        with self._lock:
            until, known = self._known.pop(payment_id, (0.0, None))
        return known if self._monotonic() < until else None

    def keep(self, payment_id: str, known: Known) -> None:
        """Remember a payment for a while."""
        with self._lock:
            self._known[payment_id] = (self._monotonic() + REMEMBERED_SECONDS, known)
            self._known.move_to_end(payment_id)
            while len(self._known) > REMEMBERED_PAYMENTS:
                self._known.popitem(last=False)
