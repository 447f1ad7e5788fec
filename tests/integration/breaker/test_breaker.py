from typing import Any

import pybreaker
import pytest
import redis
import structlog

from paytabs.breaker import Breaker
from paytabs.breaker_errors import BreakerOpen, Parked
from paytabs.breaker_fallback import RETRY_SHARED_SECONDS
from paytabs.breaker_rules import HALTED_REASON, BreakerRules
from paytabs.responses import Answer, Outcome
from tests.integration.breaker.conftest import OUTAGES
from tests.integration.breaker.crowd import quick_client
from tests.support.waiting import eventually
from workers.stack import EmbeddedValkey

#: An open time that no test outlives, however busy the machine is, and one that can be waited out.
RULES = BreakerRules(open_seconds=1_000, jitter_seconds=4)
BRIEF = BreakerRules(open_seconds=0.2, jitter_seconds=4)

WORKED = Answer(Outcome.SUCCEEDED, "completed", http_status=200)
BROKEN = Answer(Outcome.UNKNOWN, "http_5xx", http_status=503)
OWN_KEY = Answer(Outcome.DID_NOT_HAPPEN, "code_1", http_status=401, error_code=1)


class Heard(pybreaker.CircuitBreakerListener):
    """A listener as pybreaker's users write them."""

    def __init__(self) -> None:
        self.events: list[tuple[str, ...]] = []

    def before_call(self, cb: Any, func: Any, *args: Any, **kwargs: Any) -> None:
        """Note that a call begins."""
        del func, kwargs
        self.events.append(("before_call", cb.name, *args))

    def success(self, cb: Any) -> None:
        """Note a success."""
        self.events.append(("success", cb.name))

    def failure(self, cb: Any, exc: BaseException) -> None:
        """Note a failure."""
        self.events.append(("failure", cb.name, str(exc)))

    def state_change(self, cb: Any, old_state: Any, new_state: Any) -> None:
        """Note a change."""
        self.events.append(("state_change", cb.name, old_state.name, new_state.name))


class Faulty(pybreaker.CircuitBreakerListener):
    """A listener with a fault."""

    def success(self, cb: Any) -> None:
        """Fail."""
        raise RuntimeError(cb.name)


@pytest.fixture
def breaker(shared: redis.Redis, name: str) -> Breaker:
    """A breaker in Valkey."""
    return Breaker(shared, name, outages=OUTAGES, rules=RULES)


@pytest.fixture
def brief(shared: redis.Redis, name: str) -> Breaker:
    """The same one as a process with a short open time sees it."""
    return Breaker(shared, name, outages=OUTAGES, rules=BRIEF)


def settle(breaker: Breaker, *answers: Answer) -> None:
    """Make calls that are answered so."""
    for answer in answers:
        breaker.admit("query", "test").settle(answer)


class TestWords:
    """Whoever knows pybreaker knows this one."""

    def test_listener(self, breaker: Breaker, name: str) -> None:
        """A listener hears of calls, successes, failures with their reason, and changes of state."""
        heard = Heard()
        breaker.add_listener(heard)
        settle(breaker, WORKED, *[BROKEN] * 5)
        assert heard.events[:2] == [("before_call", name, "query", "test"), ("success", name)]
        assert heard.events.count(("failure", name, "http_5xx")) == 5
        assert heard.events[-1] == ("state_change", name, "closed", "open")

    def test_error(self, breaker: Breaker) -> None:
        """A refusal is pybreaker's error, and says when to come back."""
        settle(breaker, *[BROKEN] * 5)
        with pytest.raises(pybreaker.CircuitBreakerError) as refused:
            breaker.admit("query", "test")
        assert isinstance(refused.value, BreakerOpen)
        assert isinstance(refused.value, Parked)
        assert refused.value.state == pybreaker.STATE_OPEN

    def test_faulty_listener(self, shared: redis.Redis, name: str) -> None:
        """A listener that fails neither loses an answer nor silences the next listener."""
        heard = Heard()
        breaker = Breaker(shared, name, outages=OUTAGES, listeners=[Faulty(), heard])
        with structlog.testing.capture_logs() as lines:
            settle(breaker, WORKED)
        assert heard.events[-1] == ("success", name)
        assert [line["event"] for line in lines] == ["breaker_listener_failed"]


