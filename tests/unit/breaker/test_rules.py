import json

import pytest

from paytabs.breaker_local import LocalBreaker
from paytabs.breaker_rules import STATE_CLOSED, STATE_HALF_OPEN, STATE_OPEN, BreakerRules, Decision, Recorded

SECOND = 1_000_000
RULES = BreakerRules()


class Story:
    """A breaker whose clock only moves when told to."""

    def __init__(self) -> None:
        self.now_us = 1_000 * SECOND
        self.breaker = LocalBreaker(RULES, now_us=lambda: self.now_us)
        self._tokens = 0

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now_us += round(seconds * SECOND)

    def ask(self, kind: str = "query") -> tuple[Decision, str]:
        """Ask for a call, under a fresh token."""
        self._tokens += 1
        token = f"me#{self._tokens}"
        return self.breaker.admit("query" if kind == "query" else "send", token), token

    def call(self, result: Recorded) -> str:
        """Make one call that is let through, and return the state after it."""
        decision, token = self.ask()
        assert decision.admitted
        return self.breaker.record(decision.epoch, token, result).after

    def calls(self, results: str) -> list[str]:
        """Make calls: + passes, - fails, . proves neither."""
        words = {"+": Recorded.OK, "-": Recorded.FAILED, ".": Recorded.NONE}
        return [self.call(words[result]) for result in results]


@pytest.fixture
def story() -> Story:
    """A breaker that nothing has happened to."""
    return Story()


@pytest.fixture
def opened(story: Story) -> Story:
    """One that has just opened."""
    assert story.calls("-----")[-1] == STATE_OPEN
    return story


class TestOpens:
    """When calls stop."""

    def test_five_in_a_row(self, story: Story) -> None:
        """The fifth failure in a row opens it, the fourth does not."""
        assert story.calls("-----") == [STATE_CLOSED] * 4 + [STATE_OPEN]
        assert story.breaker.peek().reason == "5 failures in a row"

    def test_row_broken(self, story: Story) -> None:
        """A success begins the row anew; what proves neither does not."""
        assert story.calls("----+----")[-1] == STATE_CLOSED
        assert story.calls(".-")[-1] == STATE_OPEN

    def test_half_of_ten(self, story: Story) -> None:
        """Five failures among ten calls open it, at the tenth call."""
        assert story.calls("-+-+-+-+-+") == [STATE_CLOSED] * 9 + [STATE_OPEN]
        assert story.breaker.peek().reason == "5 of 10 calls failed"

    def test_less_than_half(self, story: Story) -> None:
        """Five failures among eleven calls do not."""
        assert set(story.calls("+-+-+-+-++-")) == {STATE_CLOSED}

    def test_fewer_than_ten(self, story: Story) -> None:
        """Of nine calls no share decides."""
        assert set(story.calls("--+--+--+")) == {STATE_CLOSED}

    def test_neither_is_no_call(self, story: Story) -> None:
        """Calls that prove neither do not fill the ten up."""
        assert set(story.calls("-+-+-+-+" + "." * 20)) == {STATE_CLOSED}

    def test_window_rolls(self, story: Story) -> None:
        """After ten seconds a call is forgotten."""
        story.calls("-+-+-+-+")
        story.wait(RULES.window_seconds)
        assert story.calls("+-") == [STATE_CLOSED] * 2
        assert story.breaker.peek().calls == 2


class TestOpen:
    """While calls have stopped."""

    def test_nothing_passes(self, opened: Story) -> None:
        """For thirty seconds nothing passes, and whoever asks hears how long."""
        opened.wait(29.9)
        for kind in ("query", "send"):
            decision, _ = opened.ask(kind)
            assert not decision.admitted
            assert decision.wait_seconds == pytest.approx(0.1)

    def test_late_results(self, story: Story) -> None:
        """What was let through before does not count after."""
        early, token = story.ask()
        story.calls("-----")
        assert story.breaker.record(early.epoch, token, Recorded.OK).after == STATE_OPEN
        story.wait(30)
        probe, _ = story.ask()
        assert probe.after == STATE_HALF_OPEN
        assert story.breaker.record(early.epoch, token, Recorded.FAILED).after == STATE_HALF_OPEN


class TestHalfOpen:
    """When calls begin again."""

    def test_one_probe(self, opened: Story) -> None:
        """After thirty seconds one query passes, and no second one beside it."""
        opened.wait(30)
        assert opened.ask()[0].admitted
        assert not opened.ask()[0].admitted

    def test_no_send(self, opened: Story) -> None:
        """What moves money is never a probe."""
        opened.wait(30)
        decision, _ = opened.ask("send")
        assert (decision.admitted, decision.after) == (False, STATE_HALF_OPEN)

    def test_three_close(self, opened: Story) -> None:
        """The third passed probe closes it, with nothing held against PayTabs any more."""
        opened.wait(30)
        assert opened.calls("+++") == [STATE_HALF_OPEN, STATE_HALF_OPEN, STATE_CLOSED]
        assert opened.calls("----")[-1] == STATE_CLOSED
        assert opened.ask("send")[0].admitted

    def test_failure_opens(self, opened: Story) -> None:
        """A failed probe opens it for another thirty seconds, and passed ones are forgotten."""
        opened.wait(30)
        assert opened.calls("++-")[-1] == STATE_OPEN
        opened.wait(29.9)
        assert not opened.ask()[0].admitted
        opened.wait(0.1)
        assert opened.calls("++")[-1] == STATE_HALF_OPEN

    def test_neither(self, opened: Story) -> None:
        """A probe that proves neither frees the way for the next and changes nothing else."""
        opened.wait(30)
        assert opened.calls("..+.++")[-2:] == [STATE_HALF_OPEN, STATE_CLOSED]

    def test_lost_owner(self, opened: Story) -> None:
        """A probe whose owner is gone blocks the others for fifteen seconds, not longer."""
        opened.wait(30)
        lost, token = opened.ask()
        opened.wait(14.9)
        assert not opened.ask()[0].admitted
        opened.wait(0.1)
        heir, _ = opened.ask()
        assert heir.admitted
        assert opened.breaker.record(lost.epoch, token, Recorded.FAILED).after == STATE_HALF_OPEN
        assert not opened.ask()[0].admitted


class TestNumbers:
    """The numbers that were agreed."""

    def test_as_the_script_reads_them(self) -> None:
        """Half of ten calls in 10 s, or five in a row; 30 s open; three probes of at most 15 s."""
        assert (
            json.loads(RULES.to_json()).items()
            >= {
                "window_us": 10 * SECOND,
                "least_calls": 10,
                "failure_percent": 50,
                "failures_in_a_row": 5,
                "open_us": 30 * SECOND,
                "probe_us": 15 * SECOND,
                "probes_to_close": 3,
            }.items()
        )
