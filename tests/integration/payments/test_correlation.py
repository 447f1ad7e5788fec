"""Every event, log line and webhook of an attempt carries the id of whoever began it, whatever brought its outcome."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from structlog.contextvars import clear_contextvars, get_contextvars

from payments.cms_webhook import payload
from payments.events import Context
from payments.inbox import Inbox
from payments.ordering import FollowUpTerms
from payments.payment import fold
from payments.reactions import Occasion
from payments.service import PageTerms
from payments.stored_cards import CardStore
from tasks import base, webhooks
from tests.integration.payments.stage import DECLINED, PAID, Stage
from tests.support.cms import SeededPayment, seed_payment
from tests.support.system import serving

Json = dict[str, Any]
Brings = Callable[[Stage, SeededPayment, str], object]

#: How long after the send the ladder has asked several times, in seconds.
POLLED = 400


def under(correlation_id: str) -> Context:
    """Return the context of somebody's request."""
    return Context(correlation_id=correlation_id, source="tests", causation_id=f"task-of-{correlation_id}")


def page(stage: Stage, seeded: SeededPayment, correlation_id: str) -> str:
    """Have a page made under somebody's id, and return its reference."""
    view = stage.world.service.create_page(seeded.payment_id, PageTerms(), under(correlation_id))
    assert view.tran_ref is not None
    return view.tran_ref


def delivered(stage: Stage, tran_ref: str, correlation_id: str = "delivery-1") -> str:
    """Record the sandbox's notice as the receiver does, apply it as a worker does, and return the delivery's id."""
    sent = stage.sandbox.notify(tran_ref, url="http://127.0.0.1:9/nobody")
    inbox: Inbox = stage.world.inbox
    recorded = inbox.record(sent["body"].encode(), {}, correlation_id=correlation_id)
    webhooks.process(delivery_id=recorded.delivery_id)
    return recorded.delivery_id


def by_notice(stage: Stage, _: SeededPayment, tran_ref: str) -> None:
    """Let PayTabs tell."""
    delivered(stage, tran_ref)


def by_verify(stage: Stage, seeded: SeededPayment, _: str) -> None:
    """Let staff ask."""
    stage.world.service.verify(seeded.payment_id, under("support-1"))


def by_poll(stage: Stage, seeded: SeededPayment, _: str) -> None:
    """Let the ladder ask, under an id of its own."""
    stage.clock.advance(POLLED)
    stage.world.reconciler.poll(stage.row(seeded).operation_id, under("sweep-1"))


BRINGS: dict[str, Brings] = {"a notice": by_notice, "verify": by_verify, "the ladder": by_poll}


def ids(stage: Stage, seeded: SeededPayment) -> list[tuple[str, str]]:
    """Return each event's type with the id that it carries."""
    return [(event.type, event.context.correlation_id) for event in stage.world.store.load(seeded.payment_id)]


def webhook_ids(stage: Stage, seeded: SeededPayment) -> set[str]:
    """Return the ids that the webhooks of a payment's events would tell the CMS."""
    history = tuple(stage.world.store.load(seeded.payment_id))
    known = fold(event.fact for event in history)
    told = [payload(Occasion(event, known, history), CardStore(stage.database)) for event in history[1:]]
    return {one["data"]["correlation_id"] for one in told}


