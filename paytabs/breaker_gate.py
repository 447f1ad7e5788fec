"""The one door to PayTabs: a call passes the breaker, takes a place, waits for its turn, and tells what it proved.

All of that happens before a send is committed as `sending`, so whoever is turned away has spent no attempt. A send that
finds the breaker half-open makes the missing probes itself: recovery must not depend on somebody else having to ask.
Who is in haste, because a caller waits for the answer, leaves them to others: a probe takes as long as PayTabs likes.
"""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from paytabs.breaker import Breaker, Permit
from paytabs.breaker_errors import BreakerOpen, Parked
from paytabs.breaker_rules import STATE_HALF_OPEN, Kind
from paytabs.breaker_verdict import counts_as_failure
from paytabs.limiter import Limiter
from paytabs.responses import Answer

#: A cart that no operation ever has: asking for it moves nothing, and any answer shows that PayTabs works.
PROBE_CART_ID = "probe"

#: A send that probes begins no further probe after so long, so that its own call still ends within its task's time.
PROBING_SECONDS = 3.0

#: A breaker that has been half-open for so long has nobody to probe: then who is in haste does it all the same.
NEGLECTED_SECONDS = 30.0


def this_process() -> str:
    """Name this process for operators: its host and id."""
    return f"{socket.gethostname()}:{os.getpid()}"


class Gate:
    """Lets calls through to PayTabs.

    Args:
        breaker: The profile's breaker.
        limiter: The profile's limiter.
        probe: One query that any working PayTabs answers, such as one for `PROBE_CART_ID`.
        owner: Who calls.
        sleep: How to wait for a turn.
        monotonic: A clock in seconds.
        in_haste: Tells whether whoever calls has no time for probes.
    """

    def __init__(
        self,
        breaker: Breaker,
        limiter: Limiter,
        *,
        probe: Callable[[], Answer],
        owner: str,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        in_haste: Callable[[], bool] = lambda: False,
    ) -> None:
        self.breaker, self.limiter = breaker, limiter
        self._in_haste = in_haste
        self._probe, self._owner = probe, owner
        self._sleep, self._monotonic = sleep, monotonic

    @contextmanager
    def passage(self, kind: Kind) -> Iterator[Permit]:
        """Wait for leave to make one call, and hold it while the call is made.

        Give the answer to the permit's `settle`; when that does not happen, the call counts neither way.

        Args:
            kind: "query" for what moves nothing, else "send".

        Raises:
            Parked: Nothing may be called now; it says when to ask again. Either BreakerOpen or LimitExceeded.
        """
        with self._admitted(kind) as permit, self.limiter.slot(self._owner):
            self._sleep(self.limiter.reserve())
            yield permit

    def ask(self, query: Callable[[], Answer]) -> Answer:
        """Make one query through the gate.

        Raises:
            Parked: Nothing may be called now.
        """
        with self.passage("query") as permit:
            answer = query()
            permit.settle(answer)
        return answer

    def recover(self) -> None:
        """Make the missing probes where the open time is over; for whoever has the time, and nothing else to ask."""
        if self.breaker.state() == STATE_HALF_OPEN:
            with suppress(Parked), self.passage("send"):
                pass

    @contextmanager
    def _admitted(self, kind: Kind) -> Iterator[Permit]:
        permit = self._admit(kind)
        try:
            yield permit
        finally:
            permit.record(None)

    def _admit(self, kind: Kind) -> Permit:
        give_up_at = self._monotonic() + PROBING_SECONDS
        hasty = self._in_haste()
        while True:
            try:
                return self.breaker.admit(kind, self._owner, may_probe=not hasty)
            except BreakerOpen as error:
                if hasty and error.state == STATE_HALF_OPEN and self._is_neglected():
                    hasty = False
                    continue
                may_probe = kind == "send" and error.state == STATE_HALF_OPEN and not hasty
                if not may_probe or self._monotonic() >= give_up_at:
                    raise
                if counts_as_failure(self.ask(self._probe)) is None:
                    raise

    def _is_neglected(self) -> bool:
        seen = self.breaker.snapshot()
        return seen.state == STATE_HALF_OPEN and (seen.for_seconds or 0.0) > NEGLECTED_SECONDS
