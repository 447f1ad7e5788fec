"""A validator that does not take our fields, wherever one may stand: nothing is lost, sent twice or final."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from celery import Celery
from celery.exceptions import Retry

from observability.database_refusals import ALERT
from payments.operations import Status
from tasks import database_alerts, payments, webhooks
from tasks.errors import OutcomeUnknown
from tasks.wiring import use_world
from tests.integration.payments.stage import PAID, SETTLED_SECONDS, Stage
from tests.support.cms import SeededPayment
from tests.support.handed import run, waiting
from tests.support.system import serving

Json = dict[str, Any]

#: The CMS's own fields of a payment: `gateway` is none of them.
OF_THE_CMS = {"$jsonSchema": {"not": {"required": ["gateway"]}}}

#: Takes no row of ours at all.
NO_ROWS = {"$jsonSchema": {"required": ["title"]}}


def no_event(*types: str) -> Json:
    """Return a validator of the events that does not take some types."""
    return {"$jsonSchema": {"properties": {"type": {"not": {"enum": list(types)}}}}}


@pytest.fixture
def app(stage: Stage) -> Iterator[Celery]:
    """A child of a worker whose world is the stage's."""
    database_alerts._told_at.clear()
    use_world(stage.another_world())
    with serving(stage.settings) as made:
        yield made
    use_world(None)


@contextmanager
def refusing(stage: Stage, collection: str, validator: Json) -> Iterator[None]:
    """Have a collection take nothing that its validator does not allow."""
    stage.database.command("collMod", collection, validator=validator)
    try:
        yield
    finally:
        stage.database.command("collMod", collection, validator={})


def refunds(stage: Stage) -> int:
    """Count the refunds at PayTabs."""
    return sum(str(one["tran_type"]).lower() == "refund" for one in stage.sandbox.ledger())


@pytest.mark.usefixtures("app")
class TestValidators:
    """What a validator refuses."""

    @pytest.mark.parametrize(
        ("collection", "validator"),
        [("payments", OF_THE_CMS), ("payment_operations", NO_ROWS), ("payment_events", NO_ROWS)],
    )
    def test_before_there_is_a_row(self, stage: Stage, seeded: SeededPayment, collection: str, validator: Json) -> None:
        """The message stays, uncounted; the alert names the code; mended, the same message makes one page."""
        with refusing(stage, collection, validator):
            with pytest.raises(Retry):
                run(payments.create_page, payment_id=seeded.payment_id)
            assert waiting(stage) == [("payments.create_page", 0)]
            assert stage.rows(seeded) == []
            assert list(stage.open_alerts()) == [ALERT]
            assert "code 121" in stage.open_alerts()[ALERT]
        assert run(payments.create_page, payment_id=seeded.payment_id)["redirect_url"]
        assert len(stage.sent()) == 1

    def test_with_a_row(self, stage: Stage, seeded: SeededPayment) -> None:
        """Its caller hears `queued`; the row waits in `due_at`, its polls end quietly; mended, the sweep sends it."""
        tran_ref = stage.paid(seeded)
        with refusing(stage, "payment_events", no_event("FollowUpStarted")):
            asked = {"payment_id": seeded.payment_id, "operation_id": "op", "amount": "15.00"}
            told = run(payments.refund, **asked)
            assert told.pop("retry_at")
            assert told == {"payment_id": seeded.payment_id, "state": "queued"}
            row = stage.row(seeded)
            assert (row.status, row.open, row.attempts, row.sends) == (Status.NEW, True, 0, ())
            assert row.due_at is not None
            assert run(payments.poll, operation_id="op") == {"waits_for": ALERT, "reason": "validation"}
            assert stage.row(seeded).due_at is not None
            assert (refunds(stage), waiting(stage)) == (0, [])
            assert list(stage.open_alerts()) == [ALERT]
        stage.live(30)
        assert stage.row(seeded).status is Status.SUCCEEDED
        assert refunds(stage) == 1
        assert tran_ref

    def test_after_the_send(self, stage: Stage, seeded: SeededPayment) -> None:
        """Nothing is put back: the outcome is unknown, PayTabs is asked, and it is never sent again."""
        stage.paid(seeded)
        asked = {"payment_id": seeded.payment_id, "operation_id": "op", "amount": "15.00"}
        with refusing(stage, "payment_events", no_event("TransactionObserved")):
            with pytest.raises(OutcomeUnknown) as told:
                run(payments.refund, **asked)
            assert told.value.args[:2] == ("op", "not_booked")
            assert (refunds(stage), waiting(stage)) == (1, [])
            assert stage.row(seeded).status is Status.SENDING
        stage.live(SETTLED_SECONDS)
        assert stage.row(seeded).status is Status.SUCCEEDED
        assert run(payments.refund, **asked)["status"] == "succeeded"
        assert refunds(stage) == 1

    def test_a_page_after_the_send(self, stage: Stage, seeded: SeededPayment) -> None:
        """So it is of a page that was asked for without an id: its caller is told to ask again, and has that page."""
        with refusing(stage, "payment_events", no_event("PageOpened")), pytest.raises(OutcomeUnknown) as told:
            run(payments.create_page, payment_id=seeded.payment_id)
        assert told.value.args[:2] == (None, "not_booked")
        stage.live(SETTLED_SECONDS + 60)
        assert stage.create(seeded).redirect_url
        assert {row["status"] for row in stage.database["payment_operations"].find()} == {"pending"}

    def test_a_delivery(self, stage: Stage, seeded: SeededPayment) -> None:
        """A notice goes back to the inbox without a dead letter, and is applied within a minute once it can be."""
        tran_ref = stage.open_page(seeded)
        stage.sandbox.pay(tran_ref, PAID)
        body = stage.sandbox.notify(tran_ref, url="http://127.0.0.1:9/nobody")["body"].encode()
        delivery_id = stage.world.inbox.record(body, {}, correlation_id="corr-1").delivery_id
        with refusing(stage, "payment_events", no_event("TransactionObserved")):
            told = run(webhooks.process, delivery_id=delivery_id)
            assert told == {"waits_for": ALERT, "reason": "validation"}
            assert list(stage.open_alerts()) == [ALERT]
        stage.clock.advance(60)
        assert run(webhooks.process, delivery_id=delivery_id)["result"] == "applied"
        assert stage.state(seeded) == "PAID"

    def test_a_reaction(self, stage: Stage, seeded: SeededPayment) -> None:
        """A reaction spends no patience, however long it lasts, and is done once it can be."""
        from tasks import events  # noqa: PLC0415 - beside `payments.events`

        stage.paid(seeded)
        (row,) = stage.database["event_deliveries"].find({"handler": "activate_projects"})
        asked = {"event_id": row["event_id"], "handler": "activate_projects"}
        stage.database["projects"].insert_one({"contractId": seeded.contract, "status": "pending"})
        with refusing(
            stage, "event_deliveries", {"$jsonSchema": {"properties": {"status": {"not": {"enum": ["done"]}}}}}
        ):
            for _ in range(3):
                stage.clock.advance(86_400)
                assert run(events.handle, **asked) == {"waits_for": ALERT, "reason": "validation"}
        stage.clock.advance(60)
        assert run(events.handle, **asked)["result"] == "done"
        assert stage.database["dead_letters"].find_one() is None
