"""What the merchant's staff do by hand in the dashboard, and what time does: each becomes a transaction and a notice.

An action is one row of `Dashboard.actions`; follow-ups by API differ from these only in who asks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sandbox.amounts import read_amount
from sandbox.announcer import Announcer
from sandbox.checkout import Checkout
from sandbox.errors import DeskRefusal, GatewayRefusal
from sandbox.identifiers import Mint
from sandbox.ledger import Ledger
from sandbox.switchboard import SwitchBoard
from sandbox.transactions import Transaction

#: `response_status` → may be captured, released or voided.
HOLDING = frozenset(("A", "H"))

#: What the sandbox says of an expired transaction.
EXPIRED: dict[str, Any] = {"status": "X", "code": "355", "message": "Transaction expired"}


@dataclass(frozen=True)
class Order:
    """An action to be carried out.

    Attributes:
        target: The transaction acted upon.
        amount: What was asked; None for all that remains.
    """

    target: Transaction
    amount: Decimal | None


class Dashboard:
    """Carries out actions on the ledger."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        mint: Mint,
        announcer: Announcer,
        checkout: Checkout,
        switches: SwitchBoard,
        clock: Callable[[], datetime],
    ) -> None:
        self._ledger = ledger
        self._mint = mint
        self._announcer = announcer
        self._checkout = checkout
        self._switches = switches
        self._clock = clock
        self.actions: dict[str, Callable[[Order], Transaction]] = {
            "capture": self._capture,
            "release": self._release,
            "void": self._void,
            "refund": self._refund,
            "expire": self._expire,
            "settle": self._settle,
            "decline": self._decline,
        }

    def act(self, tran_ref: str, action: str, amount: object = None) -> Transaction:
        """Carry out an action and notify it.

        Args:
            tran_ref: The transaction acted upon.
            action: A key of `actions`.
            amount: Number or numeric string; None for all that remains.

        Returns:
            The transaction that shows it: a new one, or the changed one.

        Raises:
            DeskRefusal: Unknown action or transaction, wrong state, or more than remains.
        """
        if action not in self.actions:
            raise DeskRefusal(f"action: one of {', '.join(self.actions)} was expected, not {action!r}")
        with self._ledger.lock:
            target = self._ledger.get(tran_ref)
            try:
                order = Order(target, None if amount is None else read_amount(amount, target.currency))
            except GatewayRefusal as refusal:
                raise DeskRefusal(f"amount: {refusal.message}") from None
            done = self.actions[action](order)
            self._announcer.announce(done)
            return done

    def _capture(self, order: Order) -> Transaction:
        _demand(
            order,
            order.target.tran_type == "Auth" and order.target.status in HOLDING,
            "capture a held or authorised Auth",
        )
        return self._follow_up(order, "Capture", self._within(order, self._remaining(order.target)))

    def _release(self, order: Order) -> Transaction:
        _demand(
            order,
            order.target.tran_type == "Auth" and order.target.status in HOLDING,
            "release a held or authorised Auth",
        )
        return self._follow_up(order, "Release", self._within(order, self._remaining(order.target)))

    def _void(self, order: Order) -> Transaction:
        target = order.target
        is_sale = target.tran_type == "Sale" and target.status == "A"
        is_hold = target.tran_type == "Auth" and target.status in HOLDING
        balance = self._ledger.balance(target.tran_ref)
        untouched = balance.refunded == 0 and balance.released == 0 and (is_sale or balance.captured == 0)
        _demand(order, (is_sale or is_hold) and untouched, "void an untouched Sale or Auth")
        _demand(order, order.amount in (None, target.tran_total), "void the full amount")
        voiding = self._follow_up(order, "Void", target.tran_total)
        if self._switches.now.void_changes_original:
            self._ledger.change(target.tran_ref, status="V", message="Voided")
        return voiding

    def _refund(self, order: Order) -> Transaction:
        target = order.target
        _demand(
            order, target.tran_type in ("Sale", "Capture") and target.status == "A", "refund a paid Sale or Capture"
        )
        given_back = sum(
            (
                move.amount
                for move in self._ledger.movements()
                if move.kind == "refund" and self._acts_on(move.tran_ref, target)
            ),
            Decimal(0),
        )
        return self._follow_up(order, "Refund", self._within(order, target.tran_total - given_back))

    def _expire(self, order: Order) -> Transaction:
        target = order.target
        is_auth = target.tran_type == "Auth" and target.status == "A"
        _demand(order, target.status in (None, "P") or is_auth, "expire an open page, a pending payment or an Auth")
        if target.page_id:
            self._checkout.page(target.page_id).closed = True
        if self._switches.now.expiry_reference == "same":
            return self._ledger.change(target.tran_ref, **EXPIRED, tran_total=target.cart_amount)
        return self._next(target, target.tran_type, target.cart_amount, **EXPIRED)

    def _settle(self, order: Order) -> Transaction:
        _demand(order, self._is_unsettled(order.target), "settle a pending Payment Request")
        total = order.amount or order.target.tran_total
        return self._next(order.target, "Sale", total, status="A", code=order.target.code, message="Authorised")

    def _decline(self, order: Order) -> Transaction:
        _demand(order, self._is_unsettled(order.target), "decline a pending Payment Request")
        return self._next(
            order.target, "Sale", order.target.tran_total, status="D", code="300", message="Not authorised"
        )

    def _is_unsettled(self, target: Transaction) -> bool:
        followers = any(one.previous_tran_ref == target.tran_ref for one in self._ledger.all())
        return target.tran_type == "Payment Request" and target.status == "P" and not followers

    def _remaining(self, target: Transaction) -> Decimal:
        return self._ledger.balance(target.tran_ref).capturable

    def _acts_on(self, tran_ref: str, target: Transaction) -> bool:
        return self._ledger.get(tran_ref).previous_tran_ref == target.tran_ref

    def _within(self, order: Order, remaining: Decimal) -> Decimal:
        amount = remaining if order.amount is None else order.amount
        _demand(order, Decimal(0) < amount <= remaining, f"take at most the remaining {remaining}")
        return amount

    def _follow_up(self, order: Order, tran_type: str, amount: Decimal) -> Transaction:
        code = self._mint.authorisation()
        return self._next(
            order.target, tran_type, amount, status="A", code=code, message="Authorised", channel="Dashboard"
        )

    def _next(self, target: Transaction, tran_type: str, amount: Decimal, **members: Any) -> Transaction:  # noqa: ANN401 - fields of Transaction
        # The new transaction inherits what answers echo, but no callback: where it is notified is a switch.
        request = {name: value for name, value in target.request.items() if name not in ("callback", "return")}
        return self._ledger.open(
            Transaction(
                tran_ref=self._mint.tran_ref(),
                previous_tran_ref=target.tran_ref,
                tran_type=tran_type,
                cart_id=target.cart_id,
                currency=target.currency,
                cart_amount=amount,
                tran_total=amount,
                at=self._clock(),
                request=request,
                payment_info=target.payment_info,
                **members,
            )
        )


def _demand(order: Order, holds: bool, rule: str) -> None:
    if not holds:
        target = order.target
        state = f"{target.tran_type} {target.status or 'unpaid'} {target.tran_total}"
        raise DeskRefusal(f"one can only {rule}; {target.tran_ref} is {state}", 409)
