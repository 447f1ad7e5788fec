"""What may be given back: of one sale or capture never more than was taken, at once or after someone's approval."""

from decimal import Decimal

from sandbox.ledger import Ledger
from sandbox.successors import (
    BALANCE_TOO_LOW,
    OVER_REFUND,
    REJECTED,
    TOO_MUCH,
    UNSUPPORTED,
    WRONG_STATE,
    FollowUp,
    Successors,
    demand,
)
from sandbox.switchboard import SwitchBoard
from sandbox.transactions import Transaction


class Refunds:
    """Carries out refunds and decides those that wait; the caller holds the ledger's lock."""

    def __init__(self, ledger: Ledger, successors: Successors, switches: SwitchBoard) -> None:
        self._ledger = ledger
        self._successors = successors
        self._switches = switches

    def refund(self, order: FollowUp) -> Transaction:
        """Give back what was taken, or a part of it.

        Raises:
            RuleBroken: When it was not taken, less of it is left, or the method does not allow it.
        """
        target, flags = order.target, self._switches.now.method_flags
        is_paid = target.tran_type in ("Sale", "Capture") and target.status == "A" and not target.is_outside
        demand(is_paid, WRONG_STATE, "Only a paid Sale or Capture can be refunded")
        earlier = self._of(target)
        left = target.tran_total - sum((one.tran_total for one in earlier), Decimal(0))
        amount = order.within(min(left, self._ledger.balance(target.tran_ref).refundable), OVER_REFUND)
        demand("R" in flags, UNSUPPORTED, "The payment method allows no refund")
        demand("P" in flags or amount == target.tran_total, TOO_MUCH, "The payment method allows full refunds only")
        demand("M" in flags or not earlier, WRONG_STATE, "The payment method allows one refund only")
        return self._carry_out(order, amount)

    def approve(self, order: FollowUp) -> Transaction:
        """Carry out a refund that waits.

        Raises:
            RuleBroken: When it does not wait.
        """
        done = self._decide(order, self._successors.approved())
        self._mark_refunded(str(order.target.previous_tran_ref))
        return done

    def reject(self, order: FollowUp) -> Transaction:
        """Decline a refund that waits.

        Raises:
            RuleBroken: When it does not wait.
        """
        return self._decide(order, {"status": "D", "code": REJECTED, "message": "Refund rejected"})

    def _carry_out(self, order: FollowUp, amount: Decimal) -> Transaction:
        switches = self._switches.now
        if switches.merchant_balance is not None and amount > Decimal(str(switches.merchant_balance)):
            declined = {"status": "D", "code": BALANCE_TOO_LOW, "message": "Refund balance exceeded"}
            return self._successors.add(order, "Refund", amount, **declined)
        if switches.refund_approval == "manual" and not order.is_by_hand:
            pending = {"status": "P", "code": "600", "message": "Pending"}
            return self._successors.add(order, "Refund", amount, **pending)
        done = self._successors.add(order, "Refund", amount, **self._successors.approved())
        self._mark_refunded(order.target.tran_ref)
        return done

    def _decide(self, order: FollowUp, result: dict[str, str]) -> Transaction:
        pending = order.target
        demand(self._ledger.is_pending_refund(pending), WRONG_STATE, "Only a pending Refund can be decided")
        if self._switches.now.refund_resolution == "new":
            return self._successors.add(order, "Refund", pending.tran_total, **result)
        return self._ledger.change(pending.tran_ref, **result)

    def _of(self, target: Transaction) -> list[Transaction]:
        """Give the refunds of a sale or capture that were carried out or wait."""
        followers = self._ledger.followers(target.tran_ref)
        refunds = [one for one in followers if one.tran_type == "Refund"]
        resolved = [one for waiting in refunds for one in self._ledger.followers(waiting.tran_ref)]
        return [one for one in [*refunds, *resolved] if one.status == "A" or self._ledger.is_pending_refund(one)]

    def _mark_refunded(self, tran_ref: str) -> None:
        target = self._ledger.get(tran_ref)
        given_back = sum((one.tran_total for one in self._of(target) if one.status == "A"), Decimal(0))
        if self._switches.now.full_refund_changes_original and given_back == target.tran_total:
            self._ledger.change(tran_ref, status="V", message="Voided")
