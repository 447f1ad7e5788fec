"""How a transaction that acts upon an earlier one is entered: what it inherits, what is its own, what it is refused."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from sandbox.errors import RuleBroken
from sandbox.identifiers import Mint
from sandbox.ledger import Ledger
from sandbox.transactions import BY_HAND, Transaction, plugin_of

#: `response_code` of an act upon a held transaction.
ON_HOLD = "120"

#: `response_code` of a refund that the merchant's balance does not cover.
BALANCE_TOO_LOW = "342"

#: Invented code: the act is not supported, or not with this method.
UNSUPPORTED = "990"

#: `response_code` and message of a refund of more than is left.
OVER_REFUND = ("118", "Amount greater than available balance")

#: Invented code: more than remains.
TOO_MUCH = "991"

#: Invented code: not in this state.
WRONG_STATE = "992"

#: Invented code: no such previous transaction.
UNKNOWN = "993"

#: Invented code: not in the original's currency.
OTHER_CURRENCY = "994"

#: Invented code: whoever approves refunds said no.
REJECTED = "995"

#: Members that are not taken over from the original: where a follow-up by hand is notified is a switch.
NOT_INHERITED = ("callback", "return")


@dataclass(frozen=True)
class FollowUp:
    """An act upon an earlier transaction.

    Attributes:
        target: The transaction acted upon.
        amount: What was asked; None for all that remains.
        cart_id: The act's own reference; None for the target's.
        request: Its own members, which answers echo over those of the target.
        channel: `paymentChannel`.
    """

    target: Transaction
    amount: Decimal | None = None
    cart_id: str | None = None
    request: Mapping[str, Any] = field(default_factory=dict)
    channel: str = BY_HAND

    @property
    def is_by_hand(self) -> bool:
        """Whether the merchant's staff act in the dashboard, who may do more."""
        return self.channel == BY_HAND

    def within(self, remaining: Decimal, refusal: tuple[str, str] | None = None) -> Decimal:
        """Give the amount, which must not exceed what remains.

        Args:
            remaining: What remains.
            refusal: Code and message if it does; an invented code by default.

        Raises:
            RuleBroken: When it does.
        """
        amount = remaining if self.amount is None else self.amount
        code, message = refusal or (TOO_MUCH, f"Amount exceeds the remaining {remaining}")
        demand(Decimal(0) < amount <= remaining, code, message)
        return amount


class Successors:
    """Enters transactions that follow others."""

    def __init__(self, ledger: Ledger, mint: Mint, clock: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._mint = mint
        self._clock = clock

    def approved(self) -> dict[str, str]:
        """Give the result of a success."""
        return {"status": "A", "code": self._mint.authorisation(), "message": "Authorised"}

    def add(self, order: FollowUp, tran_type: str, amount: Decimal, **members: Any) -> Transaction:  # noqa: ANN401 - fields of Transaction
        """Enter a transaction that follows another; customer and card are copied.

        Args:
            order: The act.
            tran_type: Capitalised as in answers.
            amount: What it is about.
            members: `status`, `code`, `message` and further fields of the transaction.

        Returns:
            The transaction.
        """
        target = order.target
        inherited = {name: value for name, value in target.request.items() if name not in NOT_INHERITED}
        return self._ledger.open(
            Transaction(
                tran_ref=self._mint.tran_ref(),
                previous_tran_ref=target.tran_ref,
                tran_type=tran_type,
                cart_id=order.cart_id or target.cart_id,
                currency=target.currency,
                cart_amount=amount,
                tran_total=amount,
                at=self._clock(),
                request={**inherited, **order.request},
                payment_info=target.payment_info,
                invoice_id=target.invoice_id,
                channel=plugin_of(order.request) or order.channel,
                **members,
            )
        )


def demand(holds: bool, code: str, message: str) -> None:
    """Insist on a rule.

    Args:
        holds: Whether it holds.
        code: `response_code` if not.
        message: `response_message` if not.

    Raises:
        RuleBroken: When it does not hold.
    """
    if not holds:
        raise RuleBroken(code, message)
