"""When a secondary may be read: pure rules over what its probes and reads have shown.

How far it lags is not asked of it: it is how long ago we began to write the newest heartbeat that it has. So it is
never thought fresher than it is, whatever anybody's clock says, and one that is not probed any more goes stale.
"""

from dataclasses import dataclass

#: Failures in a row after which a member is ejected: one alone may be a hiccup.
FAILURES = 2

#: Healthy probes in a row after which an ejected member is read again.
HEALTHY_PROBES = 3


@dataclass
class MemberHealth:
    """What is known of one secondary; times are those of one monotonic clock, in seconds.

    Attributes:
        bound_seconds: the longest lag with which it is read.
        fresh_as_of: it has everything that had been written by then; None while nothing is known.
        since: when it was probed first.
        failures: how many probes or reads in a row have failed.
        healthy: how many probes in a row have succeeded.
        ejected: why it is not read: silent or lagging; empty while it may be.
    """

    bound_seconds: float
    fresh_as_of: float | None = None
    since: float | None = None
    failures: int = 0
    healthy: int = 0
    ejected: str = ""

    def probed(self, now: float, fresh_as_of: float | None) -> None:
        """Note what a probe has found; None when its heartbeat is older than any of ours."""
        self.since = now if self.since is None else self.since
        if fresh_as_of is None and self.fresh_as_of is None and now - self.since <= self.bound_seconds:
            return  # it cannot have what we began to write a moment ago; that says nothing against it
        if fresh_as_of is not None:
            self.fresh_as_of = fresh_as_of
        if fresh_as_of is None or now - fresh_as_of > self.bound_seconds:
            self.healthy, self.ejected = 0, "lagging"
            return
        self.failures, self.healthy = 0, self.healthy + 1
        if self.healthy >= HEALTHY_PROBES:
            self.ejected = ""

    def failed(self) -> None:
        """Note that a probe or a read had no answer."""
        self.failures, self.healthy = self.failures + 1, 0
        if self.failures >= FAILURES:
            self.ejected = "silent"

    def lag_seconds(self, now: float) -> float | None:
        """Return how far it lags at most; None while nothing is known."""
        return None if self.fresh_as_of is None else now - self.fresh_as_of

    def may_be_read(self, now: float) -> bool:
        """Tell whether it answers, and within the bound."""
        lag = self.lag_seconds(now)
        return not self.ejected and lag is not None and lag <= self.bound_seconds
