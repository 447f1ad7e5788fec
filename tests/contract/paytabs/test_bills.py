from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from paytabs.invoices import InvoicePaidRequest
from paytabs.responses import Answer, Outcome
from tests.contract.paytabs.shop import Shop, transaction_of


def number_of(answer: Answer) -> int:
    """Give a new invoice's number, which has to be there."""
    assert answer.invoice_id is not None, answer
    return answer.invoice_id


def paid_in_cash(number: int, total: str = "100.00") -> InvoicePaidRequest:
    """Make the word that an invoice was paid at the desk."""
    return InvoicePaidRequest(
        invoice_id=number,
        invoice_currency="SAR",
        invoice_total=total,
        pay_method="cash",
        pay_description="at the desk",
    )


class TestInvoice:
    """An invoice from its link to its payment."""

    def test_made(self, shop: Shop) -> None:
        """It has a number and a link, and waits for its payer."""
        answer = shop.invoice(expiry_date=datetime.now(UTC) + timedelta(days=8))
        assert (answer.outcome, answer.detail) == (Outcome.SUCCEEDED, "invoice")
        assert answer.invoice_link is not None
        assert str(answer.invoice_id) in answer.invoice_link
        assert answer.trace is not None
        status = shop.client.invoice_status(number_of(answer))
        assert (status.outcome, status.invoice_status, status.transaction) == (Outcome.PENDING, "pending", None)

    def test_paid_then_voided(self, shop: Shop) -> None:
        """Paid is success, until the payment is voided: the invoice goes on saying `paid`, the outcome does not."""
        number = number_of(shop.invoice())
        done = shop.sandbox._desk("POST", "pay", {"invoice_id": number, "card": "authorised"})
        status = shop.client.invoice_status(number)
        assert (status.outcome, status.invoice_status) == (Outcome.SUCCEEDED, "paid")
        assert transaction_of(status).tran_ref == done["tran_ref"]
        shop.sandbox.dashboard(done["tran_ref"], "void")
        voided = shop.client.invoice_status(number)
        assert (voided.outcome, voided.invoice_status) == (Outcome.REFUSED, "paid")
        assert transaction_of(voided).response_status == "V"

    def test_expiry_passed(self, shop: Shop) -> None:
        """One that has expired before it was made did not happen."""
        answer = shop.invoice(expiry_date=datetime.now(UTC) - timedelta(days=1))
        assert (answer.outcome, answer.detail) == (Outcome.DID_NOT_HAPPEN, "code_2")

    @pytest.mark.parametrize("kind", ["cut_after_accept", "http_500", "html_200"])
    def test_lost_answer(self, shop: Shop, kind: str) -> None:
        """An invoice whose answer was lost is unknown, and is not asked for again."""
        shop.sandbox.fault("/payment/invoice/new", kind)
        assert shop.invoice().outcome is Outcome.UNKNOWN
        assert len(shop.sandbox.requests("/payment/invoice/new")) == 1

    def test_sms(self, shop: Shop) -> None:
        """Its link goes to a telephone."""
        number = number_of(shop.invoice())
        answer = shop.client.send_invoice_sms(number, "0500000000")
        assert (answer.outcome, answer.detail, answer.invoice_id) == (Outcome.SUCCEEDED, "sent", number)

    @pytest.mark.parametrize("http_status", [400, 200, 404])
    def test_unknown(self, shop: Shop, http_status: int) -> None:
        """What is said of an invoice nobody has did not happen, under each status of a refusal."""
        shop.sandbox.switch(code2_http_status=http_status)
        for answer in (
            shop.client.invoice_status(1),
            shop.client.cancel_invoice(1),
            shop.client.send_invoice_sms(1, "0500000000"),
            shop.client.mark_invoice_paid(paid_in_cash(1)),
        ):
            assert (answer.outcome, answer.detail) == (Outcome.DID_NOT_HAPPEN, "code_2")


class TestEnd:
    """How an invoice ends without its payer."""

    @pytest.mark.parametrize("code", ["zero", "null"])
    def test_cancelled(self, shop: Shop, code: str) -> None:
        """It is cancelled, whether the code is a text or null."""
        shop.sandbox.switch(invoice_cancel_code=code)
        number = number_of(shop.invoice())
        answer = shop.client.cancel_invoice(number)
        assert (answer.outcome, answer.detail) == (Outcome.SUCCEEDED, "cancelled")
        status = shop.client.invoice_status(number)
        assert (status.outcome, status.invoice_status) == (Outcome.REFUSED, "cancelled")

    @pytest.mark.parametrize("kind", ["cut_after_accept", "http_500"])
    def test_cancel_in_doubt(self, shop: Shop, kind: str) -> None:
        """A cancellation whose answer was lost is repeated; the status tells how it ended, if the repetition cannot."""
        number = number_of(shop.invoice())
        shop.sandbox.fault("/payment/invoice/cancel", kind)
        answer = shop.client.cancel_invoice(number)
        assert answer.detail in {"cancelled", "earlier_copy_unknown"}
        assert shop.client.invoice_status(number).invoice_status == "cancelled"

    def test_paid_elsewhere(self, shop: Shop) -> None:
        """It was paid at the desk: PayTabs books a transaction of that amount."""
        number = number_of(shop.invoice())
        answer = shop.client.mark_invoice_paid(paid_in_cash(number))
        assert (answer.outcome, answer.invoice_id) == (Outcome.SUCCEEDED, number)
        assert transaction_of(answer).tran_total == Decimal(100)
        assert shop.client.invoice_status(number).outcome is Outcome.SUCCEEDED

    def test_other_total(self, shop: Shop) -> None:
        """Another total than the invoice's is refused."""
        answer = shop.client.mark_invoice_paid(paid_in_cash(number_of(shop.invoice()), "99.99"))
        assert answer.outcome is Outcome.DID_NOT_HAPPEN

    @pytest.mark.parametrize("setting", ["refused", "allowed"])
    def test_final(self, shop: Shop, setting: str) -> None:
        """A paid one cannot be cancelled and a cancelled one not be paid, or both can: we are told which."""
        shop.sandbox.switch(final_invoices=setting)
        expected = Outcome.DID_NOT_HAPPEN if setting == "refused" else Outcome.SUCCEEDED
        paid = number_of(shop.invoice())
        assert shop.client.mark_invoice_paid(paid_in_cash(paid)).outcome is Outcome.SUCCEEDED
        assert shop.client.cancel_invoice(paid).outcome is expected
        cancelled = number_of(shop.invoice())
        assert shop.client.cancel_invoice(cancelled).outcome is Outcome.SUCCEEDED
        assert shop.client.mark_invoice_paid(paid_in_cash(cancelled)).outcome is expected
