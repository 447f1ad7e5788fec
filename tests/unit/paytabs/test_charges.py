import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paytabs.errors import InvalidRequest
from paytabs.operations import FollowUpRequest, ManagedFormRequest, TokenChargeRequest

CART = {
    "cart_id": "op-1",
    "cart_description": "Refund of an item",
    "cart_currency": "SAR",
    "cart_amount": "12.30",
}
TOKEN = "2C4656BF67A3E43DC6BE93FE00000001"


def follow_up(**members: Any) -> FollowUpRequest:
    """Make a refund that is right but for what is given."""
    return FollowUpRequest(**({**CART, "tran_type": "refund", "tran_ref": "TST2621800000101"} | members))


def token_charge(**members: Any) -> TokenChargeRequest:
    """Make a charge of a stored card that is right but for what is given."""
    return TokenChargeRequest(**({**CART, "tran_class": "recurring", "token": TOKEN} | members))


def managed_form(**members: Any) -> ManagedFormRequest:
    """Make a managed-form charge that is right but for what is given."""
    return ManagedFormRequest(**({**CART, "payment_token": "T0K3N"} | members))


class TestBody:
    """What the requests look like on the wire."""

    @pytest.mark.parametrize("tran_type", ["capture", "void", "release", "refund"])
    def test_follow_up(self, tran_type: str) -> None:
        """A follow-up has its own cart and names the transaction it acts upon."""
        assert follow_up(tran_type=tran_type).to_body(987654) == (
            b'{"profile_id":987654,"cart_id":"op-1","cart_description":"Refund of an item","cart_currency":"SAR",'
            b'"cart_amount":12.30,"tran_type":"' + tran_type.encode() + b'","tran_class":"ecom",'
            b'"tran_ref":"TST2621800000101"}'
        )

    def test_follow_up_callback(self) -> None:
        """A follow-up may be notified elsewhere than its original."""
        body = json.loads(follow_up(callback="https://pay.example.test/ipn").to_body(1))
        assert body["callback"] == "https://pay.example.test/ipn"

    def test_recurring(self) -> None:
        """A charge on our own initiative sends the token, and the reference of its origin when that is known."""
        body = json.loads(token_charge(tran_type="auth", tran_ref="TST1").to_body(1))
        assert (body["token"], body["tran_ref"]) == (TOKEN, "TST1")
        assert (body["tran_class"], body["tran_type"]) == ("recurring", "auth")
        assert "tran_ref" not in json.loads(token_charge().to_body(1))

    def test_payer_present(self) -> None:
        """A charge with the payer at hand says where to bring the payer back to."""
        body = json.loads(token_charge(tran_class="ecom", return_url="https://shop.example.test/back").to_body(1))
        assert (body["tran_class"], body["return"]) == ("ecom", "https://shop.example.test/back")

    def test_managed_form(self) -> None:
        """A managed form sends the one-use token and may ask for one to keep."""
        body = json.loads(managed_form(tokenise=2, customer_details={"name": "Test Buyer"}).to_body(1))
        assert (body["payment_token"], body["tokenise"], body["tran_type"]) == ("T0K3N", 2, "sale")
        assert body["customer_details"] == {"name": "Test Buyer"}

    @settings(deadline=None)
    @given(st.sampled_from([("JPY", 0), ("SAR", 2), ("KWD", 3)]), st.integers(min_value=1, max_value=10**14))
    def test_exact_number(self, currency: tuple[str, int], units: int) -> None:
        """A follow-up's amount is a JSON number with the amount's own digits, in every kind of currency."""
        code, digits = currency
        amount = Decimal(units).scaleb(-digits)
        body = follow_up(cart_currency=code, cart_amount=str(amount)).to_body(1)
        assert f'"cart_amount":{amount:.{digits}f},'.encode() in body


class TestRefusals:
    """What is refused before anything is sent."""

    @pytest.mark.parametrize(
        ("member", "value"),
        [
            ("tran_type", "authext"),
            ("tran_type", "sale"),
            ("tran_class", "recurring"),
            ("tran_ref", ""),
            ("tran_ref", None),
            ("tran_ref", "TST 1"),
            ("tran_ref", 5),
            ("cart_id", ""),
            ("cart_description", ""),
            ("token", TOKEN),
            ("return_url", "https://shop.example.test/back"),
            ("callback", "pay.example.test"),
        ],
    )
    def test_follow_up(self, member: str, value: object) -> None:
        """The error names the member."""
        with pytest.raises(InvalidRequest) as caught:
            follow_up(**{member: value})
        assert caught.value.field == member

    @pytest.mark.parametrize(
        ("member", "value"),
        [("tran_type", "register"), ("tran_class", "moto"), ("token", ""), ("token", None), ("tran_ref", "")],
    )
    def test_token(self, member: str, value: object) -> None:
        """Whether the payer is at hand has to be said, and a stored card is never only verified."""
        with pytest.raises(InvalidRequest) as caught:
            token_charge(**{member: value})
        assert caught.value.field == member
        with pytest.raises(InvalidRequest) as caught:
            TokenChargeRequest(**CART, token=TOKEN)
        assert caught.value.field == "tran_class"

    @pytest.mark.parametrize(
        ("member", "value"),
        [("payment_token", ""), ("tran_class", "recurring"), ("token", TOKEN), ("payment_methods", ("card",))],
    )
    def test_managed_form(self, member: str, value: object) -> None:
        """A managed form takes its one-use token and nothing of the other ways to charge."""
        with pytest.raises(InvalidRequest) as caught:
            managed_form(**{member: value})
        assert caught.value.field == member

    @pytest.mark.parametrize("make", [follow_up, token_charge, managed_form])
    @pytest.mark.parametrize(
        "amount", [12.3, True, "0", "-1", "12.301", "1e2", Decimal("NaN"), Decimal("Infinity"), None, ""]
    )
    def test_amounts(self, make: Any, amount: object) -> None:
        """Floats, nothing, less than nothing and too many decimals are refused everywhere."""
        with pytest.raises(InvalidRequest) as caught:
            make(cart_amount=amount)
        assert caught.value.field == "cart_amount"
