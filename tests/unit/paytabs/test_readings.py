import json
from decimal import Decimal
from typing import Any

import pytest

from paytabs.responses import Answer, Call, Outcome, classify

VOID = {
    "tran_ref": "TST2621800000110",
    "previous_tran_ref": "TST2621800000109",
    "tran_type": "Void",
    "cart_id": "op-5c1f-void",
    "cart_currency": "SAR",
    "cart_amount": "120.30",
    "tran_currency": "SAR",
    "tran_total": "120.30",
    "trace": "PMNT0201.6A745FD0.00000013",
}
TOKEN = {
    "tran_ref": "TST2621800000090",
    "payment_info": {"card_type": "Credit", "card_scheme": "Visa", "payment_description": "4111 11## #### 1111"},
    "customer_details": {"name": "Test Buyer", "country": "SA"},
}
INVOICE = {
    "invoice_id": 5829212,
    "invoice_link": "https://secure.paytabs.sa/payment/request/invoice/5829212/4D7879D2E289416E94330E0905E60C12",
    "trace_code": "PMNT0402.6A745EC2.000668D2",
}


def read(call: Call, document: object, http_status: int = 200) -> Answer:
    """Classify a document."""
    return classify(http_status, json.dumps(document).encode(), call=call)


def result(status: str, code: str = "G30516") -> dict[str, Any]:
    """Make a payment result."""
    return {"payment_result": {"response_status": status, "response_code": code, "response_message": "m"}}


class TestFollowUp:
    """The answer to a capture, void, release or refund."""

    def test_done(self) -> None:
        """A new transaction that acts upon an earlier one."""
        answer = read(Call.FOLLOW_UP, VOID | result("A"))
        assert (answer.outcome, answer.detail) == (Outcome.SUCCEEDED, "completed")
        assert answer.transaction is not None
        assert answer.transaction.previous_tran_ref == "TST2621800000109"
        assert answer.transaction.tran_total == Decimal("120.30")

    @pytest.mark.parametrize(
        ("status", "code", "outcome"),
        [
            ("E", "120", Outcome.REFUSED),
            ("E", "991", Outcome.REFUSED),
            ("D", "342", Outcome.REFUSED),
            ("P", "600", Outcome.PENDING),
            ("H", "G1", Outcome.PENDING),
            ("X", "355", Outcome.REFUSED),
        ],
    )
    def test_not_done(self, status: str, code: str, outcome: Outcome) -> None:
        """A refusal is a normal answer with a reference and the status 200; a refund may be waiting."""
        answer = read(Call.FOLLOW_UP, VOID | result(status, code))
        assert (answer.outcome, answer.http_status) == (outcome, 200)
        assert answer.transaction is not None
        assert (answer.transaction.response_status, answer.transaction.response_code) == (status, code)

    @pytest.mark.parametrize("status", ["V", "Q", ""])
    def test_unknown_status(self, status: str) -> None:
        """A follow-up that calls itself voided, or something new, is neither done nor refused."""
        answer = read(Call.FOLLOW_UP, VOID | result(status))
        assert (answer.outcome, answer.detail) == (Outcome.UNKNOWN, "unknown_status")

    def test_no_page(self) -> None:
        """There is no payer to send anywhere: a page says nothing of a follow-up."""
        page = VOID | {"redirect_url": "https://secure.paytabs.sa/payment/wr/5D98"}
        assert read(Call.FOLLOW_UP, page).detail == "unexpected_shape"
        assert read(Call.FOLLOW_UP, page | result("A")).outcome is Outcome.SUCCEEDED

    @pytest.mark.parametrize("code", [1, 2, 101, 206])
    def test_envelope(self, code: int) -> None:
        """A listed code proves that nothing was done; code 2 is no "not found" here, it has many meanings."""
        answer = read(Call.FOLLOW_UP, {"code": code, "message": "m"}, 400)
        assert (answer.outcome, answer.detail) == (Outcome.DID_NOT_HAPPEN, f"code_{code}")


