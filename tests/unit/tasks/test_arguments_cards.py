from typing import Any

import pytest

from tasks.arguments import CreatePage
from tasks.arguments_cards import ChargeCard, ForgetCard, ListCards
from tasks.base import check
from tasks.errors import InvalidArguments

PAYMENT, CARD = "65f0c0ffee65f0c0ffee65f0", "c0ffee65f0c0ffee65f0c0ff"


class TestCards:
    """What the tasks about stored cards take."""

    def test_charge(self) -> None:
        """A card by its id, by place or name; without its payer unless told otherwise."""
        asked = check(ChargeCard, (PAYMENT, CARD, "op-1"), {})
        assert (asked.card_id, asked.payer_present, asked.transaction) == (CARD, False, "sale")

    @pytest.mark.parametrize(("model", "given", "field"), [
        (ChargeCard, {"payment_id": PAYMENT, "card_id": "2C4656BF", "operation_id": "op"}, "card_id"),
        (ChargeCard, {"payment_id": PAYMENT, "card_id": CARD}, "operation_id"),
        (ChargeCard, {"payment_id": PAYMENT, "card_id": CARD, "operation_id": "op", "token": "x"}, "token"),
        (ForgetCard, {"card_id": CARD}, "operation_id"),
        (ListCards, {"client_id": "omar"}, "client_id"),
    ])  # fmt: skip
    def test_refused(self, model: Any, given: dict[str, Any], field: str) -> None:
        """What is missing, no id, or not theirs to take is refused by name, and no value is repeated."""
        with pytest.raises(InvalidArguments) as error:
            check(model, (), given)
        assert str(error.value).startswith(f"{field}: ")
        assert "2C4656BF" not in str(error.value)


class TestAgreement:
    """What a page may ask a card's holder to agree to."""

    def test_whole(self) -> None:
        """Every member of PayTabs', amounts as text and days as days; what is not said is not stored."""
        said = {
            "token_type": "recurring_variable", "total_count": 12, "payment_frequency": "MONTHLY",
            "min_amount_per_payment": "10.00", "max_amount_per_payment": "50.00", "min_days_between_payments": 28,
            "start_date": "2026-08-06", "expiry_date": "2027-08-06",
        }  # fmt: skip
        asked = check(CreatePage, (), {"payment_id": PAYMENT, "agreement": said})
        assert asked.agreement is not None
        assert asked.agreement.to_document() == said
        short = check(CreatePage, (), {"payment_id": PAYMENT, "agreement": {"token_type": "unscheduled"}})
        assert short.agreement is not None
        assert short.agreement.to_document() == {"token_type": "unscheduled"}

    @pytest.mark.parametrize(("said", "field"), [
        ({}, "agreement.token_type"), ({"token_type": "monthly"}, "agreement.token_type"),
        ({"total_count": 0}, "agreement.total_count"), ({"total_count": "3"}, "agreement.total_count"),
        ({"payment_frequency": "monthly"}, "agreement.payment_frequency"),
        ({"min_amount_per_payment": 10.0}, "agreement.min_amount_per_payment"),
        ({"min_days_between_payments": 0}, "agreement.min_days_between_payments"),
        ({"start_date": "2026-02-30"}, "agreement.start_date"), ({"start_date": "20260806"}, "agreement.start_date"),
        ({"counter": 1}, "agreement.counter"),
    ])  # fmt: skip
    def test_refused(self, said: dict[str, Any], field: str) -> None:
        """A member that is none, or no value of its kind, is refused with its path."""
        given = {"token_type": "unscheduled"} | said if said else {}
        with pytest.raises(InvalidArguments) as error:
            check(CreatePage, (), {"payment_id": PAYMENT, "agreement": given})
        assert str(error.value).startswith(f"{field}: ")
