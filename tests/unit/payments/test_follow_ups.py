from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.allowance import Action, order
from payments.assessment import assess
from payments.errors import InvalidArgument
from payments.facts import AttemptNotSent, AttemptRefused, Fact, FollowUpStarted, OutcomeUnknown, ReviewSettled
from payments.payment import State, fold
from tests.support.reasons import about
from tests.unit.payments.stories import CREATED, after, page, seen, sent

SALE: list[Fact] = [*page(), seen("T1", "sale", "A")]
AUTH: list[Fact] = [*page("auth"), seen("T1", "auth", "A")]


def started(action: str = "refund", amount: str = "40.00", tran_ref: str = "T1") -> FollowUpStarted:
    """Return that a follow-up was sent under `cart-f`."""
    named = {"operation_id": "op-f", "cart_id": "cart-f"}
    return FollowUpStarted(**named, action=action, tran_ref=tran_ref, amount=amount, currency="SAR")


def answered(tran_type: str, status: str, amount: str = "40.00", **more: Any) -> Fact:
    """Return what PayTabs said under that cart."""
    known = {"cart_id": "cart-f", "previous_tran_ref": "T1"}
    return seen("T2", tran_type, status, amount, **(known | more))


def refuse(history: list[Fact], action: Action, amount: str | None = None, tran_ref: str | None = None) -> str:
    """Return why a follow-up is refused before sending."""
    payment = fold(history)
    with pytest.raises(InvalidArgument) as caught:
        order(action, payment, assess(payment), amount=amount, tran_ref=tran_ref)
    return str(caught.value)


class TestInFlight:
    """A refund that was sent and of which nothing is heard counts as pending."""

    @pytest.mark.parametrize(
        ("said", "pending", "refunded"),
        [
            ([], "40", "0"),
            ([OutcomeUnknown(operation_id="op-f", cart_id="cart-f", detail="timeout")], "40", "0"),
            ([AttemptNotSent(operation_id="op-f", cart_id="cart-f", detail="dns")], "0", "0"),
            ([AttemptRefused(operation_id="op-f", cart_id="cart-f", code=2, detail="code_2")], "0", "0"),
            ([ReviewSettled(**about("any"), note="n", by="omar", operation_id="op-f")], "0", "0"),
            ([ReviewSettled(**about("any"), note="n", by="omar")], "40", "0"),
            ([answered("refund", "P")], "40", "0"),
            ([answered("refund", "A")], "0", "40"),
            ([answered("refund", "D")], "0", "0"),
            ([answered("refund", "P"), answered("refund", "A")], "0", "40"),
        ],
    )
    def test_pending(self, said: list[Fact], pending: str, refunded: str) -> None:
        """From the send until PayTabs, or a human, says what became of it."""
        verdict = assess(fold([*SALE, started(), *said]))
        assert (verdict.refund_pending, verdict.refunded) == (Decimal(pending), Decimal(refunded))
        assert verdict.review == ()

    def test_thin_answer(self) -> None:
        """An answer that leaves out what was acted upon is completed from our own record."""
        thin = seen("T2", "refund", "A", "40.00", cart_id="cart-f")
        verdict = assess(fold([*SALE, started(), thin]))
        assert (verdict.state, verdict.refunded, verdict.parked) == (State.PART_REFUNDED, Decimal(40), ())

    def test_capture_called_sale(self) -> None:
        """A capture reported as a sale is our capture."""
        verdict = assess(fold([*AUTH, started("capture"), answered("sale", "A")]))
        assert (verdict.state, verdict.captured, verdict.review) == (State.PART_CAPTURED, Decimal(40), ())

    def test_bank_check(self) -> None:
        """A refused capture after which the bank may have moved money flags the payment."""
        verdict = assess(fold([*AUTH, started("capture"), answered("capture", "E", code="401")]))
        assert (verdict.state, verdict.flags) == (State.AUTHORISED, ("bank_check",))

    @pytest.mark.parametrize(
        ("action", "told", "reason"),
        [
            ("refund", answered("refund", "A", "41.00"), "amount differs"),
            ("refund", answered("release", "A"), "a release where a refund was asked"),
            ("capture", answered("capture", "A", previous_tran_ref="T9"), "acts on another transaction"),
        ],
    )
    def test_differs(self, action: str, told: Fact, reason: str) -> None:
        """What PayTabs did otherwise than asked is a case for a human."""
        verdict = assess(fold([*(SALE if action == "refund" else AUTH), started(action), told]))
        assert any(reason in one.key for one in verdict.review)


class TestOrder:
    """What may be sent, upon which transaction and for how much."""

    @given(cents=st.integers(1, 20_000), spent=st.integers(0, 11_500))
    def test_within(self, cents: int, spent: int) -> None:
        """A refund is taken exactly when it fits into what is left."""
        gone = [after("T1", "T5", "refund", "A", f"{spent / 100:.2f}")] if spent else []
        payment = fold([*SALE, *gone])
        fits = cents <= 11_500 - spent
        try:
            asked = order("refund", payment, assess(payment), amount=f"{cents / 100:.2f}")
        except InvalidArgument:
            assert not fits
        else:
            assert fits
            assert (asked.tran_ref, asked.amount * 100, asked.currency) == ("T1", Decimal(cents), "SAR")

    @pytest.mark.parametrize(
        ("currency", "amount", "too_precise"),
        [("JPY", "40", "40.5"), ("SAR", "40.00", "40.001"), ("KWD", "40.001", "40.0001")],
    )
    def test_decimals(self, currency: str, amount: str, too_precise: str) -> None:
        """Each currency has its own number of decimals; one too many is refused, and named."""
        created = replace(CREATED, amount="115", currency=currency)
        paid = seen("T1", "sale", "A", "115", currency=currency)
        history = [created, sent(1, amount="115", currency=currency), paid]
        payment = fold(history)
        assert f"{order('refund', payment, assess(payment), amount=amount).amount:f}" == amount
        assert refuse(history, "refund", too_precise).startswith("amount: ")

    @pytest.mark.parametrize("amount", ["0", "0.00", "-1", "NaN", "Infinity", "1e1", " 1", ""])
    def test_no_amount(self, amount: str) -> None:
        """Zero, less and what is no plain number is refused."""
        assert refuse(SALE, "refund", amount).startswith("amount: ")

    def test_in_flight(self) -> None:
        """What is set aside for a refund in doubt is not given back a second time."""
        assert "at most 75.00 SAR" in refuse([*SALE, started()], "refund", "75.01")

    def test_states(self) -> None:
        """Each follow-up needs money in the right place."""
        held = [*page(), seen("T1", "sale", "H")]
        assert "on hold" in refuse(held, "capture")
        assert "authorised payment" in refuse(SALE, "capture")
        assert "authorised payment" in refuse(SALE, "void")
        assert "captured money" in refuse(AUTH, "refund")
        assert "AWAITING_PAYER" in refuse(page(), "refund")

    def test_captures(self) -> None:
        """The tightest capture that carries an amount gives it back; one that none carries is refused with each."""
        history = [*AUTH, after("T1", "T2", "capture", "A", "40.00"), after("T1", "T3", "capture", "A", "75.00")]
        payment = fold(history)
        assert order("refund", payment, assess(payment), amount="40.00").tran_ref == "T2"
        assert order("refund", payment, assess(payment), amount="40.01").tran_ref == "T3"
        assert "T2 with 40.00, T3 with 75.00" in refuse(history, "refund", "75.01")
        assert "one of T2 with 40.00, T3 with 75.00" in refuse(history, "refund", "1.00", "T1")