class TestCharge:
    """The answer to a charge without a page."""

    @pytest.mark.parametrize(
        ("status", "outcome"), [("A", Outcome.SUCCEEDED), ("H", Outcome.PENDING), ("D", Outcome.REFUSED)]
    )
    def test_completed(self, status: str, outcome: Outcome) -> None:
        """The status decides; a token that was made on the way is kept."""
        answer = read(Call.CHARGE, {"tran_ref": "T", "token": "2C46"} | result(status))
        assert answer.transaction is not None
        assert (answer.outcome, answer.detail, answer.transaction.token) == (outcome, "completed", "2C46")

    def test_payer_has_to_act(self) -> None:
        """A page is no charge: nothing has been taken yet."""
        answer = read(Call.CHARGE, {"tran_ref": "T", "redirect_url": "https://secure.paytabs.sa/payment/wr/5D98"})
        assert (answer.outcome, answer.detail) == (Outcome.PENDING, "redirect")
        assert answer.transaction is not None
        assert answer.transaction.is_page


class TestToken:
    """The answers about a stored card."""

    def test_found(self) -> None:
        """The masked card and the transaction that made the token, without a result."""
        answer = read(Call.QUERY_TOKEN, TOKEN)
        assert (answer.outcome, answer.detail) == (Outcome.SUCCEEDED, "found")
        assert answer.transaction is not None
        assert answer.transaction.payment_description == "4111 11## #### 1111"
        assert answer.transaction.response_status is None

    @pytest.mark.parametrize("document", [{}, {"tran_ref": "T"}, {"payment_info": {}}, TOKEN | {"tran_ref": 5}])
    def test_something_else(self, document: object) -> None:
        """Without the card, or without the reference, it is another answer."""
        assert read(Call.QUERY_TOKEN, document).outcome is Outcome.UNKNOWN

    @pytest.mark.parametrize("call", [Call.QUERY_TOKEN, Call.DELETE_TOKEN])
    def test_not_found(self, call: Call) -> None:
        """Code 2 says that there is no such token."""
        answer = read(call, {"code": 2, "message": "Invalid token"}, 400)
        assert (answer.outcome, answer.detail) == (Outcome.DID_NOT_HAPPEN, "not_found")

    @pytest.mark.parametrize("code", [0, "0"])
    def test_deleted(self, code: object) -> None:
        """Code 0 is success, as a number and as text."""
        answer = read(Call.DELETE_TOKEN, {"code": code, "message": "Token deleted", "trace": "PMNT1"})
        assert (answer.outcome, answer.detail) == (Outcome.SUCCEEDED, "deleted")
        assert (answer.message, answer.trace, answer.error_code) == ("Token deleted", "PMNT1", None)

    @pytest.mark.parametrize("code", [None, "", False, 0.0, -1, "gone", [0]])
    def test_not_deleted(self, code: object) -> None:
        """Nothing else is."""
        assert read(Call.DELETE_TOKEN, {"code": code, "message": "Token deleted"}).detail == "unexpected_shape"


