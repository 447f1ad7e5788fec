import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from paytabs.errors import InvalidRequest
from paytabs.operations import PageRequest, PartyDetails, write_json


def page(**members: Any) -> PageRequest:
    """Make a request that is right but for what is given."""
    usual: dict[str, Any] = {
        "cart_id": "c-1",
        "cart_description": "Contract 1",
        "cart_currency": "SAR",
        "cart_amount": Decimal("115.00"),
    }
    return PageRequest(**(usual | members))


class TestBody:
    """What a hosted-page request looks like on the wire."""

    def test_smallest(self) -> None:
        """Only what PayTabs requires is sent; null and empty members are not."""
        body = page(callback=None, customer_details=PartyDetails(name="")).to_body(987654)
        assert body == (
            b'{"profile_id":987654,"cart_id":"c-1","cart_description":"Contract 1","cart_currency":"SAR",'
            b'"cart_amount":115.00,"tran_type":"sale","tran_class":"ecom"}'
        )

    def test_largest(self) -> None:
        """Every member arrives under PayTabs' own name."""
        request = page(
            tran_type="auth",
            callback="https://pay.example.test/webhooks/paytabs",
            return_url="https://shop.example.test/back?x=1",
            return_using_get=False,
            paypage_lang="ar",
            payment_methods=["card", "-tabby"],
            tokenise=2,
            show_save_card=True,
            customer_details=PartyDetails(name="Test Buyer", email="buyer@example.test", country="SA"),
            shipping_details={"city": "الرياض"},
            hide_shipping=True,
            user_defined={"udf1": "x", "udf9": "y"},
            customer_ref="C-42",
        )
        assert json.loads(request.to_body(1)) == {
            "profile_id": 1,
            "cart_id": "c-1",
            "cart_description": "Contract 1",
            "cart_currency": "SAR",
            "cart_amount": 115.0,
            "tran_type": "auth",
            "tran_class": "ecom",
            "callback": "https://pay.example.test/webhooks/paytabs",
            "return": "https://shop.example.test/back?x=1",
            "return_using_get": False,
            "paypage_lang": "ar",
            "payment_methods": ["card", "-tabby"],
            "tokenise": 2,
            "show_save_card": True,
            "customer_details": {"name": "Test Buyer", "email": "buyer@example.test", "country": "SA"},
            "shipping_details": {"city": "الرياض"},
            "hide_shipping": True,
            "user_defined": {"udf1": "x", "udf9": "y"},
            "customer_ref": "C-42",
        }

    @settings(deadline=None)
    @given(st.sampled_from([("JPY", 0), ("SAR", 2), ("KWD", 3)]), st.integers(min_value=1, max_value=10**14))
    def test_exact_number(self, currency: tuple[str, int], units: int) -> None:
        """The amount is a JSON number whose digits are the amount's own, whatever a binary float would make of it."""
        code, digits = currency
        amount = Decimal(units).scaleb(-digits)
        body = page(cart_currency=code, cart_amount=amount).to_body(1)
        assert json.loads(body, parse_float=Decimal)["cart_amount"] == amount
        assert f'"cart_amount":{amount:.{digits}f},'.encode() in body

    @settings(deadline=None)
    @given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=64))
    def test_any_text(self, text: str) -> None:
        """Any text survives, quotes and line breaks included, and none of it can become a member."""
        body = json.loads(page(cart_id=text).to_body(1))
        assert body["cart_id"] == text
        assert len(body) == 7

    def test_no_floats(self) -> None:
        """The writer itself knows no floats."""
        with pytest.raises(TypeError, match="float"):
            write_json({"amount": 1.5})


class TestRefusals:
    """What is refused before anything is sent, and how it is named."""

    @pytest.mark.parametrize(
        ("member", "value"),
        [
            ("cart_amount", 115.0),
            ("cart_amount", True),
            ("cart_amount", "115.001"),
            ("cart_amount", "0"),
            ("cart_amount", "-1"),
            ("cart_amount", None),
            ("cart_currency", "XXX"),
            ("cart_currency", 5),
            ("cart_id", 7),
            ("cart_id", ""),
            ("cart_id", "x" * 65),
            ("cart_id", "\ud800"),
            ("cart_description", ""),
            ("cart_description", "x" * 129),
            ("callback", "https://" + "x" * 248),
            ("callback", "ftp://pay.example.test/"),
            ("callback", "https://pay.example.test/a b"),
            ("return_url", "https://pay.example.test/\r\n"),
            ("return_url", "javascript:alert(1)"),
            ("return_url", "https://"),
            ("return_url", "https://[x"),
            ("return_url", "https://pay.example.test:99999/"),
            ("tran_type", "refund"),
            ("tran_class", "recurring"),
            ("paypage_lang", "fr"),
            ("tokenise", 1),
            ("tokenise", 7),
            ("tokenise", 2.0),
            ("hide_shipping", "yes"),
            ("card_details", {"pan": "4111111111111111"}),
        ],
    )
    def test_named(self, member: str, value: object) -> None:
        """The error names the member."""
        with pytest.raises(InvalidRequest) as caught:
            page(**{member: value})
        assert caught.value.field == member

    def test_missing(self) -> None:
        """A missing member is named as well."""
        with pytest.raises(InvalidRequest) as caught:
            PageRequest(cart_id="c", cart_description="d", cart_currency="SAR")  # type: ignore[call-arg]
        assert caught.value.field == "cart_amount"

    @pytest.mark.parametrize(
        ("members", "named"),
        [
            ({"customer_details": {"name": 5}}, "customer_details.name"),
            ({"shipping_details": {"country": "Saudi Arabia"}}, "shipping_details.country"),
            ({"customer_details": {"password": "x"}}, "customer_details.password"),
            ({"user_defined": {"udf10": "x"}}, "user_defined.udf10"),
            ({"payment_methods": ["card", "CARD!"]}, "payment_methods.1"),
        ],
    )
    def test_nested(self, members: dict[str, Any], named: str) -> None:
        """A nested member is named with its path."""
        with pytest.raises(InvalidRequest) as caught:
            page(**members)
        assert caught.value.field == named

    def test_nothing_leaks(self) -> None:
        """The error shows what was expected, never what was given."""
        with pytest.raises(InvalidRequest) as caught:
            page(customer_details={"email": ["secret@example.test"]})
        assert "secret" not in str(caught.value)

    def test_frozen(self) -> None:
        """A request cannot change after it was checked."""
        with pytest.raises((ValidationError, InvalidRequest)):
            page().cart_amount = Decimal(1)  # type: ignore[misc]
