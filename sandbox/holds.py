"""What may be done with held money: it is taken, freed or the whole is undone, by the rules and switches of each."""

from sandbox.ledger import Ledger
from sandbox.successors import ON_HOLD, TOO_MUCH, UNSUPPORTED, WRONG_STATE, FollowUp, Successors, demand
from sandbox.switchboard import SwitchBoard
from sandbox.transactions import Transaction

#: `response_status` of a transaction whose money is held.
HOLDING = frozenset(("A", "H"))


class Holds:
    """Carries out captures, releases and voids; the caller holds the ledger's lock."""

    def __init__(self, ledger: Ledger, successors: Successors, switches: SwitchBoard) -> None:
        self._ledger = ledger
        self._successors = successors
        self._switches = switches

    def capture(self, order: FollowUp) -> Transaction:
        """Take what is held, or a part of it.

        Raises:
            RuleBroken: When nothing or less is held, or a human has to decide first.
        """
        _demand_hold(order)
        demand("A" in self._switches.now.method_flags, UNSUPPORTED, "The payment method allows no capture")
        amount = order.within(self._ledger.balance(order.target.tran_ref).capturable)
        return self._successors.add(order, "Capture", amount, **self._successors.approved())

    def release(self, order: FollowUp) -> Transaction:
        """Free what is held, or a part of it.

        Raises:
            RuleBroken: As for a capture.
        """
        _demand_hold(order)
        amount = order.within(self._ledger.balance(order.target.tran_ref).capturable)
        return self._successors.add(order, "Release", amount, **self._successors.approved())

    def void(self, order: FollowUp) -> Transaction:
        """Undo an authorisation, or on the same day a sale.

        Raises:
            RuleBroken: When there is nothing to undo, or a switch says no.
        """
        if order.target.tran_type == "Sale":
            return self._void_sale(order)
        _demand_hold(order)
        switches, balance = self._switches.now, self._ledger.balance(order.target.tran_ref)
        is_captured = balance.captured > 0
        demand(
            not is_captured or switches.void_after_capture == "frees_rest",
            WRONG_STATE,
            "A part was captured; release the rest",
        )
        amount = order.within(balance.capturable)
        if amount < balance.capturable:
            demand(switches.partial_void == "release", TOO_MUCH, f"Only the full {balance.capturable} can be voided")
            partial = {"original_tran_type": "Void", **self._successors.approved()}
            return self._successors.add(order, "Release", amount, **partial)
        voiding = self._successors.add(order, "Void", amount, **self._successors.approved())
        return voiding if is_captured else self._marked(voiding)

    def _void_sale(self, order: FollowUp) -> Transaction:
        target, balance = order.target, self._ledger.balance(order.target.tran_ref)
        may = order.is_by_hand or self._switches.now.void_of_sale == "allowed"
        demand(may, WRONG_STATE, "A Sale cannot be voided")
        is_whole = balance.refundable == balance.captured == target.tran_total and balance.released == 0
        is_paid = target.status == "A" and not target.is_outside
        demand(is_paid and is_whole, WRONG_STATE, "Only an untouched Sale can be voided")
        amount = order.within(target.tran_total)
        demand(amount == target.tran_total, TOO_MUCH, f"Only the full {target.tran_total} can be voided")
        return self._marked(self._successors.add(order, "Void", amount, **self._successors.approved()))

    def _marked(self, voiding: Transaction) -> Transaction:
        if self._switches.now.void_changes_original:
            self._ledger.change(str(voiding.previous_tran_ref), status="V", message="Voided")
        return voiding


def _demand_hold(order: FollowUp) -> None:
    target = order.target
    demand(target.status != "H" or order.is_by_hand, ON_HOLD, "Previous transaction is on hold")
    is_held = target.tran_type == "Auth" and target.status in HOLDING
    demand(is_held, WRONG_STATE, f"Previous transaction is a {target.tran_type} of status {target.status}")
