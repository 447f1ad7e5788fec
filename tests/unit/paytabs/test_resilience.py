from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paytabs.resilience import POLICIES, QUERY_INSIDE_CALL, TASK_RETRY, BackoffPolicy, repeat_query
from paytabs.responses import Answer, Outcome

LOST = Answer(Outcome.UNKNOWN, "connection_lost")
BUSY = Answer(Outcome.UNKNOWN, "http_429", http_status=429, retry_after_seconds=1.5)
BROKEN = Answer(Outcome.UNKNOWN, "http_5xx", http_status=503)
FOUND = Answer(Outcome.SUCCEEDED, "completed", http_status=200)
NOT_FOUND = Answer(Outcome.DID_NOT_HAPPEN, "not_found", http_status=400)
CUT = Answer(Outcome.UNKNOWN, "broken_body", http_status=200)
HTML = Answer(Outcome.UNKNOWN, "not_json", http_status=200)
STRANGE = Answer(Outcome.UNKNOWN, "unknown_status", http_status=200)


def almost_one() -> float:
    """Draw the largest jitter."""
    return 0.999999


class Conversation:
    """Gives prepared answers and remembers the waits between them."""

    def __init__(self, *answers: Answer) -> None:
        self._answers: Iterator[Answer] = iter(answers)
        self.asked = 0
        self.waits: list[float] = []

    def ask(self) -> Answer:
        """Give the next answer."""
        self.asked += 1
        return next(self._answers)

    def repeat(self, budget_seconds: float = 10.0, policy: BackoffPolicy = QUERY_INSIDE_CALL) -> Answer:
        """Run the repetition without really waiting."""
        return repeat_query(
            self.ask, budget_seconds=budget_seconds, policy=policy, sleep=self.waits.append, rng=almost_one
        )


class TestBackoffPolicy:
    """The waits between attempts."""

    def test_grows(self) -> None:
        """The longest wait doubles up to the cap."""
        assert [TASK_RETRY.ceiling(attempt) for attempt in range(1, 8)] == [1, 2, 4, 8, 16, 20, 20]

    @settings(deadline=None)
    @given(st.integers(min_value=-5, max_value=10**9), st.floats(0, 1, exclude_max=True))
    def test_full_jitter(self, attempt: int, drawn: float) -> None:
        """A wait lies anywhere between nothing and the ceiling, which never exceeds the cap, however late."""
        for policy in POLICIES.values():
            assert 0 <= policy.delay(attempt, lambda: drawn) <= policy.ceiling(attempt) <= policy.cap_seconds

    def test_jitter_is_drawn(self) -> None:
        """Two processes that fail together do not come back together."""
        assert len({TASK_RETRY.delay(6) for _ in range(20)}) > 10

    @pytest.mark.parametrize(
        ("attempt", "elapsed", "allowed"), [(1, 0.0, True), (2, 9.9, True), (3, 0.0, False), (1, 10.0, False)]
    )
    def test_ends(self, attempt: int, elapsed: float, *, allowed: bool) -> None:
        """A policy ends with its attempts or its horizon, whichever comes first."""
        assert QUERY_INSIDE_CALL.allows(attempt, elapsed) is allowed

    def test_each_has_a_reason(self) -> None:
        """Every named policy says why it is as it is."""
        assert all(policy.reason for policy in POLICIES.values())

    def test_task_retry_fits_the_broker(self) -> None:
        """A waiting task is never delivered twice: its wait stays well under the visibility timeout of a minute."""
        assert TASK_RETRY.cap_seconds <= 20


class TestRepeatQuery:
    """Repeating a query inside its call."""

    @pytest.mark.parametrize("trouble", [LOST, BUSY, BROKEN, CUT, HTML])
    def test_passing_trouble(self, trouble: Answer) -> None:
        """No answer, none that can be read, 429 and 5xx are asked again."""
        conversation = Conversation(trouble, FOUND)
        assert conversation.repeat() is FOUND
        assert conversation.asked == 2

    @pytest.mark.parametrize("answer", [FOUND, NOT_FOUND, STRANGE])
    def test_a_real_answer(self, answer: Answer) -> None:
        """What repeating would not change is taken as it is."""
        conversation = Conversation(answer)
        assert conversation.repeat() is answer
        assert conversation.asked == 1

    def test_gives_up(self) -> None:
        """The last answer is handed back when the attempts are spent; nothing is raised."""
        conversation = Conversation(LOST, LOST, BROKEN)
        assert conversation.repeat() is BROKEN
        assert conversation.asked == QUERY_INSIDE_CALL.max_attempts

    def test_waits_grow(self) -> None:
        """The waits follow the policy."""
        conversation = Conversation(LOST, LOST, FOUND)
        conversation.repeat()
        assert conversation.waits == pytest.approx([0.2, 0.4], abs=0.001)

    def test_retry_after(self) -> None:
        """A wait the gateway asked for is kept, and the policy's draw comes after it."""
        conversation = Conversation(BUSY, FOUND)
        conversation.repeat()
        assert conversation.waits == pytest.approx([1.5 + 0.2], abs=0.001)

    def test_budget(self) -> None:
        """A wait that would end after the call's time is not begun."""
        conversation = Conversation(BUSY, FOUND)
        assert conversation.repeat(budget_seconds=1.0) is BUSY
        assert conversation.waits == []
