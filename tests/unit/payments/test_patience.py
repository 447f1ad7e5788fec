from dataclasses import dataclass, field

from payments.patience import Patience
from paytabs.answers import PARKED, Answer, Outcome

FOUND = Answer(Outcome.SUCCEEDED, "empty")
TIMEOUT = Answer(Outcome.UNKNOWN, "timeout")
WRONG_KEY = Answer(Outcome.DID_NOT_HAPPEN, "code_1", error_code=1)


def parked(seconds: float | None = 30.0) -> Answer:
    """Return an answer that nobody gave."""
    return Answer(Outcome.DID_NOT_HAPPEN, PARKED, retry_after_seconds=seconds)


@dataclass
class PayTabs:
    """Says what it is told to say, one after the other, and time passes only while somebody sleeps."""

    says: list[Answer]
    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    def answer(self) -> Answer:
        """Say the next thing."""
        return self.says.pop(0)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.slept.append(seconds)
        self.now += seconds

    def patience(self, seconds: float = 120.0) -> Patience:
        """Return patience on this clock."""
        return Patience(seconds, sleep=self.sleep, monotonic=lambda: self.now, rng=lambda: 0.0)


class TestPatience:
    """A run is throttled rather than failing, and does not wait for ever."""

    def test_parked(self) -> None:
        """A parked question is asked again when its turn has come."""
        paytabs = PayTabs([parked(30.0), parked(None), FOUND])
        patience = paytabs.patience()
        assert patience.ask(paytabs.answer) is FOUND
        assert paytabs.slept == [30.0, 1.0]
        assert not patience.exhausted

    def test_no_end(self) -> None:
        """Parked beyond all patience it stays unanswered, and nothing more need be asked."""
        paytabs = PayTabs([parked(50.0)] * 9)
        patience = paytabs.patience()
        assert patience.ask(paytabs.answer).detail == PARKED
        assert paytabs.slept == [50.0, 50.0, 20.0]
        assert patience.exhausted

    def test_answer_restores(self) -> None:
        """Whatever is answered in between restores patience whole."""
        paytabs = PayTabs([parked(100.0), FOUND, parked(100.0), FOUND])
        patience = paytabs.patience()
        assert [patience.ask(paytabs.answer) for _ in range(2)] == [FOUND, FOUND]
        assert paytabs.slept == [100.0, 100.0]

    def test_silence(self) -> None:
        """An error is not waited upon; only a long row of them exhausts patience."""
        paytabs = PayTabs([TIMEOUT] * 3)
        patience = paytabs.patience()
        assert patience.ask(paytabs.answer) is TIMEOUT
        exhausted = []
        for seconds in (119, 2):
            paytabs.now += seconds
            assert patience.ask(paytabs.answer) is TIMEOUT
            exhausted.append(patience.exhausted)
        assert exhausted == [False, True]
        assert paytabs.slept == []

    def test_refused_key(self) -> None:
        """A refused key exhausts it at once."""
        paytabs = PayTabs([WRONG_KEY])
        patience = paytabs.patience()
        assert patience.ask(paytabs.answer) is WRONG_KEY
        assert patience.exhausted

    def test_none(self) -> None:
        """Without patience a parked question is given up at once."""
        paytabs = PayTabs([parked()])
        patience = paytabs.patience(0)
        assert patience.ask(paytabs.answer).detail == PARKED
        assert (paytabs.slept, patience.exhausted) == ([], True)
