from datetime import timedelta
from typing import Any

import pytest

from payments.accepting import InvoiceTerms
from payments.errors import GatewaySilent, InvalidArgument, NotYet, OperationConflict
from payments.operations import Status
from paytabs.client import PayTabsClient
from paytabs.responses import Answer
from tests.integration.payments.stage import SETTLED_SECONDS, Interrupted, Stage
from tests.integration.payments.test_parked import AGREED, BRIEF, break_gateway
from tests.support.cms import SeededPayment, seed_payment
from tests.support.waiting import eventually

LINES = {
    "line_items": [{"description": "Second instalment", "quantity": "1", "unit_cost": "115.00", "total": "115.00"}]
}


def create(stage: Stage, seeded: SeededPayment, operation_id: str = "bill-1", **changes: Any) -> dict[str, Any]:
    """Bill a payment."""
    terms = InvoiceTerms({**LINES, **changes})
    return stage.world.invoices.create(seeded.payment_id, terms, operation_id, stage.context())


#: The call that says that a bill was paid.
MARK = "/payment/invoice/paid"


def mark(stage: Stage, seeded: SeededPayment, act_id: str = "mark-1", method: str = "banktransfer") -> dict[str, Any]:
    """Say that it was paid at the bank."""
    return stage.world.invoices.mark_paid(seeded.payment_id, method, "at the bank", act_id, stage.context())


def text(stage: Stage, seeded: SeededPayment, act_id: str = "sms-1", phone: str = "+966500000123") -> str:
    """Have its link sent, and return how that stands."""
    return str(stage.world.invoices.send_sms(seeded.payment_id, phone, act_id, stage.context())["state"])


def acts(stage: Stage) -> list[Any]:
    """List what is noted of acts."""
    return [act for row in stage.database["payment_operations"].find() for act in row.get("acts", [])]


def kill_in(stage: Stage, monkeypatch: pytest.MonkeyPatch, call: str, *, before: bool) -> None:
    """Kill the worker right before, or right after, the next call of that name has reached PayTabs; then restart."""
    real = getattr(PayTabsClient, call)

    def killed(self: PayTabsClient, *args: Any, **kwargs: Any) -> Answer:
        monkeypatch.setattr(PayTabsClient, call, real)
        if not before:
            real(self, *args, **kwargs)
        raise Interrupted

    monkeypatch.setattr(PayTabsClient, call, killed)
    stage.world = stage.another_world()


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

    def test_who_asked(self, stage: Stage, seeded: SeededPayment) -> None:
        """Each act has its document: what, when, for whom, and how far it came."""
        create(stage, seeded)
        text(stage, seeded)
        mark(stage, seeded)
        told = [(act["id"], act["kind"], act["by"], act["state"]) for act in acts(stage)]
        assert told == [("sms-1", "send_sms", "tests", "done"), ("mark-1", "mark_paid", "tests", "done")]
        assert {act["at"] for act in acts(stage)} == {stage.clock.now}

    def test_no_bill(self, stage: Stage, seeded: SeededPayment) -> None:
        """A payment without a bill has nothing to act on."""
        with pytest.raises(InvalidArgument, match="with an invoice"):
            stage.world.invoices.status(seeded.payment_id, stage.context())


class TestSameId:
    """An id stands for one act with its parameters."""

    def test_other_parameters(self, stage: Stage, seeded: SeededPayment) -> None:
        """Another number, another act, another method: each is refused by its name, and nothing is sent."""
        number = create(stage, seeded)["invoice_id"]
        assert text(stage, seeded, "x") == "sent"
        with pytest.raises(OperationConflict, match="phone"):
            text(stage, seeded, "x", "+966500000999")
        with pytest.raises(OperationConflict, match="send_sms, as act x was first asked"):
            mark(stage, seeded, "x")
        assert mark(stage, seeded, "y", "cash")["act"] == "done"
        with pytest.raises(OperationConflict, match="pay_method"):
            mark(stage, seeded, "y", "cheque")
        assert len(stage.sandbox.requests(f"/payment/invoice/{number}/sms")) == 1
        assert len(stage.sandbox.requests(MARK)) == 1

    def test_other_payment(self, stage: Stage, seeded: SeededPayment) -> None:
        """Neither another payment's act nor an operation lends its id."""
        create(stage, seeded)
        assert text(stage, seeded, "x") == "sent"
        other = seed_payment(stage.database)
        create(stage, other, "bill-2")
        with pytest.raises(OperationConflict, match=seeded.payment_id):
            text(stage, other, "x")
        with pytest.raises(OperationConflict, match="stands for an operation"):
            mark(stage, seeded, "bill-1")

    def test_of_an_earlier_version(self, stage: Stage, seeded: SeededPayment) -> None:
        """Of an id that stands alone nobody knows what became: a text is not sent, a mark once it would show."""
        create(stage, seeded)
        stage.database["payment_operations"].update_one({"_id": "bill-1"}, {"$set": {"acts": ["sms-1", "mark-1"]}})
        assert text(stage, seeded) == "unknown"
        with pytest.raises(NotYet, match="unknown"):
            mark(stage, seeded)
        stage.clock.advance(SETTLED_SECONDS)
        assert mark(stage, seeded)["act"] == "done"
        assert text(stage, seeded) == "unknown"
        assert [act["kind"] for act in acts(stage)] == ["send_sms", "mark_paid"]