class TestPermit:
    """What a call leaves behind."""

    def test_recorded_once(self, breaker: Breaker) -> None:
        """A second record of the same call is ignored."""
        permit = breaker.admit("query", "test")
        for _ in range(5):
            permit.record(ok=False)
        assert breaker.snapshot().failures == 1

    def test_refused_key(self, breaker: Breaker) -> None:
        """A refused key is no failure of PayTabs; all the same it stops every call at once, and says why."""
        heard = Heard()
        breaker.add_listener(heard)
        settle(breaker, OWN_KEY)
        seen = breaker.snapshot()
        assert (seen.state, seen.reason, seen.calls) == ("open", HALTED_REASON, 0)
        assert [event[0] for event in heard.events] == ["before_call", "state_change"]

    def test_key_still_refused(self, breaker: Breaker, brief: Breaker) -> None:
        """A probe whose key is refused opens it anew: one call in each open time finds out."""
        settle(brief, OWN_KEY)
        until_half_open(brief)
        settle(breaker, OWN_KEY)
        assert (breaker.state(), breaker.snapshot().reason) == ("open", HALTED_REASON)

    def test_snapshot(self, breaker: Breaker) -> None:
        """Operators see why it opened, for how long it stays so."""
        settle(breaker, *[BROKEN] * 5)
        seen = breaker.snapshot()
        assert (seen.state, seen.reason, seen.shared) == ("open", "5 failures in a row", True)
        assert 0 < seen.open_for_seconds <= 1_000

    def test_prober(self, shared: redis.Redis, name: str) -> None:
        """And who probes."""
        rules = BreakerRules(open_seconds=0.2, probe_seconds=1_000)
        breaker = Breaker(shared, name, outages=OUTAGES, rules=rules)
        settle(breaker, *[BROKEN] * 5)
        until_half_open(breaker)
        breaker.admit("query", "worker-7")
        assert (breaker.snapshot().state, breaker.snapshot().probe_owner) == ("half-open", "worker-7")


class TestNoHerd:
    """Parked work does not come back all at once."""

    def test_spread(self, breaker: Breaker) -> None:
        """A hundred that are turned away are told a hundred moments, spread over the seconds after the open time."""
        settle(breaker, *[BROKEN] * 5)
        moments = []
        for _ in range(100):
            left = breaker.snapshot().open_for_seconds
            with pytest.raises(BreakerOpen) as refused:
                breaker.admit("send", "test")
            after = breaker.snapshot().open_for_seconds
            wait = refused.value.retry_after_seconds
            assert after <= wait <= left + 4
            moments.append((wait - left, wait - after))
        assert len(set(moments)) == 100
        assert min(soonest for soonest, _ in moments) < 1
        assert max(latest for _, latest in moments) > 3


def until_half_open(breaker: Breaker) -> None:
    """Wait for the end of the open time."""
    eventually(lambda: breaker.state() == "half-open", within_seconds=60, what="half-open")


class TestValkeyEmptied:
    """FLUSHALL in the middle is survived."""

    def test_closed_again(self, breaker: Breaker, valkey: EmbeddedValkey) -> None:
        """An open breaker is closed after it, and opens again by the same rules."""
        settle(breaker, *[BROKEN] * 5)
        valkey.flush()
        assert breaker.state() == pybreaker.STATE_CLOSED
        settle(breaker, *[BROKEN] * 5)
        assert breaker.state() == pybreaker.STATE_OPEN

    def test_permits_from_before(self, brief: Breaker, valkey: EmbeddedValkey) -> None:
        """A probe from before it does not count after."""
        breaker = brief
        settle(breaker, *[BROKEN] * 5)
        until_half_open(breaker)
        probe = breaker.admit("query", "test")
        valkey.flush()
        probe.record(ok=False)
        assert breaker.snapshot().calls == 0

    def test_scripts_forgotten(self, breaker: Breaker, shared: redis.Redis) -> None:
        """A server that lost its scripts gets them again."""
        settle(breaker, WORKED)
        shared.script_flush()
        settle(breaker, WORKED)
        assert breaker.snapshot().calls == 2
        assert breaker.snapshot().shared


class TestValkeyDown:
    """Without Redis a process decides for itself, by the same rules."""

    def test_same_rules(self, breaker: Breaker, valkey: EmbeddedValkey) -> None:
        """It opens at five in a row, and says once that it is alone; with Redis back it joins the others again."""
        valkey.kill()
        with structlog.testing.capture_logs() as lines:
            settle(breaker, *[BROKEN] * 5)
            with pytest.raises(BreakerOpen):
                breaker.admit("query", "test")
            assert not breaker.snapshot().shared
            valkey.start()
            eventually(lambda: breaker.snapshot().shared, what="the shared breaker")
        assert [line["event"] for line in lines if line["event"].startswith("shared_state")] == [
            "shared_state_unreachable",
            "shared_state_reachable",
        ]
        assert breaker.state() == pybreaker.STATE_CLOSED

    def test_during_a_call(self, breaker: Breaker, valkey: EmbeddedValkey) -> None:
        """A call that was let through by Redis ends well without it."""
        permit = breaker.admit("send", "test")
        valkey.kill()
        permit.settle(BROKEN)
        assert breaker.snapshot().failures == 0
        valkey.start()

    def test_frozen(self, redis_url: str, name: str, valkey: EmbeddedValkey) -> None:
        """One that answers nobody costs its time limit once, not with every call."""
        client, asked = quick_client(redis_url, 0.3), []
        ask = client.eval

        def noted(*arguments: Any) -> Any:
            asked.append(arguments)
            return ask(*arguments)

        vars(client)["eval"] = noted
        breaker = Breaker(client, name, outages=OUTAGES, rules=RULES)
        settle(breaker, WORKED)
        passed = [0.0]
        vars(breaker._homes)["_monotonic"] = lambda: passed[0]
        valkey.pause()
        asked.clear()
        settle(breaker, *[WORKED] * 50)
        assert len(asked) == 1
        passed[0] = RETRY_SHARED_SECONDS
        settle(breaker, WORKED)
        valkey.resume()
        assert len(asked) == 2
