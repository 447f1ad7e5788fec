"""Why a call to the gateway was not made at all: nothing was sent, no attempt was spent, and it may be made later."""

from pybreaker import CircuitBreakerError

from paytabs.errors import PayTabsError


class Parked(PayTabsError):
    """Raised when a call has to wait longer than its caller can; root of the two reasons for that.

    Attributes:
        retry_after_seconds: When to ask again, jittered so that parked work does not come back as a herd.
    """

    def __init__(self, reason: str, retry_after_seconds: float) -> None:
        super().__init__(f"{reason}, again in {retry_after_seconds:.1f} s")
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds


class BreakerOpen(Parked, CircuitBreakerError):
    """Raised when PayTabs is failing and this call may not be made now.

    Attributes:
        state: `open`, or `half-open` when only a probe may pass and this is none, or another one is on its way.
    """

    def __init__(self, state: str, retry_after_seconds: float) -> None:
        super().__init__(f"the breaker is {state}", retry_after_seconds)
        self.state = state


class LimitExceeded(Parked):
    """Raised when the profile's calls are spoken for over a longer time than the caller would wait."""


class GatewayFailing(PayTabsError):
    """Raised by nobody: what listeners are told a failed call ended with, its text being the answer's detail."""
