import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
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


#: Addresses to which nobody is sent.
NO_LINKS = [
    "javascript:alert(1)",
    "data:text/html,x",
    "ftp://secure.paytabs.sa/x",
    "//secure.paytabs.sa/x",
    "secure.paytabs.sa",
    "https://",
    "https:///path",
    "https://secure.paytabs.sa/x y",
    "https://secure.paytabs.sa/x\x00",
    "https://secure.paytabs.sa/x\r\nSet-Cookie: a=b",
    "https://secure.paytabs.sa/\u202e",
    "https://secure.paytabs.sa/<script>",
    "https://secure.paytabs.sa/\\..",
    "https://[::1/x",
    " https://secure.paytabs.sa/x",
    "https://secure.paytabs.sa:0/x",
    "https://secure.paytabs.sa:65536/x",
    "https://secure.paytabs.sa/" + "x" * 2048,
]


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

    @pytest.mark.parametrize("raw", [b"", b"[]", b"null", b"{", b"\xff", b'{"a":1,"a":2}', b'{"a":NaN}'])
    def test_no_object(self, raw: bytes) -> None:
        """What is not one JSON object is refused as a whole; PayTabs sends empty bodies to plain-http addresses."""
        with pytest.raises(MalformedBody) as caught:
            parse_notification(raw)
        assert caught.value.field == "body"


class TestWrong:
    """A member of the wrong shape, of an answer or an entry of a list."""

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
    def test_named(self, members: dict[str, Any], field: str) -> None:
        """It is named; no object ever stands where text should."""
        with pytest.raises(MalformedBody) as caught:
            parse_transaction(NOTICE | members)
        assert caught.value.field == field

    @pytest.mark.parametrize("member", ["tran_ref", "previous_tran_ref", "token"])
    @pytest.mark.parametrize("value", ["T" * 100_000, "T" * 129, "T\x00", "T 1", " T1", "T\n", "T\ud800", "طلب"])
    def test_no_reference(self, member: str, value: str) -> None:
        """What is too long, or not of printable ASCII, is no reference: it is neither stored nor asked about."""
        with pytest.raises(MalformedBody) as caught:
            parse_transaction(NOTICE | {member: value})
        assert caught.value.field == member

    @pytest.mark.parametrize("member", ["cart_id", "tran_type", "original_tran_type", "cart_currency", "tran_currency"])
    @pytest.mark.parametrize("value", ["x" * 100_000, "x\x00", "x\x1b[31m", "x\ud800", "x\u2028"])
    def test_unfit(self, member: str, value: str) -> None:
        """Nothing unbounded, and nothing that a database or a terminal stumbles over."""
        with pytest.raises(MalformedBody) as caught:
            parse_transaction(NOTICE | {member: value})
        assert caught.value.field == member

    @pytest.mark.parametrize("member", ["response_status", "response_code"])
    @pytest.mark.parametrize("value", ["x" * 100_000, "x\x00", "x\ud800"])
    def test_unfit_result(self, member: str, value: str) -> None:
        """The same within the result."""
        with pytest.raises(MalformedBody) as caught:
            parse_transaction(NOTICE | {"payment_result": {**NOTICE["payment_result"], member: value}})
        assert caught.value.field == f"payment_result.{member}"

    def test_mere_words(self) -> None:
        """What only tells people something is cut and cleaned; no answer is lost over it."""
        info = {"payment_description": "Au\x00thorised" + "!" * 100_000, "card_scheme": "\x00"}
        taken = parse_transaction(NOTICE | {"payment_info": info})
        assert taken.payment_description is not None
        assert taken.payment_description.startswith("Au thorised!")
        assert len(taken.payment_description) == 255
        assert taken.card_scheme is None


class TestPageLink:
    """Where a payer may be sent."""

    PAGE: Mapping[str, Any] = MappingProxyType({"tran_ref": "T1"})

    @pytest.mark.parametrize(
        "url",
        [
            "https://secure.paytabs.sa/payment/wr/5D98",
            "http://127.0.0.1:8080/page?x=%D8%A7&y=1#z",
            "https://[2001:db8::1]/x",
            "HTTPS://secure.paytabs.sa/" + "x" * 2000,
        ],
    )
    def test_taken(self, url: str) -> None:
        """Any http or https address; its host is PayTabs' to choose."""
        assert parse_transaction(dict(self.PAGE) | {"redirect_url": url}).redirect_url == url

    @pytest.mark.parametrize("url", NO_LINKS)
    def test_refused(self, url: str) -> None:
        """Anything else refuses the answer, naming the member; beside a result it is only left out."""
        with pytest.raises(MalformedBody) as caught:
            parse_transaction(dict(self.PAGE) | {"redirect_url": url})
        assert caught.value.field == "redirect_url"
        told = parse_transaction(dict(self.PAGE) | {"redirect_url": url, "payment_result": {"response_status": "A"}})
        assert (told.redirect_url, told.response_status) == (None, "A")


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
