from collections.abc import Callable, Sequence
from dataclasses import replace
from uuid import uuid4

import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paytabs.breaker_local import LocalBreaker
from paytabs.breaker_rules import BreakerRules, BreakerState, Recorded
from paytabs.breaker_shared import SharedBreaker
from paytabs.limiter_homes import LocalLimiter, SharedLimiter
from paytabs.limiter_rules import LimiterRules, LimiterState

SECOND = 1_000_000
TENTHS = st.one_of(st.integers(0, 20), st.sampled_from([100, 150, 300, 301]))
CALLS = st.tuples(st.just("call"), st.sampled_from(Recorded), st.integers(0, 6))
ASKS = st.tuples(st.just("ask"), st.sampled_from(["query", "send"]), st.just(0))
LATE = st.tuples(st.just("record"), st.sampled_from(Recorded), st.integers(0, 40))
WAITS = st.tuples(st.just("wait"), st.none(), TENTHS)
VISITS = st.lists(st.tuples(st.sampled_from(["reserve", "take", "give", "wait"]), st.integers(0, 12)), max_size=60)

#: Few calls are enough here, so that short histories reach every state.
SHORT = BreakerRules(least_calls=4, failures_in_a_row=3, probes_to_close=2)

# The Valkey may be shared by all histories: each has a name of its own.
any_history = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Clock:
    """A clock that only moves when told to."""

    def __init__(self) -> None:
        self.now_us = 1_700_000_000_123_457

    def __call__(self) -> int:
        """Read it."""
        return self.now_us


def played(home: BreakerState, clock: Clock, history: Sequence[tuple[str, object, int]]) -> list[object]:
    """Play a history; list everything that was answered."""
    answers: list[object] = []
    permits: list[tuple[str, str]] = []

    def ask(kind: str) -> bool:
        token = f"me#{len(permits)}"
        decision = home.admit("query" if kind == "query" else "send", token)
        permits.append((decision.epoch, token))
        answers.append(decision)
        return decision.admitted

    for step, what, number in history:
        if step == "wait":
            clock.now_us += number * SECOND // 10
        elif step == "ask":
            ask(str(what))
        elif step == "call":
            answers.extend(home.record(*permits[-1], Recorded(str(what))) for _ in range(number) if ask("query"))
        elif permits:
            answers.append(home.record(*permits[number % len(permits)], Recorded(str(what))))
        answers.append(replace(home.peek(), shared=False))
    return answers


def visited(home: LimiterState, clock: Clock, history: list[tuple[str, int]]) -> list[object]:
    """Play a limiter's history; list everything that was answered."""
    deeds: dict[str, Callable[[int], object]] = {
        "reserve": lambda times: [home.reserve() for _ in range(times)],
        "take": lambda number: home.take(str(number)),
        "give": lambda number: home.give(str(number)),
    }
    answers: list[object] = []
    for step, number in history:
        if step == "wait":
            clock.now_us += number * SECOND // 13
        else:
            answers.append(deeds[step](number))
    return answers


class TestSameRules:
    """The script in Redis and the class for when it is away decide alike, whatever happens."""

    @any_history
    @given(st.lists(st.one_of(CALLS, ASKS, LATE, WAITS), max_size=40))
    def test_breaker(self, shared: redis.Redis, history: Sequence[tuple[str, object, int]]) -> None:
        """Every answer to every history is the same."""
        here, there = Clock(), Clock()
        local = LocalBreaker(SHORT, now_us=here)
        in_redis = SharedBreaker(shared, uuid4().hex, SHORT, now_us=there)
        assert played(in_redis, there, history) == played(local, here, history)

    @any_history
    @given(VISITS)
    def test_limiter(self, shared: redis.Redis, history: list[tuple[str, int]]) -> None:
        """Every turn and every place is granted in both or in neither."""
        rules = LimiterRules(longest_wait_seconds=0.4, lease_seconds=1)
        here, there = Clock(), Clock()
        local = LocalLimiter(rules, now_us=here)
        in_redis = SharedLimiter(shared, uuid4().hex, rules, now_us=there)
        assert visited(in_redis, there, history) == visited(local, here, history)

    def test_every_state_reached(self, shared: redis.Redis) -> None:
        """A history that opens, probes, fails, probes again and closes reads the same to the last word."""
        failed, passed, neither = Recorded.FAILED, Recorded.OK, Recorded.NONE
        history = [
            *[("call", failed, 3), ("wait", None, 299), ("ask", "query", 0), ("wait", None, 1), ("ask", "send", 0)],
            *[("call", neither, 1), ("call", failed, 1), ("wait", None, 300), ("ask", "query", 0), ("wait", None, 150)],
            *[("call", passed, 2), ("call", passed, 2), ("call", failed, 2), ("call", passed, 1), ("call", failed, 1)],
        ]
        here, there = Clock(), Clock()
        wanted = played(LocalBreaker(SHORT, now_us=here), here, history)
        assert played(SharedBreaker(shared, uuid4().hex, SHORT, now_us=there), there, history) == wanted
        reasons = {getattr(answer, "reason", None) for answer in wanted}
        assert reasons == {"", "3 failures in a row", "a probe failed", "2 of 4 calls failed"}

    def test_nothing_expires(self, shared: redis.Redis) -> None:
        """Under a clock that is given no key ends by the server's own, however slowly a history is played."""
        clock = Clock()
        in_redis = SharedBreaker(shared, uuid4().hex, SHORT, now_us=clock)
        played(in_redis, clock, [("call", Recorded.FAILED, 2), ("call", Recorded.OK, 1)])
        limiter = SharedLimiter(shared, uuid4().hex, LimiterRules(lease_seconds=1), now_us=clock)
        visited(limiter, clock, [("reserve", 3), ("take", 1)])
        given = {*shared.scan_iter("nestcms:*")}
        assert len(given) == 5
        assert {shared.pexpiretime(key) for key in given} == {-1}

    def test_expires(self, shared: redis.Redis) -> None:
        """By the server's clock each key ends by itself, so that nothing is left of what nobody uses."""
        in_redis = SharedBreaker(shared, uuid4().hex, SHORT)
        for _ in range(2):
            in_redis.record(in_redis.admit("query", "me").epoch, "me", Recorded.FAILED)
        limiter = SharedLimiter(shared, uuid4().hex, LimiterRules(calls_per_second=0.001, longest_wait_seconds=10_000))
        limiter.reserve()
        limiter.take("me")
        given = {*shared.scan_iter("nestcms:*")}
        assert len(given) == 5
        assert all(shared.pexpiretime(key) > 0 for key in given)