class TestInDoubt:
    """An act whose outcome is not known is neither forgotten nor taken for done."""

    def test_carried_out(self, stage: Stage, seeded: SeededPayment) -> None:
        """A mark of which only the answer was lost is done at once."""
        create(stage, seeded)
        stage.sandbox.fault(MARK, "cut_after_accept")
        assert mark(stage, seeded)["act"] == "done"
        assert (stage.state(seeded), len(stage.sandbox.requests(MARK))) == ("PAID", 1)

    def test_lost(self, stage: Stage, seeded: SeededPayment) -> None:
        """One that PayTabs did not carry out is sent once more when it would show, and not before."""
        create(stage, seeded)
        stage.sandbox.fault(MARK, "http_500")
        for passed in (0, SETTLED_SECONDS - 1):
            stage.clock.advance(passed)
            with pytest.raises(NotYet, match="unknown") as waiting:
                mark(stage, seeded)
            assert waiting.value.delay_seconds == pytest.approx(SETTLED_SECONDS - passed)
            assert len(stage.sandbox.requests(MARK)) == 1
        stage.clock.advance(1)
        told = mark(stage, seeded)
        assert (told["act"], told["invoice_status"], told["state"]) == ("done", "paid", "PAID")
        assert len(stage.sandbox.requests(MARK)) == 2

    @pytest.mark.parametrize("before", [True, False])
    def test_killed_while_marking(
        self, stage: Stage, seeded: SeededPayment, monkeypatch: pytest.MonkeyPatch, before: bool
    ) -> None:
        """A worker killed at the call leaves an act that the next one finishes, whether or not PayTabs heard of it."""
        create(stage, seeded)
        kill_in(stage, monkeypatch, "mark_invoice_paid", before=before)
        with pytest.raises(Interrupted):
            mark(stage, seeded)
        assert [act["state"] for act in acts(stage)] == ["sent"]
        if before:
            stage.clock.advance(10)
            with pytest.raises(NotYet, match="unknown"):
                mark(stage, seeded)
            stage.clock.advance(SETTLED_SECONDS - 10)
        assert mark(stage, seeded)["act"] == "done"
        assert len(stage.sandbox.requests(MARK)) == 1
        assert [act["state"] for act in acts(stage)] == ["done"]

    def test_late(self, stage: Stage, seeded: SeededPayment) -> None:
        """A second word for what is paid meanwhile is refused by PayTabs, and yet done."""
        create(stage, seeded)
        stage.sandbox.fault(MARK, "http_500")
        with pytest.raises(NotYet, match="unknown"):
            mark(stage, seeded)
        assert mark(stage, seeded, "mark-2")["act"] == "done"
        assert mark(stage, seeded)["act"] == "done"
        assert len(stage.sandbox.requests(MARK)) == 2

    def test_refused(self, stage: Stage, seeded: SeededPayment) -> None:
        """What PayTabs refuses is noted so, and may be asked for again."""
        create(stage, seeded)
        stage.world.invoices.cancel(seeded.payment_id, stage.context())
        for _ in range(2):
            with pytest.raises(InvalidArgument, match="cancelled"):
                mark(stage, seeded)
        assert [act["state"] for act in acts(stage)] == ["refused"]
        assert len(stage.sandbox.requests(MARK)) == 2

    def test_text(self, stage: Stage, seeded: SeededPayment) -> None:
        """A text that may have been sent is not sent again, however late, but under a new id."""
        number = create(stage, seeded)["invoice_id"]
        path = f"/payment/invoice/{number}/sms"
        stage.sandbox.fault(path, "cut_after_accept")
        assert text(stage, seeded) == "unknown"
        stage.clock.now += timedelta(days=1)
        assert text(stage, seeded) == "unknown"
        assert len(stage.sandbox.requests(path)) == 1
        assert text(stage, seeded, "sms-2") == "sent"

    def test_killed_while_texting(self, stage: Stage, seeded: SeededPayment, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nor is one at which the worker was killed."""
        create(stage, seeded)
        kill_in(stage, monkeypatch, "send_invoice_sms", before=False)
        with pytest.raises(Interrupted):
            text(stage, seeded)
        assert text(stage, seeded) == "unknown"


class TestParked:
    """While PayTabs may not be called, who asks is told when to come back, and nothing is noted."""

    def test_told_when(self, stage: Stage, seeded: SeededPayment) -> None:
        """Every task says so."""
        create(stage, seeded)
        stage.world = stage.another_world(breaker=AGREED)
        break_gateway(stage.world)
        calls = stage.world.invoices
        for ask in (
            lambda: text(stage, seeded),
            lambda: mark(stage, seeded),
            lambda: calls.status(seeded.payment_id, stage.context()),
            lambda: calls.cancel(seeded.payment_id, stage.context()),
        ):
            with pytest.raises(NotYet, match="parked") as waiting:
                ask()
            assert 25 < waiting.value.delay_seconds <= 35
            assert waiting.value.payment_id == seeded.payment_id
        assert acts(stage) == []

    def test_again(self, stage: Stage, seeded: SeededPayment) -> None:
        """Asked again under the same id once PayTabs may be called, it is done."""
        create(stage, seeded)
        stage.world = stage.another_world(breaker=BRIEF)
        break_gateway(stage.world)
        with pytest.raises(NotYet, match="parked"):
            text(stage, seeded)
        gate = stage.world.gateway.gate
        eventually(lambda: gate.breaker.state() == "half-open", what="the end of the open time")
        assert text(stage, seeded) == "sent"
        assert [act["state"] for act in acts(stage)] == ["done"]
