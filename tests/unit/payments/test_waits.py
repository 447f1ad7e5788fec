from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from math import inf

import pytest
from redis.exceptions import RedisError

from payments.booking import book
from payments.card_sweep import PAUSES
from payments.errors import NotDelivered, NotYet
from payments.ladder import next_try
from payments.notices import Verdict
from payments.operations import Operation, Status
from payments.patience import USUAL_WAIT_SECONDS, Patience
from payments.reactions import wait_after as reaction_waits
from payments.reconcile import UNANSWERED
from payments.sending import key_wait
from payments.stored_cards import pause_after
from paytabs.answers import PARKED
from paytabs.breaker import Breaker
from paytabs.breaker_errors import Parked
from paytabs.breaker_rules import BreakerRules
from paytabs.limiter import Limiter
from paytabs.limiter_rules import LimiterRules
from paytabs.resilience import PARKED_WORK, POLICIES, QUERY_INSIDE_CALL, BackoffPolicy, repeat_query
from paytabs.responses import Answer, Outcome
from tasks.webhooks import wait_after, wait_of

#: How many waits are drawn for each reason.
DRAWS = 1_000

NOW = datetime(2026, 8, 6, 10, 0, tzinfo=UTC)
BUSY = Answer(Outcome.DID_NOT_HAPPEN, "connect", retry_after_seconds=30.0)
REFUSED = Answer(Outcome.DID_NOT_HAPPEN, "connect")
SILENT = Answer(Outcome.UNKNOWN, "timeout")
ASKED = NotDelivered("the CMS answers 429", 60.0)

ROW = Operation(
    operation_id="op-1", payment_id="0" * 24, kind="create_page", params={}, status=Status.SENDING, open=True, sends=(),
    due_at=None, lease_until=None, attempts=0, tran_ref=None, redirect_url=None, error=None, correlation_id="c",
    requested_by=None, created_at=NOW, poll_from=NOW,
)  # fmt: skip


class Away:
    """Redis, which is away: breaker and limiter keep to the same rules in this process."""

    def eval(self, script: str, numkeys: int, *keys_and_args: str) -> None:
        """Answer nothing."""
        del script, numkeys, keys_and_args
        raise RedisError


def drawn(policy: BackoffPolicy, attempt: int, at_least: float = 0.0, at_most: float = inf) -> Callable[[], float]:
    """Draw from a policy."""
    return partial(policy.delay, attempt, at_least=at_least, at_most=at_most)


def booked(answer: Answer) -> Callable[[], float]:
    """Have the answer to a send booked; how long its row waits."""

    def draw() -> float:
        due_at: datetime = book(ROW, "cart-1", answer, NOW, PARKED_WORK).changes["due_at"]
        return (due_at - NOW).total_seconds()

    return draw


@cache
def opened() -> Breaker:
    """A breaker that opened at its first use."""
    breaker = Breaker(Away(), "b", outages=(RedisError,), rules=BreakerRules(open_seconds=3_600))
    for _ in range(5):
        breaker.admit("send", "o").record(ok=False)
    return breaker


@cache
def spoken_for() -> Limiter:
    """A limiter whose next quarter of an hour is spoken for."""
    limiter = Limiter(Away(), "l", outages=(RedisError,), rules=LimiterRules(calls_per_second=0.001, at_once=1))
    limiter.reserve()
    return limiter


def turned_away(ask: Callable[[], object]) -> float:
    """Return for how long a call is turned away."""
    with pytest.raises(Parked) as parked:
        ask()
    return parked.value.retry_after_seconds


def compared(answer: Answer) -> Callable[[], float]:
    """Ask one question of a comparison that is turned away once; how long it waits."""

    def ask() -> float:
        slept: list[float] = []
        answers = [answer, Answer(Outcome.SUCCEEDED, "empty")]
        Patience(120, sleep=slept.append).ask(lambda: answers.pop(0))
        return slept[0]

    return ask


def repeated(answer: Answer) -> Callable[[], float]:
    """Ask a query that has to be repeated once; how long is waited before."""

    def ask() -> float:
        slept: list[float] = []
        answers = [answer, replace(answer, outcome=Outcome.SUCCEEDED)]
        repeat_query(lambda: answers.pop(0), budget_seconds=60, sleep=slept.append)
        return slept[0]

    return ask


def tried_again(seconds: float) -> Callable[[], float]:
    """Have a row asked about again that was not answered."""
    due = NOW + timedelta(seconds=seconds)

    def draw() -> float:
        return (next_try(due, NOW) - NOW).total_seconds()

    return draw


