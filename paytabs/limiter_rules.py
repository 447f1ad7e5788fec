"""The limiter's numbers, and the words in which its two homes (Redis and this process) answer."""

from dataclasses import dataclass
from typing import Protocol

from paytabs.breaker_rules import MICROSECONDS


@dataclass(frozen=True)
class LimiterRules:
    """How much PayTabs is asked of one profile.

    Attributes:
        calls_per_second: The even rate over any longer time.
        at_once: How many calls may begin together after a quiet time, and how many may be under way.
        longest_wait_seconds: A call that would wait longer is not reserved and not made.
        lease_seconds: When the place of a caller that never gave it back is free again; longer than a call can take
            from the moment it has its place: the fence before the write and the call's own deadline.
        jitter_seconds: Over how long the calls that were turned away come back.
    """

    calls_per_second: float = 20
    at_once: int = 5
    longest_wait_seconds: float = 2
    lease_seconds: float = 20
    jitter_seconds: float = 5

    @property
    def interval_us(self) -> int:
        """The time from one call to the next at the even rate, in microseconds."""
        return round(MICROSECONDS / self.calls_per_second)


@dataclass(frozen=True)
class Reserved:
    """Whether a call has its turn, and how long it waits for it, or would have waited."""

    granted: bool
    wait_seconds: float


class LimiterState(Protocol):
    """Where the limiter's state lives."""

    def reserve(self) -> Reserved:
        """Reserve the next turn."""

    def take(self, token: str) -> bool:
        """Take a place, if one is free."""

    def give(self, token: str) -> None:
        """Give a place back."""
