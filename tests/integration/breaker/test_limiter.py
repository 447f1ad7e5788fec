import pytest
import redis

from paytabs.breaker_errors import LimitExceeded, Parked
from paytabs.limiter import Limiter
from paytabs.limiter_rules import LimiterRules
from tests.integration.breaker.conftest import OUTAGES
from tests.integration.breaker.crowd import Crowd, quick_client
from tests.integration.breaker.scenes import most_at_once, rate, turns
from workers.stack import EmbeddedValkey

#: Over how long the rate is measured here; the full form takes thirty seconds.
SECONDS = 5.0

#: The time from one turn to the next where a test looks at single turns, so long that no busy machine matters, and how
#: much of it a test may have taken itself; in seconds.
EVERY, SLACK = 1000.0, 200.0

#: Five at once, and then one so seldom.
SLOW = LimiterRules(calls_per_second=1 / EVERY, longest_wait_seconds=100 * EVERY)

#: How many turns may be counted into a second although they were due just outside: two clocks tell of each.
AT_THE_EDGE = 2


class TestManyProcesses:
    """Eight processes share one limiter."""

    def test_rate(self, crowd: Crowd) -> None:
        """Together they are granted twenty turns a second and never more, however many ask; idle they are not."""
        moments = turns(crowd, SECONDS + 2)
        for first, begin in enumerate(moments):
            together = sum(moment < begin + 1 for moment in moments[first:])
            assert together <= 20 + 5 + AT_THE_EDGE
        assert rate(moments, SECONDS) > 10

    def test_at_once(self, crowd: Crowd) -> None:
        """Never more than five of them are inside, and five places are used."""
        stays, most = most_at_once(crowd, 2.0, 0.05)
        assert most == 5
        assert stays > 10

    def test_killed(self, redis_url: str, name: str) -> None:
        """Two that are killed inside give their places back when their leases end."""
        with Crowd(3, redis_url) as crowd:
            crowd.join(name, limiter={"at_once": 2, "lease_seconds": EVERY, "longest_wait_seconds": 0.2})
            for member in range(2):
                assert crowd.one(member, "occupy")["placed"]
                crowd.kill(member)
            assert not crowd.one(2, "occupy")["placed"]
            with quick_client(redis_url) as client:  # the time of their leases passes
                places = f"nestcms:limiter:{{{name}}}:places"
                for token in client.zrange(places, 0, -1):
                    client.zincrby(places, -EVERY * 1_000_000, token)
            assert crowd.one(2, "occupy")["placed"]


class TestLimiter:
    """One process and the limiter."""

    def test_refused(self, shared: redis.Redis, name: str) -> None:
        """A turn too far away is refused with a moment to come back, jittered, and costs nobody anything."""
        rules = LimiterRules(calls_per_second=1 / EVERY, at_once=1, longest_wait_seconds=EVERY, jitter_seconds=4)
        limiter = Limiter(shared, name, outages=OUTAGES, rules=rules, rng=lambda: 0.5)
        assert [limiter.reserve() for _ in range(2)] == pytest.approx([0, EVERY], abs=SLACK)
        for _ in range(20):  # were a refusal a reservation, each would be told one interval more
            with pytest.raises(LimitExceeded) as refused:
                limiter.reserve()
            assert isinstance(refused.value, Parked)
            assert refused.value.retry_after_seconds == pytest.approx(2 * EVERY + 2, abs=SLACK)

    def test_error_inside(self, shared: redis.Redis, name: str) -> None:
        """Whoever fails inside gives the place back."""
        limiter = Limiter(shared, name, outages=OUTAGES, rules=LimiterRules(at_once=1, longest_wait_seconds=0))
        with pytest.raises(ZeroDivisionError), limiter.slot("test"):
            raise ZeroDivisionError
        with limiter.slot("test"), pytest.raises(LimitExceeded), limiter.slot("other"):
            pass

    def test_emptied(self, shared: redis.Redis, name: str, valkey: EmbeddedValkey) -> None:
        """FLUSHALL forgets the turns and places; the next ones are granted as on the first day."""
        limiter = Limiter(shared, name, outages=OUTAGES, rules=SLOW)
        with limiter.slot("test"):
            waits = [limiter.reserve() for _ in range(10)]
            valkey.flush()
            shared.script_flush()
            assert [limiter.reserve() for _ in range(5)] == [0] * 5
        assert max(waits) > EVERY

    def test_valkey_down(self, shared: redis.Redis, name: str, valkey: EmbeddedValkey) -> None:
        """Without Redis this process keeps to the same numbers by itself."""
        limiter = Limiter(shared, name, outages=OUTAGES, rules=SLOW)
        valkey.kill()
        waits = [limiter.reserve() for _ in range(8)]
        assert waits == pytest.approx([0] * 5 + [EVERY, 2 * EVERY, 3 * EVERY], abs=SLACK)
        with limiter.slot("test"):
            valkey.start()
