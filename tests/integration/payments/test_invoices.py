from typing import Any

import pytest

from payments.accepting import InvoiceTerms
from payments.errors import GatewaySilent, InvalidArgument, NotYet
from payments.operations import Status
from tests.integration.payments.stage import SETTLED_SECONDS, Stage
from tests.support.cms import SeededPayment

LINES = {
    "line_items": [{"description": "Second instalment", "quantity": "1", "unit_cost": "115.00", "total": "115.00"}]
}


def create(stage: Stage, seeded: SeededPayment, operation_id: str = "bill-1", **changes: Any) -> dict[str, Any]:
    """Bill a payment."""
    terms = InvoiceTerms({**LINES, **changes})
    return stage.world.invoices.create(seeded.payment_id, terms, operation_id, stage.context())


def mark(stage: Stage, seeded: SeededPayment, act_id: str = "mark-1") -> dict[str, Any]:
    """Say that it was paid at the bank."""
    return stage.world.invoices.mark_paid(seeded.payment_id, "banktransfer", "at the bank", act_id, stage.context())


class TestCreate:
    """A bill is an attempt at a payment like any other."""

    def test_made(self, stage: Stage, seeded: SeededPayment) -> None:
        """It has a number and a link, and the payment waits for its payer."""
        bill = create(stage, seeded)
        assert bill["state"] == "AWAITING_PAYER"
        assert bill["invoice_id"] > 0
        assert bill["invoice_link"] == bill["redirect_url"] == stage.cms(seeded)["gateway"]["redirect_url"]
        assert create(stage, seeded) == bill
        told = stage.world.invoices.status(seeded.payment_id, stage.context())
        assert (told["invoice_status"], told["state"]) == ("pending", "AWAITING_PAYER")

    def test_beside_it(self, stage: Stage, seeded: SeededPayment) -> None:
        """While it is open no page is made."""
        create(stage, seeded)
        with pytest.raises(InvalidArgument, match="create_invoice bill-1 is pending"):
            stage.create(seeded)

    @pytest.mark.parametrize("changes", [{"total": "1.00"}, {"line_items": []}, {"cvv": "123"}, {"due_date": "soon"}])
    def test_refused(self, stage: Stage, seeded: SeededPayment, changes: dict[str, Any]) -> None:
        """What could not be sent is refused at once, naming the member."""
        with pytest.raises(InvalidArgument, match="invoice"):
            create(stage, seeded, **changes)
        assert stage.rows(seeded) == []

    def test_lost(self, stage: Stage, seeded: SeededPayment) -> None:
        """A bill whose answer was lost is made again under another cart: nobody holds the first one's link."""
        stage.sandbox.fault("/payment/invoice/new", "cut_after_accept")
        with pytest.raises(NotYet, match="unknown"):
            create(stage, seeded)
        stage.live(SETTLED_SECONDS + 1)
        assert len({send.cart_id for send in stage.row(seeded).sends}) == 2
        assert create(stage, seeded)["state"] == "AWAITING_PAYER"


class TestActs:
    """What may be done to a bill."""

    def test_marked_paid(self, stage: Stage, seeded: SeededPayment) -> None:
        """Paid outside PayTabs, once, the payment is paid; it cannot be cancelled any more."""
        create(stage, seeded)
        for _ in range(2):
            assert (mark(stage, seeded)["invoice_status"], stage.state(seeded)) == ("paid", "PAID")
        assert len(stage.sandbox.requests("/payment/invoice/paid")) == 1
        assert stage.row(seeded).status is Status.SUCCEEDED
        with pytest.raises(InvalidArgument, match="it is paid"):
            stage.world.invoices.cancel(seeded.payment_id, stage.context())

    def test_cancelled(self, stage: Stage, seeded: SeededPayment) -> None:
        """Cancelled, it is nobody's any more, and a page may be made."""
        create(stage, seeded)
        for _ in range(2):
            assert stage.world.invoices.cancel(seeded.payment_id, stage.context())["state"] == "cancelled"
        with pytest.raises(InvalidArgument):
            mark(stage, seeded)
        assert stage.open_page(seeded)

    def test_lost_cancel(self, stage: Stage, seeded: SeededPayment) -> None:
        """A cancellation whose answer was lost is asked for again, which does no harm."""
        create(stage, seeded)
        stage.sandbox.fault("/payment/invoice/cancel", "html_200", times=0)
        with pytest.raises(GatewaySilent):
            stage.world.invoices.cancel(seeded.payment_id, stage.context())
        stage.sandbox.clear_faults()
        assert stage.world.invoices.cancel(seeded.payment_id, stage.context())["state"] == "cancelled"

    def test_sms(self, stage: Stage, seeded: SeededPayment) -> None:
        """Its link is sent once per id, and the number is kept nowhere."""
        number = create(stage, seeded)["invoice_id"]
        send = stage.world.invoices.send_sms
        states = [send(seeded.payment_id, "+966500000123", "sms-1", stage.context())["state"] for _ in range(2)]
        assert states == ["sent", "asked before"]
        assert len(stage.sandbox.requests(f"/payment/invoice/{number}/sms")) == 1
        assert "966500000123" not in str([stage.rows(seeded), stage.facts(seeded)])

    def test_no_bill(self, stage: Stage, seeded: SeededPayment) -> None:
        """A payment without a bill has nothing to act on."""
        with pytest.raises(InvalidArgument, match="with an invoice"):
            stage.world.invoices.status(seeded.payment_id, stage.context())
