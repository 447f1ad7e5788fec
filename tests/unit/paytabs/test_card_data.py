from typing import Any

import pytest
from pydantic import BaseModel

from paytabs.card_data import refuse_card_data
from paytabs.errors import InvalidRequest
from paytabs.invoices import InvoicePaidRequest, InvoiceRequest, InvoiceTerms, LineItem
from paytabs.operations import FollowUpRequest, ManagedFormRequest, PageRequest, PartyDetails, TokenChargeRequest
from paytabs.references import token_reference

CARD = {"pan": "4111111111111111", "cvv": "123", "expiry_month": 12, "expiry_year": 2033}
CART = {"cart_id": "c-1", "cart_description": "d", "cart_currency": "SAR", "cart_amount": "10"}


class TestCardData:
    """No raw card data enters a request, and whoever tries is told why."""

    @pytest.mark.parametrize(
        "model",
        [
            PageRequest,
            TokenChargeRequest,
            ManagedFormRequest,
            FollowUpRequest,
            InvoiceRequest,
            InvoicePaidRequest,
            InvoiceTerms,
            LineItem,
            PartyDetails,
        ],
    )
    @pytest.mark.parametrize("member", ["card_details", "pan", "cvv", "cardNumber", "CVC2", "expiry_month"])
    def test_every_request(self, model: type[BaseModel], member: str) -> None:
        """Every request refuses it before it looks at anything else, naming the member and the reason."""
        with pytest.raises(InvalidRequest, match="PCI breach") as caught:
            model(**{member: CARD})
        assert caught.value.field == member

    @pytest.mark.parametrize(
        ("members", "named"),
        [
            ({"customer_details": {"name": "x", "pan": "4111111111111111"}}, "customer_details.pan"),
            ({"user_defined": {"udf1": "x", "cvv": "123"}}, "user_defined.cvv"),
            ({"invoice": {"line_items": [{"sku": "1"}, {"card-number": "4"}]}}, "invoice.line_items.1.card-number"),
        ],
    )
    def test_nested(self, members: dict[str, Any], named: str) -> None:
        """It is found at any depth and named with its path."""
        with pytest.raises(InvalidRequest, match="PCI breach") as caught:
            PageRequest(**(CART | members))
        assert caught.value.field == named

    def test_nothing_leaks(self) -> None:
        """The refusal shows neither the number nor the code."""
        with pytest.raises(InvalidRequest) as caught:
            PageRequest(**CART, card_details=CARD)  # type: ignore[call-arg]
        assert "4111" not in str(caught.value)
        assert "123" not in str(caught.value)

    @pytest.mark.parametrize(
        "number", ["4111111111111111", "4111 1111 1111 1111", "5555-5555-5555-4444", " 4222222222222 "]
    )
    def test_number_as_token(self, number: str) -> None:
        """A card number in the place of a token is refused as well."""
        for attempt in (
            lambda: TokenChargeRequest(**CART, tran_class="recurring", token=number.strip()),
            lambda: token_reference(number),
        ):
            with pytest.raises(InvalidRequest) as caught:
                attempt()
            assert caught.value.field == "token"
            assert number not in str(caught.value)
        with pytest.raises(InvalidRequest) as caught:
            ManagedFormRequest(**CART, payment_token=number.replace(" ", ""))
        assert caught.value.field == "payment_token"

    def test_genuine_tokens_pass(self) -> None:
        """A token in PayTabs' form is none of these."""
        assert token_reference("2C4656BF67A3E43DC6BE93FE00000001") == "2C4656BF67A3E43DC6BE93FE00000001"

    @pytest.mark.parametrize(
        "members", [None, 5, "pan", [], {"payment_methods": ["card"]}, {"company": "x", "span": 1}]
    )
    def test_others_pass(self, members: object) -> None:
        """What only sounds like it is no card data."""
        refuse_card_data(members)

    def test_slipped_past_validation(self) -> None:
        """A member set behind the model's back is not written."""
        request = PageRequest(**CART).model_copy(update={"card_details": CARD})
        assert b"4111" not in request.to_body(1)

    def test_endless_nesting(self) -> None:
        """A value that contains itself ends the search, not the process."""
        loop: dict[str, Any] = {}
        loop["deeper"] = loop
        refuse_card_data(loop)
