"""When money moves: the one table that turns a transaction's type and status into a movement of the payer's money."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

#: What a success of each type does to the money. A register is released at once and moves nothing.
KIND_BY_TYPE = {
    "Sale": "charge",
    "Auth": "authorise",
    "Capture": "charge",
    "Release": "release",
    "Refund": "refund",
}


@dataclass(frozen=True)
class Movement:
    """Money that moved.

    Attributes:
        at: When, in UTC.
        root_ref: The transaction the family began with.
        tran_ref: The transaction that moved it.
        kind: `authorise` (held on the card), `charge` (taken), `release` (freed), `reverse` (a taken sum given back
            the same day by a void) or `refund`.
        amount: Above zero.
        currency: ISO 4217 code.
        cart_id: The merchant's reference of that transaction.
    """

    at: datetime
    root_ref: str
    tran_ref: str
    kind: str
    amount: Decimal
    currency: str
    cart_id: str


@dataclass(frozen=True)
class Balance:
    """Where a family of transactions stands.

    Attributes:
        authorised: Held or taken in all.
        captured: Taken in all.
        released: Freed without being taken, or reversed.
        refunded: Given back after being taken.
        refund_pending: Asked back and not decided yet; no money has moved.
    """

    authorised: Decimal
    captured: Decimal
    released: Decimal
    refunded: Decimal
    refund_pending: Decimal = Decimal(0)

    @property
    def capturable(self) -> Decimal:
        """What is still held and may be taken or freed."""
        return self.authorised - self.captured - self.released

    @property
    def refundable(self) -> Decimal:
        """What is taken, not given back and not asked back."""
        return self.captured - self.refunded - self.refund_pending


def balance_of(movements: Iterable[Movement], refund_pending: Decimal = Decimal(0)) -> Balance:
    """Add up the movements of one family.

    Args:
        movements: All with the same root.
        refund_pending: The sum of its refunds that wait for approval.

    Returns:
        The sums. A direct sale counts as authorised and captured at once.
    """
    sums = dict.fromkeys(("authorise", "charge", "release", "reverse", "refund"), Decimal(0))
    for movement in movements:
        sums[movement.kind] += movement.amount
    return Balance(
        authorised=sums["authorise"] or sums["charge"],
        captured=sums["charge"] - sums["reverse"],
        released=sums["release"] + sums["reverse"],
        refunded=sums["refund"],
        refund_pending=refund_pending,
    )