@pytest.fixture(autouse=True)
def worker(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run tasks in this process, on the stage's world."""
    monkeypatch.setattr(base, "world", lambda: stage.world)
    with serving(stage.settings):
        yield
    clear_contextvars()


class TestOutcome:
    """What became of an attempt is told under the id that its caller gave."""

    def test_of_a_page(self, stage: Stage) -> None:
        """Paid or declined, by whatever way it comes."""
        failed = []
        for way, brings in BRINGS.items():
            for card in (PAID, DECLINED):
                seeded = seed_payment(stage.database)
                tran_ref = page(stage, seeded, "order-1")
                stage.sandbox.pay(tran_ref, card)
                brings(stage, seeded, tran_ref)
                found = ids(stage, seeded)
                seen = ({one for _, one in found}, len(found), webhook_ids(stage, seeded))
                if seen != ({"order-1"}, 5, {"order-1"}):
                    failed.append(f"{card}, by {way}: {found}")
        assert failed == []

    def test_of_a_refund(self, stage: Stage, seeded: SeededPayment) -> None:
        """A refund's events are those of who asked for it, the page's stay the page's."""
        stage.sandbox.pay(page(stage, seeded, "order-1"), PAID)
        stage.verify(seeded)
        terms = FollowUpTerms("refund", "15.00", None, "a reason")
        stage.world.money.follow_up(seeded.payment_id, terms, "refund-1", under("staff-1"))
        stage.world.service.verify(seeded.payment_id, under("support-1"))
        found = ids(stage, seeded)
        assert {one for _, one in found[:5]} == {"order-1"}
        assert [one for one in found if one[1] != "order-1"] == [
            ("FollowUpStarted", "staff-1"), ("TransactionObserved", "staff-1"), ("PaymentPartRefunded", "staff-1"),
        ]  # fmt: skip

    def test_of_another_hand(self, stage: Stage, seeded: SeededPayment) -> None:
        """What PayTabs' dashboard did to a page's money is told under the page's id."""
        tran_ref = page(stage, seeded, "order-1")
        stage.sandbox.pay(tran_ref, PAID)
        by_notice(stage, seeded, tran_ref)
        undone = stage.sandbox.dashboard(tran_ref, "void")["tran_ref"]
        delivered(stage, undone, "delivery-2")
        assert ids(stage, seeded)[-1] == ("PaymentVoided", "order-1")
        assert {one for _, one in ids(stage, seeded)} == {"order-1"}

    def test_of_the_first_attempt(self, stage: Stage, seeded: SeededPayment) -> None:
        """Each attempt's events carry its own caller's id, also those that come when there is another attempt."""
        stage.sandbox.switch(page_attempts="until_paid")
        first = page(stage, seeded, "order-1")
        stage.sandbox.pay(first, DECLINED)
        stage.verify(seeded)
        stage.clock.advance(1)
        page(stage, seeded, "order-2")
        stage.sandbox.pay(first, PAID)
        delivered(stage, first)
        found = ids(stage, seeded)
        assert [one for one in found if one[1] == "order-2"] == [
            ("AttemptStarted", "order-2"),
            ("PageOpened", "order-2"),
        ]
        assert found[-1] == ("PaymentCompleted", "order-1")

    def test_sent_by_another(self, stage: Stage, seeded: SeededPayment) -> None:
        """Whoever asks again for what was only accepted sends the request of the one who began."""
        stage.world.service._acceptor.accept(  # as far as a worker came that died here
            stage.world.service._parts.cms.payment(seeded.payment_id), PageTerms(), None, under("order-1")
        )
        page(stage, seeded, "order-2")
        assert {one for _, one in ids(stage, seeded)} == {"order-1"}
        (sent,) = stage.sandbox.requests("/payment/request")
        assert {name.lower(): value for name, value in sent["headers"].items()}["x-correlation-id"] == "order-1"


class TestDelivery:
    """A delivery is the cause of what it brings, and no more than that."""

    def test_cause(self, stage: Stage, seeded: SeededPayment) -> None:
        """Its id stands in the events as their cause; the lines of its run carry the caller's id from then on."""
        tran_ref = page(stage, seeded, "order-1")
        stage.sandbox.pay(tran_ref, PAID)
        delivery_id = delivered(stage, tran_ref)
        causes = [event.context.causation_id for event in stage.world.store.load(seeded.payment_id)]
        assert causes == [*["task-of-order-1"] * 3, delivery_id, delivery_id]
        assert get_contextvars()["correlation_id"] == "order-1"
        asked = stage.sandbox.requests("/payment/query")[-1]["headers"]
        assert {name.lower(): value for name, value in asked.items()}["x-correlation-id"] == "order-1"
