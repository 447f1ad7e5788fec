"""Accepting a capture, void, release or refund: decided and committed before anything is sent.

At most one operation of a payment is open, so what is decided here still holds when it is sent; it is decided once
more just before, because staff may have acted in PayTabs' dashboard meanwhile.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from payments.accepting import new_row, refuse_beside, same_operation
from payments.allowance import Action, Order, order
from payments.assessment import Assessment
from payments.cms_refusals import settled_outside
from payments.errors import InvalidArgument
from payments.events import Context
from payments.forgotten_known import told_of
from payments.operations import Operation, OperationsLedger
from payments.payment import LIVE, State
from payments.store import Change, PaymentStore


@dataclass(frozen=True)
class FollowUpTerms:
    """What a caller may ask of a payment: `amount` is decimal text, None for all that remains.

    `tran_ref` names the transaction to act upon, where the payment has several.
    """

    action: Action
    amount: str | None = None
    tran_ref: str | None = None
    reason: str | None = None

    def to_document(self) -> dict[str, Any]:
        """Return the choices as they are stored."""
        return asdict(self)


@dataclass(frozen=True)
class FollowUpAcceptor:
    """Accepts follow-ups; `callback_url` is where PayTabs tells about them, `epoch` the ledger's."""

    store: PaymentStore
    ledger: OperationsLedger
    callback_url: str | None
    profile_id: int
    epoch: Callable[[], int] = int

    def accept(self, payment_id: str, terms: FollowUpTerms, operation_id: str, context: Context) -> Operation:
        """Commit a follow-up, or return the one that stands under this id.

        Raises:
            InvalidArgument: it is not allowed as asked; names the argument.
            OperationConflict: the operation id stands for something else.
            PaymentBusy: another operation of the payment is in hand.
        """
        return self.store.change(payment_id, context, lambda change: self._accept(change, terms, operation_id, context))

    def _accept(self, change: Change, terms: FollowUpTerms, operation_id: str, context: Context) -> Operation:
        known = self.ledger.get(operation_id, change.session)
        if known:
            return same_operation(known, terms.action, change.payment_id, terms.to_document())
        if _settled_by_a_person(change.before, terms.action):
            raise settled_outside("what PayTabs took before is settled by the word of a person too")
        if not change.history:
            raise InvalidArgument("payment_id", "a payment that was begun here; nothing is known of this one")
        standing = self.ledger.open_of(change.payment_id, change.session)
        if standing and change.before.base_state is not State.ON_HOLD:
            refuse_beside(standing, change.now)
        asked = self._forgotten(change, terms, operation_id) or order(
            terms.action, change.payment, change.before, amount=terms.amount, tran_ref=terms.tran_ref
        )
        params = {
            "transaction": asked.action, "on": asked.tran_ref, "amount": f"{asked.amount:f}",
            "currency": asked.currency, "title": terms.reason, "callback_url": self.callback_url,
            "asked": terms.to_document(),
        }  # fmt: skip
        payment_id = change.payment_id
        row = new_row(operation_id, payment_id, kind=terms.action, params=params, context=context, now=change.now)
        self.ledger.accept(row, change.session)
        return row

    def _forgotten(self, change: Change, terms: FollowUpTerms, operation_id: str) -> Order | None:
        """Return what was sent under the operation's id before a restore, where PayTabs has told of it."""
        seen = told_of(change.payment, self.profile_id, change.payment_id, operation_id, self.epoch())
        if seen is None or seen.previous_tran_ref is None or not (seen.amount and seen.currency):
            return None
        # What the caller names stands: where it is not what was sent, that is a case.
        return Order(
            terms.action, terms.tran_ref or seen.previous_tran_ref, Decimal(terms.amount or seen.amount), seen.currency
        )


def _settled_by_a_person(verdict: Assessment, action: Action) -> bool:
    """Tell whether a person has said that there is nothing more to move.

    What PayTabs holds beside cash can always be freed, and what it took beside cash be given back; what was given back
    without PayTabs is not given back once more.
    """
    if verdict.base_state is not State.SETTLED_OUTSIDE:
        return False
    gives_back = action in ("void", "release") or (action == "refund" and verdict.stands_for != "refunded")
    return not (gives_back and any(leg.state in LIVE for leg in verdict.legs))
