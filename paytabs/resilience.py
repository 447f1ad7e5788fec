"""How often and how long to try again: one policy object for every wait in the system, with full jitter.

Whatever must not be waited for less (a `Retry-After`, a breaker's end) stands before the draw and never in its place: a
floor would have everybody who drew less come back at one moment. A fixed wait is drawn out by a share of itself.

Only what provably did not happen, and queries, are ever repeated. Three places wait, each with its own policy: inside a
call (tenacity), between two runs of a task (Celery), and in a row's `due_at` (the sweeps).
"""

import math
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import tenacity

from paytabs.responses import Answer, Outcome


@dataclass(frozen=True)
class BackoffPolicy:
    """A growing wait between attempts.

    Attributes:
        base_seconds: The longest first wait.
        factor: By how much the longest wait grows from one attempt to the next.
        cap_seconds: No single wait is longer.
        horizon_seconds: Nothing is tried again later than this after the first attempt.
        max_attempts: Attempts in all, the first one included.
        reason: Why these numbers.
    """

    base_seconds: float
    factor: float
    cap_seconds: float
    horizon_seconds: float
    max_attempts: int
    reason: str = ""

    def ceiling(self, attempt: int) -> float:
        """Give the longest wait after a failed attempt.

        Args:
            attempt: Which attempt failed, counted from 1; 0 is taken as 1.
        """
        try:
            return min(self.cap_seconds, self.base_seconds * float(self.factor) ** (max(attempt, 1) - 1))
        except OverflowError:
            return self.cap_seconds

    def delay(
        self,
        attempt: int,
        rng: Callable[[], float] = random.random,
        *,
        at_least: float = 0.0,
        at_most: float = math.inf,
    ) -> float:
        """Draw the wait after a failed attempt: evenly between nothing and the ceiling ("full jitter").

        Args:
            attempt: Which attempt failed, counted from 1.
            rng: A number from 0 up to, not including, 1.
            at_least: What has to pass in any case, in seconds; the draw is added to it.
            at_most: The longest sum; the draw is made over the room that `at_least` leaves.
        """
        floor = min(at_least, at_most)
        return floor + rng() * min(self.ceiling(attempt), at_most - floor)

    def allows(self, attempt: int, elapsed_seconds: float) -> bool:
        """Tell whether another attempt may follow a failed one.

        Args:
            attempt: Which attempt failed, counted from 1.
            elapsed_seconds: Time since the first attempt began.
        """
        return attempt < self.max_attempts and elapsed_seconds < self.horizon_seconds


#: A query inside one call: lives within the call's own ten seconds, so it only bridges a lost connection or a hiccup.
QUERY_INSIDE_CALL = BackoffPolicy(
    base_seconds=0.2,
    factor=2,
    cap_seconds=2,
    horizon_seconds=10,
    max_attempts=3,
    reason="bridges a hiccup within the call's own deadline",
)

#: A task's own retries: short waits only, because a waiting message holds a place in the broker. The cap stays under
#: the broker's visibility timeout, or the message would be delivered twice.
TASK_RETRY = BackoffPolicy(
    base_seconds=1,
    factor=2,
    cap_seconds=20,
    horizon_seconds=300,
    max_attempts=12,
    reason="waits in the broker, well under its visibility timeout",
)

#: Work parked in a row's `due_at`: no message waits, so an outage of hours costs nothing; after a day a human decides.
PARKED_WORK = BackoffPolicy(
    base_seconds=20,
    factor=2,
    cap_seconds=3600,
    horizon_seconds=86_400,
    max_attempts=60,
    reason="waits in MongoDB through an outage of hours; a day later a human decides",
)

#: Saying that remembered reads are out of date: tried until whatever they could make wrong is too old to be served.
INVALIDATION = BackoffPolicy(
    base_seconds=1,
    factor=2,
    cap_seconds=20,
    horizon_seconds=7_200,
    max_attempts=400,
    reason="waits in the broker until every entry it could make a miss is past its hard age",
)

#: Every named policy, in the order of the waits' length.
POLICIES: Mapping[str, BackoffPolicy] = MappingProxyType(
    {
        "query_inside_call": QUERY_INSIDE_CALL,
        "task_retry": TASK_RETRY,
        "invalidation": INVALIDATION,
        "parked_work": PARKED_WORK,
    }
)

#: A fixed wait is drawn out by up to this share of itself, and by no more than so many seconds.
SPREAD_SHARE, LONGEST_SPREAD_SECONDS = 0.25, 60.0


def spread(seconds: float, rng: Callable[[], float] = random.random) -> float:
    """Draw a wait out, so that those who began it at one moment do not end it at one moment.

    Args:
        seconds: The shortest wait.
        rng: A number from 0 up to, not including, 1.
    """
    return seconds + rng() * min(seconds * SPREAD_SHARE, LONGEST_SPREAD_SECONDS)


#: Too many requests: the one client error that passes by itself.
_TOO_MANY_REQUESTS = 429

#: From here on the fault is the server's and may pass.
_SERVER_ERROR = 500

#: Answers that were cut short or came from something in front of the gateway.
_UNREADABLE = frozenset({"broken_body", "not_json", "empty"})


def is_passing(answer: Answer) -> bool:
    """Tell whether a query's failure may pass by itself: no answer, none that can be read, 429 or 5xx."""
    if answer.outcome not in (Outcome.DID_NOT_HAPPEN, Outcome.UNKNOWN):
        return False
    status = answer.http_status
    is_server_trouble = status is None or status == _TOO_MANY_REQUESTS or status >= _SERVER_ERROR
    return is_server_trouble or answer.detail in _UNREADABLE


def repeat_query(
    ask: Callable[[], Answer],
    *,
    budget_seconds: float,
    policy: BackoffPolicy = QUERY_INSIDE_CALL,
    sleep: Callable[[float], None] = time.sleep,
    rng: Callable[[], float] = random.random,
) -> Answer:
    """Ask until there is an answer that repeating would not change, or the policy or the budget ends.

    Args:
        ask: One query; never used for anything that moves money.
        budget_seconds: The time for all attempts and the waits between them.
        policy: The waits; an answer's `Retry-After` comes before them.
        sleep: How to wait.
        rng: Where the jitter comes from.

    Returns:
        The last answer, good or bad.
    """

    def wait(state: tenacity.RetryCallState) -> float:
        answer: Answer | None = state.outcome.result() if state.outcome else None
        asked_for = answer.retry_after_seconds if answer else None
        return policy.delay(state.attempt_number, rng, at_least=asked_for or 0.0)

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_result(is_passing),
        wait=wait,
        stop=tenacity.stop_any(
            tenacity.stop_after_attempt(policy.max_attempts),
            tenacity.stop_before_delay(min(budget_seconds, policy.horizon_seconds)),
        ),
        retry_error_callback=_last_answer,
        sleep=sleep,
    )
    return retrying(ask)


def _last_answer(state: tenacity.RetryCallState) -> Answer:
    if state.outcome is None:  # pragma: no cover - tenacity calls this only after an attempt
        raise RuntimeError("no attempt was made")
    answer: Answer = state.outcome.result()
    return answer
