from datetime import UTC, datetime

import pytest

from payments import facts
from payments.events import Context, Event, seal
from payments.facts import FACTS, Fact
from payments.story import decided_by, learnt, verdicts
from payments.wording import words_for
from tests.support.reasons import about
from tests.unit.payments.stories import CREATED, opened, seen, sent

NOW = datetime(2026, 8, 6, 10, 15, 30, tzinfo=UTC)


def told(*happened: Fact, source: str = "payments.verify") -> list[Event]:
    """Return a history."""
    chain: list[Event] = []
    for fact in happened:
        context = Context(correlation_id="c", source=source)
        chain.append(seal("64b000000000000000000001", chain[-1] if chain else None, fact, NOW, context))
    return chain


class TestDecided:
    """Which event decided how a payment stands."""

    def test_nothing(self) -> None:
        """Without a history none did."""
        assert decided_by([], []) is None

    def test_observation(self) -> None:
        """What PayTabs said first, not what it said again, and not what followed."""
        repeated = seen("T1", "sale", "A", code="G1")
        history = told(CREATED, sent(), opened(), seen("T1", "sale", "A"), repeated)
        found = decided_by(history, verdicts(history))
        assert found is not None
        assert (found["state"], found["version"], found["observed"]) == ("PAID", 4, None)
        assert found["words"] == "PayTabs said of T1 (sale): authorised, 115.00 SAR"

    def test_review(self) -> None:
        """A case that a human settled: the settlement decided, and what PayTabs had said is named as well."""
        other = seen("T1", "sale", "A", profile_id=1)
        reason = "T1: profile differs from the payment's"
        settled = facts.ReviewSettled(**about(reason), note="ours all the same", by="omar")
        history = told(CREATED, sent(), opened(), other)
        found = decided_by(history, verdicts(history))
        assert found is not None
        assert (found["state"], found["version"]) == ("REVIEW", 4)
        history = told(CREATED, sent(), opened(), other, settled)
        found = decided_by(history, verdicts(history))
        assert found is not None
        assert (found["state"], found["version"], found["observed"]["version"]) == ("PAID", 5, 4)
        assert found["words"] == f"omar settled “{reason}”: ours all the same"


class TestLearnt:
    """How a fact came to be known."""

    @pytest.mark.parametrize(
        ("fact", "source", "delivery", "words"),
        [
            (CREATED, "payments.create_page", None, "written by us"),
            (seen("T1", "sale", "A"), "payments.poll", None, "PayTabs' answer to our query"),
            (seen("T1", "sale", "A"), "payments.charge_token", None, "PayTabs' answer to our request"),
            (seen("T1", "sale", "D"), "webhooks.process", "d-1", "told by delivery d-1"),
            (seen("T1", "sale", "A"), "webhooks.process", "d-1",
             "PayTabs' answer to our query, asked because of delivery d-1"),
            (seen("T1", "sale", "D"), "webhooks.process", None,
             "told by a delivery that is not finished or not kept any more"),
            (facts.PaymentCompleted(state="PAID", amount="1", currency="SAR"), "webhooks.process", "d-1",
             "followed from the facts before it"),
        ],
    )  # fmt: skip
    def test_way(self, fact: Fact, source: str, delivery: str | None, words: str) -> None:
        """By our question, by an answer, by a delivery, or by thinking."""
        assert learnt(told(fact, source=source)[0], delivery) == words


class TestWords:
    """Every fact has its sentence."""

    @pytest.mark.parametrize("name", [name for name in FACTS if name != "Milestone"])
    def test_every_fact(self, name: str) -> None:
        """It stands alone, also when members are missing."""
        assert len(words_for(name, {"status": "A", "state": "PAID"}).split()) > 3

    def test_other_type(self) -> None:
        """A type without a sentence is told by its members."""
        assert words_for("PaymentTeleported", {"where": "Mars"}) == "where=Mars"
