"""A server's clock, asked now and then and gone on from by this machine's monotonic clock.

Whatever others wait for is told by the clock of a server that all share: a machine whose own clock is off, or jumps,
puts nobody's work to sleep and takes nobody's lease.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

#: For how long an answer of the server is gone on from by the machine's monotonic clock, in seconds.
SAMPLED_SECONDS = 10.0

#: How long a server that did not answer is left alone, in seconds; the last answer is gone on from meanwhile.
REST_SECONDS = 2.0

#: A later answer that is behind by less than this is a slow answer, and time does not go back for it; by more, the
#: server's clock was put back.
SLACK = timedelta(seconds=1)


def own_time() -> datetime:
    """Return this machine's own time, aware UTC: for what no other machine waits for or compares."""
    return datetime.now(UTC)


class ServerClock:
    """Tells the time of a server, aware UTC.

    Args:
        ask: asks the server, within about a second.
        outages: what `ask` raises when the server does not answer.
        otherwise: tells the time when the server was never heard; without it the server's error is raised.
        monotonic: a clock in seconds that nobody sets.
    """

    def __init__(
        self,
        ask: Callable[[], datetime],
        *,
        outages: tuple[type[Exception], ...],
        otherwise: Callable[[], datetime] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask nothing yet."""
        self._ask, self._outages, self._otherwise, self._monotonic = ask, outages, otherwise, monotonic
        self._sample: tuple[float, datetime] | None = None
        self._ask_at = monotonic()
        self._latest: datetime | None = None

    def __call__(self) -> datetime:
        """Return the server's time."""
        if self._monotonic() >= self._ask_at:
            self._take()
        if self._sample is None:
            assert self._otherwise is not None, "a clock without another one raises what the server does"  # noqa: S101
            return self._otherwise()
        told_at, told = self._sample
        now, latest = told + timedelta(seconds=self._monotonic() - told_at), self._latest
        self._latest = latest if latest is not None and now < latest <= now + SLACK else now
        return self._latest

    def _take(self) -> None:
        """Ask anew; without an answer the last one stands."""
        began = self._monotonic()
        try:
            told = self._ask()
        except self._outages:
            if self._sample is None and self._otherwise is None:
                raise
            self._ask_at = self._monotonic() + REST_SECONDS
            return
        ended = self._monotonic()
        # The server looked at its clock somewhere between question and answer.
        self._sample, self._ask_at = ((began + ended) / 2, told), ended + SAMPLED_SECONDS
