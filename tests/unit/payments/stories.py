"""What the tests of the verdict are told in: facts in few words."""

from dataclasses import dataclass, field
from decimal import Decimal
from itertools import permutations
from typing import Any

from payments.assessment import Assessment, assess
from payments.facts import (
    AttemptStarted,
    Fact,
    PageOpened,
    PageOverridden,
    PaymentAmended,
    PaymentCreated,
    TransactionObserved,
)
from payments.payment import State, fold
from payments.reason_kinds import all_words

PROFILE = 987654

CREATED = PaymentCreated(amount="115.00", currency="SAR", profile_id=PROFILE, client_id="c", contract_id="k")


def seen(ref: str, tran_type: str, status: str, amount: str | None = "115.00", **more: Any) -> TransactionObserved:
    """Return an observation of the first attempt's cart unless told otherwise."""
    known: dict[str, Any] = {"currency": "SAR", "cart_id": "cart-1", "profile_id": PROFILE}
    return TransactionObserved(tran_ref=ref, tran_type=tran_type, status=status, amount=amount, **(known | more))


def after(
    parent: str, ref: str, tran_type: str, status: str, amount: str = "115.00", **more: Any
) -> TransactionObserved:
    """Return an observation of what acted on another transaction, under a cart of its own."""
    return seen(ref, tran_type, status, amount, previous_tran_ref=parent, **({"cart_id": f"op-{ref}"} | more))


def sent(number: int = 1, transaction: str = "sale", amount: str = "115.00", currency: str = "SAR") -> AttemptStarted:
    """Return that an attempt was sent under `cart-N`."""
    return AttemptStarted(
        operation_id=f"op-{number}",
        cart_id=f"cart-{number}",
        transaction=transaction,
        amount=amount,
        currency=currency,
    )


def opened(number: int = 1, tran_ref: str | None = None) -> PageOpened:
    """Return that an attempt's page was opened as `TN`."""
    return PageOpened(operation_id=f"op-{number}", cart_id=f"cart-{number}", tran_ref=tran_ref or f"T{number}")


def page(transaction: str = "sale", number: int = 1) -> list[Fact]:
    """Return a payment with a page; the first attempt begins it."""
    return [*([CREATED] if number == 1 else []), sent(number, transaction), opened(number)]


def overridden(number: int = 1) -> PageOverridden:
    """Return that an operator set an attempt's page aside."""
    page = {"operation_id": f"op-{number}", "cart_id": f"cart-{number}", "tran_ref": f"T{number}"}
    return PageOverridden(**page, by="omar", note="the payer lost it")


def amended(amount: str, currency: str = "SAR") -> PaymentAmended:
    """Return that the CMS changed the terms."""
    return PaymentAmended(amount=amount, currency=currency)


@dataclass(frozen=True)
class Row:
    """One row of the table of section 7: what is known before, what is said, and what the payment is then.

    Sums that are not named are zero; `review` is a part of a sentence, None when no human is needed.
    """

    name: str
    before: list[Fact]
    said: list[Fact]
    state: State
    sums: dict[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    review: str | None = None
    parked: tuple[str, ...] = ()
    tran_ref: str | None = None

    def verdicts(self) -> list[Assessment]:
        """Return the verdict for every order of what is said, each once and with repetitions."""
        orders = [list(order) for order in permutations(self.said)] if len(self.said) < 5 else [self.said]
        return [assess(fold([*self.before, *order])) for one in orders for order in (one, [*one, *one[::-1]])]

    def check(self) -> None:
        """Assert that every order gives the promised verdict."""
        for verdict in self.verdicts():
            assert verdict.state is self.state, verdict.review
            assert sums_of(verdict) == {name: Decimal(value) for name, value in self.sums.items()}
            assert verdict.flags == self.flags
            assert verdict.parked == self.parked
            assert bool(verdict.review) == (self.review is not None), verdict.review
            assert any((self.review or "") in reason for reason in all_words(verdict.review) or [""])
            assert self.tran_ref in (None, verdict.tran_ref)


def sums_of(verdict: Assessment) -> dict[str, Decimal]:
    """Return a verdict's sums that are not zero."""
    names = ("authorised", "captured", "released", "refunded", "refund_pending")
    return {name: getattr(verdict, name) for name in names if getattr(verdict, name)}