class TestInvoice:
    """The answers about invoices."""

    @pytest.mark.parametrize("number", [5829212, "5829212"])
    def test_created(self, number: object) -> None:
        """Its number and its link; the trace has another name here."""
        answer = read(Call.CREATE_INVOICE, INVOICE | {"invoice_id": number})
        assert (answer.outcome, answer.invoice_id) == (Outcome.SUCCEEDED, 5829212)
        assert (answer.invoice_link, answer.trace) == (INVOICE["invoice_link"], INVOICE["trace_code"])

    @pytest.mark.parametrize(
        "member",
        [{"invoice_id": None}, {"invoice_id": "x"}, {"invoice_id": True}, {"invoice_link": ""}, {"invoice_link": 5}],
    )
    def test_not_created(self, member: dict[str, Any]) -> None:
        """Without a number or a link there is no invoice to speak of."""
        assert read(Call.CREATE_INVOICE, INVOICE | member).outcome is Outcome.UNKNOWN

    @pytest.mark.parametrize(
        ("status", "tran_status", "outcome"),
        [
            ("pending", None, Outcome.PENDING),
            ("overdue", None, Outcome.PENDING),
            ("pending", "D", Outcome.PENDING),
            ("paid", "A", Outcome.SUCCEEDED),
            ("Paid", "A", Outcome.SUCCEEDED),
            ("paid", None, Outcome.SUCCEEDED),
            ("paid", "V", Outcome.REFUSED),
            ("paid", "H", Outcome.PENDING),
            ("paid", "Q", Outcome.UNKNOWN),
            ("refunded", "A", Outcome.REFUSED),
            ("cancelled", None, Outcome.REFUSED),
            ("expired", None, Outcome.REFUSED),
            ("failed", "D", Outcome.REFUSED),
            ("cancelled", "A", Outcome.UNKNOWN),
            ("pending", "A", Outcome.UNKNOWN),
            ("forgiven", None, Outcome.UNKNOWN),
        ],
    )
    def test_status(self, status: str, tran_status: str | None, outcome: Outcome) -> None:
        """Paid is only what stands: a voided payment leaves the invoice `paid`, and contradictions are unknown."""
        document: dict[str, Any] = {"invoice_status": status}
        if tran_status is not None:
            document |= {"tran_ref": "TST1", "tran_status": tran_status, "tran_status_msg": "m"}
        answer = read(Call.INVOICE_STATUS, document)
        assert (answer.outcome, answer.invoice_status) == (outcome, status.lower())
        assert (answer.transaction.response_status if answer.transaction else None) == tran_status

    @pytest.mark.parametrize("call", [Call.INVOICE_STATUS, Call.CANCEL_INVOICE, Call.MARK_INVOICE_PAID])
    def test_refused(self, call: Call) -> None:
        """Code 2 has several meanings for an invoice, so it stays a code."""
        answer = read(call, {"code": 2, "message": "Invoice expiry date has passed"}, 400)
        assert (answer.outcome, answer.detail) == (Outcome.DID_NOT_HAPPEN, "code_2")

    @pytest.mark.parametrize("code", ["0", 0, None])
    def test_cancelled(self, code: object) -> None:
        """The code of a cancellation is a text, and may be null."""
        answer = read(Call.CANCEL_INVOICE, {"code": code, "message": "Invoice cancelled", "trace": "t"})
        assert (answer.outcome, answer.detail) == (Outcome.SUCCEEDED, "cancelled")

    @pytest.mark.parametrize("document", [{}, {"message": "m"}, {"code": None}, {"code": "x", "message": "m"}])
    def test_not_cancelled(self, document: object) -> None:
        """Without a code or a sentence nothing was acknowledged."""
        assert read(Call.CANCEL_INVOICE, document).detail == "unexpected_shape"

    def test_sms(self) -> None:
        """A sentence acknowledges an SMS, though not one from in front of the gateway."""
        assert read(Call.SEND_INVOICE_SMS, {"message": "SMS sent", "trace": "t"}).detail == "sent"
        for document in ({"message": ""}, {}, {"message": "m", "code": "x"}):
            assert read(Call.SEND_INVOICE_SMS, document).outcome is Outcome.UNKNOWN

    @pytest.mark.parametrize("call", [Call.DELETE_TOKEN, Call.CANCEL_INVOICE, Call.SEND_INVOICE_SMS])
    @pytest.mark.parametrize("http_status", [302, 400, 404, 500, 503])
    def test_only_under_success(self, call: Call, http_status: int) -> None:
        """A sentence under another status is no acknowledgement, whatever it says."""
        assert read(call, {"code": "0", "message": "no Route matched"}, http_status).outcome is Outcome.UNKNOWN

    def test_marked_paid(self) -> None:
        """The echo has a transaction with the amount that was booked, and no status."""
        document = {
            "profile_id": 987654,
            "invoice_id": 7,
            "invoice_currency": "SAR",
            "invoice_total": "115.00",
            "pay_method": "cash",
            "tran_ref": "TST9",
        }
        answer = read(Call.MARK_INVOICE_PAID, document)
        assert (answer.outcome, answer.invoice_id) == (Outcome.SUCCEEDED, 7)
        assert answer.transaction is not None
        assert (answer.transaction.tran_ref, answer.transaction.tran_total) == ("TST9", Decimal("115.00"))
        assert read(Call.MARK_INVOICE_PAID, document | result("E")).outcome is Outcome.REFUSED
        assert read(Call.MARK_INVOICE_PAID, {"invoice_id": 7}).outcome is Outcome.UNKNOWN
