from typing import Any

import pytest

from tasks.arguments import Arguments, CreatePage
from tasks.arguments_money import ChargeToken, DeleteToken, FollowUp, ManagedForm, Refund
from tasks.base import check
from tasks.errors import InvalidArguments

PAYMENT = {"payment_id": "0" * 24, "operation_id": "op-1"}


class TestAmount:
    """An amount is decimal text: what a float or a locale could have spoilt is refused, naming the argument."""

    @pytest.mark.parametrize("amount", ["1", "115.00", "0.001", "999999999999999.999"])
    def test_taken(self, amount: str) -> None:
        """Plain decimal text is taken as it is; how many decimals there may be is the currency's to say."""
        assert check(Refund, (), {**PAYMENT, "amount": amount}).amount == amount

    @pytest.mark.parametrize("amount", [1, 1.5, True, "1,5", "1e2", "-1", "+1", " 1", "1.", ".5", "NaN", "", "\u0661"])
    def test_refused(self, amount: Any) -> None:
        """Anything else is refused."""
        with pytest.raises(InvalidArguments, match=r"^amount: "):
            check(Refund, (), {**PAYMENT, "amount": amount})

    def test_positional(self) -> None:
        """Arguments may come in the documented order."""
        asked = check(FollowUp, ("0" * 24, "1.00", "op-1", "a reason"), {})
        assert (asked.amount, asked.operation_id, asked.reason) == ("1.00", "op-1", "a reason")
        assert check(ChargeToken, ("0" * 24, "TOKEN", "op-1"), {}).token == "TOKEN"
        assert check(ManagedForm, ("0" * 24, "TOKEN", "op-1"), {}).payment_token == "TOKEN"

    @pytest.mark.parametrize("model", [FollowUp, Refund, ChargeToken, ManagedForm, DeleteToken])
    def test_operation_id(self, model: type[Arguments]) -> None:
        """Whatever changes something at PayTabs needs the caller's operation id."""
        with pytest.raises(InvalidArguments, match="operation_id: expected a value"):
            check(model, (), {})


class TestCardData:
    """Card data never enters a task, and the refusal says why without repeating it."""

    @pytest.mark.parametrize(
        "given",
        [
            {"card_details": {"pan": "4111111111111111", "cvv": "123"}},
            {"pan": "4111111111111111"},
            {"methods": [{"card-number": "4111111111111111"}]},
        ],
    )
    @pytest.mark.parametrize("model", [CreatePage, ChargeToken, Refund])
    def test_own_form(self, model: type[Arguments], given: dict[str, Any]) -> None:
        """An own-form charge is refused in every task."""
        with pytest.raises(InvalidArguments, match="PCI breach") as caught:
            check(model, (), {**PAYMENT, **given})
        assert "4111" not in str(caught.value)

    @pytest.mark.parametrize("number", ["4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111"])
    def test_in_place_of_a_token(self, number: str) -> None:
        """A card number in place of a token is refused."""
        with pytest.raises(InvalidArguments, match=r"^token: .*PCI breach") as caught:
            check(ChargeToken, (), {**PAYMENT, "token": number})
        assert "4111" not in str(caught.value)
