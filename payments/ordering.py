"""Accepting a capture, void, release or refund: decided and committed before anything is sent.

At most one operation of a payment is open, so what is decided here still holds when it is sent; it is decided once
more just before, because staff may have acted in PayTabs' dashboard meanwhile.
"""

from dataclasses import asdict, dataclass
from typing import Any

from payments.accepting import new_row, refuse_beside, same_operation
from payments.allowance import Action, order
from payments.assessment import Assessment
from payments.cms_refusals import settled_outside
from payments.errors import InvalidArgument
from payments.events import Context
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
    """Accepts follow-ups; `callback_url` is where PayTabs tells about them."""

    store: PaymentStore
    ledger: OperationsLedger
    callback_url: str | None

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
            refuse_beside(standing)
        asked = order(terms.action, change.payment, change.before, amount=terms.amount, tran_ref=terms.tran_ref)
        params = {
            "transaction": asked.action, "on": asked.tran_ref, "amount": f"{asked.amount:f}",
            "currency": asked.currency, "title": terms.reason, "callback_url": self.callback_url,
            "asked": terms.to_document(),
        }  # fmt: skip
        payment_id = change.payment_id
        row = new_row(operation_id, payment_id, kind=terms.action, params=params, context=context, now=change.now)
        self.ledger.accept(row, change.session)
        return row


def _settled_by_a_person(verdict: Assessment, action: Action) -> bool:
    """Tell whether a person has said that there is nothing more to move.

    What PayTabs holds beside cash can always be freed, and what it took beside cash be given back; what was given back
    without PayTabs is not given back once more.
    """
    if verdict.base_state is not State.SETTLED_OUTSIDE:
        return False
    gives_back = action in ("void", "release") or (action == "refund" and verdict.stands_for != "refunded")
    return not (gives_back and any(leg.state in LIVE for leg in verdict.legs))