#: Every reason for a wait: how one is drawn, the least it may be, and over how many seconds it is spread.
REASONS: dict[str, tuple[Callable[[], float], float, float]] = {
    **{f"policy {name}": (drawn(policy, 3), 0.0, policy.ceiling(3)) for name, policy in POLICIES.items()},
    **{
        f"policy {name}, at least and at most": (drawn(policy, 9, at_least=7, at_most=8), 7.0, 1.0)
        for name, policy in POLICIES.items()
    },
    "not sent": (booked(REFUSED), 0.0, 20.0),
    "not sent, Retry-After": (booked(BUSY), 30.0, 20.0),
    "outcome unknown": (booked(SILENT), 5.0, 1.25),
    "query unanswered, next step": (tried_again(300), 300.0, 60.0),
    "query unanswered, a payer waits": (tried_again(UNANSWERED.total_seconds()), 60.0, 15.0),
    "parked by the breaker": (lambda: turned_away(lambda: opened().admit("query", "o")), 3_600.0, 5.0),
    "parked by the limiter": (lambda: turned_away(lambda: spoken_for().reserve()), 1_000.0, 5.0),
    "comparison parked": (compared(Answer(Outcome.DID_NOT_HAPPEN, PARKED, retry_after_seconds=40.0)), 40.0, 10.0),
    "comparison parked, nobody says for how long": (
        compared(Answer(Outcome.DID_NOT_HAPPEN, PARKED)), USUAL_WAIT_SECONDS, USUAL_WAIT_SECONDS / 4,
    ),
    "query within a call": (repeated(SILENT), 0.0, QUERY_INSIDE_CALL.ceiling(1)),
    "query within a call, Retry-After": (
        repeated(replace(SILENT, retry_after_seconds=4.0)), 4.0, QUERY_INSIDE_CALL.ceiling(1),
    ),
    "a card's key is missing here": (key_wait, 60.0, 15.0),
    "a card's token is asked for": (lambda: pause_after(9, PAUSES).total_seconds(), 86_400.0, 60.0),
    "reaction": (lambda: reaction_waits(NotDelivered("the CMS answers 500"), 1, PARKED_WORK), 0.0, 20.0),
    "reaction, Retry-After": (lambda: reaction_waits(ASKED, 1, PARKED_WORK), 60.0, 20.0),
    "notice, the query lags": (lambda: wait_of(Verdict("waiting", retry_in_seconds=10.0), 1), 10.0, 2.5),
    "notice, PayTabs is silent": (lambda: wait_of(Verdict("waiting"), 2), 0.0, 40.0),
    "notice, an error": (lambda: wait_after(ConnectionError(), 1), 0.0, 20.0),
    "notice, parked": (lambda: wait_after(NotYet("p", 30.0, PARKED), 1), 30.0, 20.0),
}  # fmt: skip


class TestWaits:
    """Whoever is stopped at one moment does not come back at one moment."""

    @pytest.mark.parametrize("reason", REASONS)
    def test_spread(self, reason: str) -> None:
        """A thousand waits for one reason are all different, never too short, and even over the whole draw."""
        draw, floor, width = REASONS[reason]
        waits = sorted(draw() for _ in range(DRAWS))
        # The clock of a breaker or a limiter goes on while they are drawn.
        slack = 30.0 if reason.startswith("parked by") else 1e-5
        assert floor - slack <= waits[0]
        assert waits[-1] <= floor + width + slack
        assert len({round(one, 9) for one in waits}) > DRAWS * 0.99
        quarters = [sum(floor + width * part / 4 <= one for one in waits) for part in (1, 2, 3)]
        if slack < 1:
            assert [round(count / DRAWS, 1) for count in quarters] == pytest.approx([0.75, 0.5, 0.25], abs=0.11)

    def test_a_probe_elsewhere(self) -> None:
        """Those who find another's probe under way come back spread as well."""
        rules = BreakerRules(open_seconds=0, probe_seconds=3_600)
        breaker = Breaker(Away(), "b", outages=(RedisError,), rules=rules)
        for _ in range(5):
            breaker.admit("send", "o").record(ok=False)
        assert breaker.admit("query", "the probe").epoch
        waits = [turned_away(lambda: breaker.admit("query", "o")) for _ in range(DRAWS)]
        assert min(waits) >= rules.probe_pause_seconds
        assert len(set(waits)) > DRAWS * 0.99
