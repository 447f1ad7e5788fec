"""What the merchant's staff do by hand in the dashboard, and what time does: each becomes a transaction and a notice.

An action is one row of `Dashboard.actions`; follow-ups by API share their rules and differ in who asks.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sandbox.amounts import read_amount
from sandbox.announcer import Announcer
from sandbox.errors import DeskRefusal, GatewayRefusal, RuleBroken
from sandbox.holds import Holds
from sandbox.ledger import Ledger
from sandbox.lookups import EXPIRED
from sandbox.page_book import PageBook
from sandbox.refunds import Refunds
from sandbox.successors import WRONG_STATE, FollowUp, Successors, demand
from sandbox.switchboard import SwitchBoard
from sandbox.transactions import Transaction


class Dashboard:
    """Carries out actions on the ledger."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        announcer: Announcer,
        pages: PageBook,
        switches: SwitchBoard,
        successors: Successors,
        holds: Holds,
        refunds: Refunds,
    ) -> None:
        self._ledger = ledger
        self._announcer = announcer
        self._pages = pages
        self._switches = switches
        self._successors = successors
        self.actions: dict[str, Callable[[FollowUp], Transaction]] = {
            "capture": holds.capture,
            "release": holds.release,
            "void": holds.void,
            "refund": refunds.refund,
            "approve": refunds.approve,
            "reject": refunds.reject,
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
                order = FollowUp(target, None if amount is None else read_amount(amount, target.currency))
            except GatewayRefusal as refusal:
                raise DeskRefusal(f"amount: {refusal.message}") from None
            try:
                done = self.actions[action](order)
            except RuleBroken as broken:
                state = f"{target.tran_type} {target.status or 'unpaid'} {target.tran_total}"
                raise DeskRefusal(f"{action}: {tran_ref} is {state}: {broken.message}", 409) from None
            self._announcer.announce(done)
            return done

    def _expire(self, order: FollowUp) -> Transaction:
        target = order.target
        is_auth = target.tran_type == "Auth" and target.status == "A"
        may = target.status in (None, "P") or is_auth
        demand(may, WRONG_STATE, "Only an open page, something pending or an Auth can expire")
        if target.page_id:
            self._pages.close(self._pages.find(target.page_id))
        if self._switches.now.expiry_reference == "same":
            return self._ledger.change(target.tran_ref, **EXPIRED, tran_total=target.cart_amount)
        return self._successors.add(
            replace(order, channel=target.channel), target.tran_type, target.cart_amount, **EXPIRED
        )

    def _settle(self, order: FollowUp) -> Transaction:
        return self._conclude(order, status="A", code=order.target.code, message="Authorised")

    def _decline(self, order: FollowUp) -> Transaction:
        return self._conclude(replace(order, amount=None), status="D", code="300", message="Not authorised")

    def _conclude(self, order: FollowUp, **result: Any) -> Transaction:  # noqa: ANN401 - fields of Transaction
        target = order.target
        is_waiting = target.tran_type == "Payment Request" and target.status == "P"
        may = is_waiting and not self._ledger.is_followed(target.tran_ref)
        demand(may, WRONG_STATE, "Only a pending Payment Request can be settled or declined")
        total = order.amount or target.tran_total
        return self._successors.add(replace(order, channel=target.channel), "Sale", total, **result)
