import pytest

from paytabs.limiter_homes import LocalLimiter
from paytabs.limiter_rules import LimiterRules

SECOND = 1_000_000


class Clock:
    """A clock that only moves when told to."""

    def __init__(self) -> None:
        self.now_us = 1_000 * SECOND

    def __call__(self) -> int:
        """Read it."""
        return self.now_us

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now_us += round(seconds * SECOND)


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
def limiter(clock: Clock) -> LocalLimiter:
    """The agreed limits: 20 a second, 5 at once."""
    return LocalLimiter(LimiterRules(), now_us=clock)


class TestTurns:
    """How often."""

    def test_spaced(self, limiter: LocalLimiter) -> None:
        """Five go at once, the others follow 50 ms apart."""
        waits = [limiter.reserve().wait_seconds for _ in range(9)]
        assert waits == pytest.approx([0, 0, 0, 0, 0, 0.05, 0.1, 0.15, 0.2])

    def test_refilled(self, limiter: LocalLimiter, clock: Clock) -> None:
        """Time gives turns back, but never more than five at once."""
        for _ in range(5):
            limiter.reserve()
        clock.wait(0.1)
        assert [limiter.reserve().wait_seconds for _ in range(3)] == pytest.approx([0, 0, 0.05])
        clock.wait(3600)
        assert [limiter.reserve().wait_seconds for _ in range(6)] == pytest.approx([0, 0, 0, 0, 0, 0.05])

    def test_too_long(self, limiter: LocalLimiter, clock: Clock) -> None:
        """A turn more than two seconds away is not reserved, so asking in vain delays nobody."""
        granted = [limiter.reserve() for _ in range(100)]
        assert sum(one.granted for one in granted) == 5 + 40
        assert {one.wait_seconds for one in granted if not one.granted} == {2.05}
        clock.wait(0.05)
        assert limiter.reserve().granted


class TestPlaces:
    """How many under way."""

    def test_five(self, limiter: LocalLimiter) -> None:
        """Five places, each free again when given back."""
        assert [limiter.take(str(one)) for one in range(6)] == [True] * 5 + [False]
        limiter.give("3")
        assert [limiter.take("a"), limiter.take("b")] == [True, False]

    def test_lease(self, limiter: LocalLimiter, clock: Clock) -> None:
        """A place that is never given back is free after its lease, and giving it then takes nobody's."""
        for one in range(5):
            limiter.take(str(one))
        clock.wait(19.9)
        assert not limiter.take("late")
        clock.wait(0.1)
        assert [limiter.take(f"new-{one}") for one in range(5)] == [True] * 5
        limiter.give("3")
        assert not limiter.take("one-too-many")
