import json
from typing import Any

import pytest

from payments.redacting import digest, redacted_body, redacted_delivery, redacted_letter, redacted_operation, same_words
from paytabs.responses import parse_notification

#: A notice as PayTabs sends it, with all that it tells of the payer.
NOTICE: dict[str, Any] = {
    "tran_ref": "TST2621800000101", "previous_tran_ref": "TST2621800000100", "merchant_id": 10001, "profile_id": 987654,
    "cart_id": "nw-0123456789abcdef0123456789abcdef", "cart_description": "Huda's villa", "cart_currency": "SAR",
    "cart_amount": "115.00", "tran_currency": "SAR", "tran_total": 115.00, "tran_type": "Sale", "tran_class": "ECom",
    "customer_ref": "huda", "token": "2C4652BF67A3EA33C6B590FE658078BD",
    "customer_details": {"name": "Huda Payer", "email": "huda@example.com", "phone": "+966512345678",
                         "street1": "12 King Fahd Road", "city": "Riyadh", "country": "SA", "ip": "10.1.2.3"},
    "shipping_details": {"name": "Omar Engineer"}, "user_defined": {"udf1": "Huda"},
    "payment_result": {"response_status": "A", "response_code": "G12345", "response_message": "Authorised for Huda",
                       "transaction_time": "2026-08-06T10:15:30Z", "acquirer_rrn": "621810001234"},
    "payment_info": {"payment_method": "Visa", "payment_description": "4111 11## #### 1111", "expiryYear": 2033},
    "ipn_trace": "IPNS0201.1", "paymentChannel": "Payment Page",
}  # fmt: skip

#: What is left of it.
LEFT = {
    "tran_ref": "TST2621800000101", "previous_tran_ref": "TST2621800000100", "tran_type": "Sale", "tran_class": "ECom",
    "cart_id": "nw-0123456789abcdef0123456789abcdef", "cart_currency": "SAR", "cart_amount": "115.00",
    "tran_currency": "SAR", "tran_total": "115.0", "merchant_id": 10001, "profile_id": 987654,
    "ipn_trace": "IPNS0201.1",
    "payment_result": {"response_status": "A", "response_code": "G12345", "transaction_time": "2026-08-06T10:15:30Z"},
}  # fmt: skip


class TestBody:
    """What stays of a notice."""

    def test_notice(self) -> None:
        """References, amounts, codes and times; nothing of the payer, of the card, or in words."""
        assert json.loads(redacted_body(json.dumps(NOTICE).encode())) == LEFT

    def test_reads_as_before(self) -> None:
        """It is still a notice, of the same transaction, amount, status and time."""
        before, after = (parse_notification(body) for body in (_bytes(NOTICE), redacted_body(_bytes(NOTICE))))
        for name in ("tran_ref", "cart_id", "tran_total", "cart_amount", "response_status", "transaction_time"):
            assert getattr(before, name) == getattr(after, name), name

    def test_again(self) -> None:
        """Once more changes nothing."""
        once = redacted_body(_bytes(NOTICE))
        assert redacted_body(once) == once

    @pytest.mark.parametrize(
        "body",
        [
            b"", b"<html>Huda Payer</html>", b'"huda@example.com"', b"[{}]", b"\xff\xfe", b'{"a":1,"a":2}', b"[" * 5000,
            b'{"tran_ref": {"name": "Huda"}, "cart_id": ["Huda"], "tran_total": true, "payment_result": "Huda"}',
            b'{"cart_id": "Huda Payer", "tran_ref": "huda@example.com", "payment_result": {"response_code": "a b"}}',
        ],
    )  # fmt: skip
    def test_no_notice(self, body: bytes) -> None:
        """Nothing stays of what never was a notice, nor of what is no reference under a reference's name."""
        assert redacted_body(body) == b"{}"


class TestRows:
    """How rows are changed."""

    def test_delivery(self) -> None:
        """Headers that tell of senders go."""
        headers = {"content-type": "application/json", "signature": "ab", "x-forwarded-for": "10.1.2.3"}
        changes = redacted_delivery({"body": _bytes(NOTICE), "headers": headers})
        assert changes["$set"]["headers"] == {"content-type": "application/json"}

    def test_operation(self) -> None:
        """Words go; what a caller said is known again by its digest, and everything else stays."""
        asked = {"action": "refund", "amount": "1.00", "reason": "Huda asked"}
        params = {"title": "Huda asked", "amount": "1.00", "on": "T1", "asked": asked}
        changes = redacted_operation({"params": params, "error": "worker_lost"})
        assert changes["$set"] == {"params.asked.reason": digest("Huda asked"), "error": "worker_lost"}
        assert "params.title" in changes["$unset"]
        assert "params.amount" not in changes["$unset"]

    @pytest.mark.parametrize(
        ("error", "left"),
        [
            (None, None),
            ("not sent: the payment is PAID", "not sent: the payment is PAID"),
            ("PayTabs refused the request with code 4: Huda\nPayer", "PayTabs refused the request with code 4"),
            ("settled by omar: Huda has called", "settled by omar"),
        ],
    )
    def test_error(self, error: str | None, left: str | None) -> None:
        """Of an error that repeats what others wrote, our own part stays."""
        assert redacted_operation({"params": {}, "error": error})["$set"]["error"] == left

    def test_letter(self) -> None:
        """A dead letter keeps which task it was and what it was about."""
        arguments = json.dumps(
            {"args": [], "kwargs": {"payment_id": "64b0", "phone": "+966512345678", "amount": "1.00"}}
        )
        changes = redacted_letter({"arguments": arguments})["$set"]
        assert json.loads(changes["arguments"]) == {"args": [], "kwargs": {"payment_id": "64b0", "amount": "1.00"}}
        assert (changes["intact"], changes["raw"], changes["text"]) == (False, None, "[redacted]")
        assert redacted_letter({"arguments": None})["$set"]["arguments"] is None

    @pytest.mark.parametrize(
        "arguments",
        ["Huda", "[]", pytest.param("[" * 100_000, id="deep"), '{"kwargs": "Huda"}', '{"kwargs": {"amount": []}}', 7],
    )
    def test_strange_letter(self, arguments: object) -> None:
        """One that somebody else has written down stops nobody, and nothing of it stays."""
        changes = redacted_letter({"arguments": arguments})["$set"]
        assert json.loads(changes["arguments"]) == {"args": [], "kwargs": {}}


class TestSameWords:
    """An operation asked again after its words are gone."""

    def test_known(self) -> None:
        """The same words are known by their digest, in whatever order their members come; others are not."""
        stands = digest({"line_items": [{"sku": "a", "total": "1.00"}]})
        assert same_words({"line_items": [{"total": "1.00", "sku": "a"}]}, stands)
        assert not same_words({"line_items": [{"total": "1.01", "sku": "a"}]}, stands)
        assert not same_words(None, stands)
        assert same_words(None, None)


def _bytes(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()
