import time
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from tests.chaos.stage import GOOD_CARD, HEALS_WITHIN_SECONDS, Stage
from tests.support.cms import SeededPayment, seed_payment
from tests.support.system import Asked, report
from tests.support.waiting import eventually


class TestBetweenRecordedAndApplied:
    """A worker that dies over a delivery leaves it to its successor."""

    def test_paid_after_restart(self, stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
        """SIGKILL for the whole worker while it asks PayTabs: the payment is paid within 60 s of the restart."""
        payment, tran_ref = stage.page()
        body = stage.pay(tran_ref)
        stage.sandbox.fault("/payment/query", "slow", times=0, seconds=20, before=True)
        assert stage.deliver(body).status_code == 200
        asking = partial(stage.sandbox.requests, "/payment/query")
        eventually(asking, what="PayTabs asked")
        stage.system.kill("worker-money")
        row = stage.delivery(body)
        assert row is not None
        assert (row["status"], stage.is_paid(payment)) == ("processing", False)
        stage.sandbox.clear_faults()
        stage.system.restart("worker-money")
        began = time.monotonic()
        eventually(lambda: stage.is_paid(payment), within_seconds=HEALS_WITHIN_SECONDS, what="paid")
        paid = time.monotonic() - began
        eventually(lambda: stage.is_applied(body), within_seconds=HEALS_WITHIN_SECONDS, what="the delivery done")
        applied = time.monotonic() - began
        report(capsys, f"worker killed over a delivery: paid {paid:.1f} s, done {applied:.1f} s after its restart")


class TestDuringCreatePage:
    """A worker that dies after PayTabs accepted a request has made a page that nobody knows of."""

    def killed(self, stage: Stage) -> tuple[SeededPayment, Asked, str]:
        """Kill the worker over a request that is accepted: the payment, the task, and the reference nobody learnt."""
        payment = seed_payment(stage.database)
        stage.sandbox.fault("/payment/request", "slow", seconds=20)
        asked = stage.system.enqueue("payments.create_page", payment_id=payment.payment_id)
        lost = eventually(stage.sandbox.ledger, what="the request accepted")[0]
        stage.system.kill("worker-money")
        stage.system.restart("worker-money")
        return payment, asked, lost["tran_ref"]

    def test_found(self, stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
        """Where PayTabs shows the cart, its link is lost all the same: a page under another cart, and one charge."""
        stage.sandbox.switch(query_cart_shows_unpaid=True)
        payment, asked, lost = self.killed(stage)
        began = time.monotonic()
        answer = asked.get(within_seconds=HEALS_WITHIN_SECONDS)
        assert answer["state"] in ("AWAITING_PAYER", "queued")
        view = eventually(
            lambda: self.page_of(stage, payment), within_seconds=HEALS_WITHIN_SECONDS, every_seconds=0.2, what="a page"
        )
        made = time.monotonic() - began
        assert view["tran_ref"] != lost
        stage.sandbox.pay(view["tran_ref"], GOOD_CARD)
        eventually(lambda: stage.is_paid(payment), what="paid")
        assert [(one["tran_ref"], one["amount"]) for one in stage.charges(payment)] == [(view["tran_ref"], "115.00")]
        assert len({one["body"]["cart_id"] for one in stage.sandbox.requests("/payment/request")}) == 2
        report(capsys, f"worker killed over create_page: page re-made {made:.1f} s after its restart")

    def test_hidden(self, stage: Stage) -> None:
        """Where PayTabs does not show the cart, nothing is sent blindly: the caller is told when to look again."""
        payment, asked, lost = self.killed(stage)
        answer = asked.get(within_seconds=HEALS_WITHIN_SECONDS)
        assert answer["state"] == "queued"
        assert datetime.fromisoformat(answer["retry_at"]) > datetime.now(UTC) - timedelta(seconds=2)
        eventually(lambda: stage.sandbox.requests("/payment/query"), within_seconds=30, what="PayTabs asked by cart")
        (row,) = stage.database["payment_operations"].find({"payment_id": payment.payment})
        assert (row["status"], row["open"]) == ("unknown", True)
        assert [one["tran_ref"] for one in stage.sandbox.ledger()] == [lost]

    def page_of(self, stage: Stage, payment: SeededPayment) -> Any:
        """Give the payment's view once it has a page that can be paid."""
        view = stage.system.run("payments.get", payment_id=payment.payment_id)
        return view if view["redirect_url"] else None
