import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from paytabs.errors import MalformedBody
from paytabs.responses import parse_notification, parse_transaction

NOTICE: dict[str, Any] = {
    "tran_ref": "TST2621800000101",
    "previous_tran_ref": "TST2621800000100",
    "merchant_id": 10001,
    "profile_id": 987654,
    "cart_id": "INV-2026-0001",
    "cart_currency": "SAR",
    "cart_amount": "115.00",
    "tran_currency": "SAR",
    "tran_total": "115.00",
    "tran_type": "Sale",
    "tran_class": "ECom",
    "payment_result": {
        "response_status": "A",
        "response_code": "G12345",
        "response_message": "Authorised",
        "transaction_time": "2026-08-06T13:15:30+03:00",
    },
    "payment_info": {"payment_method": "Visa", "card_scheme": "Visa", "payment_description": "4111 11## #### 1111"},
    "token": "2C4656BF67A3E43DC6BE93FE00000001",
    "a_member_of_tomorrow": {"x": [1]},
}


def notice(**members: Any) -> bytes:
    """Write a notification that is right but for what is given."""
    return json.dumps(NOTICE | members).encode()


class TestNotification:
    """Callbacks and IPNs."""

    def test_whole(self) -> None:
        """Every member we use is read in our form: Decimal, aware UTC, lower-case type."""
        transaction = parse_notification(notice())
        assert transaction.tran_ref == "TST2621800000101"
        assert transaction.previous_tran_ref == "TST2621800000100"
        assert (transaction.tran_type, transaction.response_status) == ("sale", "A")
        assert (transaction.cart_amount, transaction.tran_total) == (Decimal("115.00"), Decimal("115.00"))
        assert (transaction.cart_currency, transaction.tran_currency) == ("SAR", "SAR")
        assert transaction.transaction_time == datetime(2026, 8, 6, 10, 15, 30, tzinfo=UTC)
        assert transaction.transaction_time.tzinfo is UTC
        assert transaction.profile_id == 987654
        assert (transaction.payment_method, transaction.payment_description) == ("Visa", "4111 11## #### 1111")
        assert not transaction.is_page

    @pytest.mark.parametrize("member", ["tran_ref", "profile_id", "cart_id", "tran_type"])
    @pytest.mark.parametrize("value", [None, "", "  "])
    def test_missing(self, member: str, value: object) -> None:
        """A notification without what identifies it is refused by name."""
        with pytest.raises(MalformedBody) as caught:
            parse_notification(notice(**{member: value}))
        assert caught.value.field == member

    @pytest.mark.parametrize("result", [None, {}, {"response_status": ""}, {"response_status": " "}])
    def test_no_status(self, result: object) -> None:
        """So is one without a status."""
        with pytest.raises(MalformedBody) as caught:
            parse_notification(notice(payment_result=result))
        assert caught.value.field == "payment_result.response_status"

    @pytest.mark.parametrize(
        ("members", "field"),
        [
            ({"tran_ref": ["x"]}, "tran_ref"),
            ({"cart_id": {"$ne": ""}}, "cart_id"),
            ({"cart_amount": "1,000.00"}, "cart_amount"),
            ({"cart_amount": "NaN"}, "cart_amount"),
            ({"tran_total": True}, "tran_total"),
            ({"tran_total": "1" * 40}, "tran_total"),
            ({"profile_id": "x"}, "profile_id"),
            ({"profile_id": True}, "profile_id"),
            ({"payment_result": "A"}, "payment_result"),
            ({"payment_result": {"response_status": ["A"]}}, "payment_result.response_status"),
            ({"payment_info": []}, "payment_info"),
        ],
    )
    def test_wrong(self, members: dict[str, Any], field: str) -> None:
        """A member of the wrong shape is named; no object ever stands where text should."""
        with pytest.raises(MalformedBody) as caught:
            parse_notification(notice(**members))
        assert caught.value.field == field

    @pytest.mark.parametrize("raw", [b"", b"[]", b"null", b"{", b"\xff", b'{"a":1,"a":2}', b'{"a":NaN}'])
    def test_no_object(self, raw: bytes) -> None:
        """What is not one JSON object is refused as a whole; PayTabs sends empty bodies to plain-http addresses."""
        with pytest.raises(MalformedBody) as caught:
            parse_notification(raw)
        assert caught.value.field == "body"


class TestTransaction:
    """One transaction from any source."""

    def test_thin(self) -> None:
        """Only the reference is needed: entries of a query by cart are thin, and empty text is absence."""
        transaction = parse_transaction({"tran_ref": "T", "token": "", "payment_info": {"card_scheme": ""}})
        assert (transaction.token, transaction.card_scheme, transaction.cart_amount) == (None, None, None)

    @pytest.mark.parametrize("value", ["12.30", Decimal("12.30")])
    def test_amounts(self, value: object) -> None:
        """An amount is read alike from text and from a number."""
        assert parse_transaction({"tran_ref": "T", "cart_amount": value}).cart_amount == Decimal("12.30")

    def test_whole_amount(self) -> None:
        """A number without a point is an amount too."""
        assert parse_transaction({"tran_ref": "T", "tran_total": 0}).tran_total == Decimal(0)

    def test_no_float(self) -> None:
        """A float means that somebody parsed the body carelessly."""
        with pytest.raises(MalformedBody):
            parse_transaction({"tran_ref": "T", "cart_amount": 12.3})

    @pytest.mark.parametrize(("member", "value"), [("profileId", 5), ("profile_id", 5), ("profile_id", "5")])
    def test_profile(self, member: str, value: object) -> None:
        """Direct answers and notifications name the profile differently."""
        assert parse_transaction({"tran_ref": "T", member: value}).profile_id == 5

    def test_types(self) -> None:
        """Types are compared in lower case; what was carried out instead is kept apart."""
        transaction = parse_transaction({"tran_ref": "T", "tran_type": "Payment Request", "original_tran_type": "Void"})
        assert (transaction.tran_type, transaction.original_tran_type) == ("payment request", "void")

    def test_cart_id_is_opaque(self) -> None:
        """A cart's id is compared as it came, blanks included."""
        assert parse_transaction({"tran_ref": "T", "cart_id": " a "}).cart_id == " a "

    def test_numeric_code(self) -> None:
        """A code sent as a number is the same code."""
        document = {"tran_ref": "T", "payment_result": {"response_status": "E", "response_code": 401}}
        assert parse_transaction(document).bank_check

    @pytest.mark.parametrize(
        "time",
        [None, "", "yesterday", 5, "2026-08-06T10:15:30", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"],
    )
    def test_unreadable_time(self, time: object) -> None:
        """A time that is not certain is none: it decides nothing, so it refuses nothing."""
        document = {"tran_ref": "T", "payment_result": {"response_status": "A", "transaction_time": time}}
        assert parse_transaction(document).transaction_time is None
