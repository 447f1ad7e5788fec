"""Setting an open page aside by a human's word, so that the payment can be asked for in another way.

PayTabs is asked first: what has been paid meanwhile is never set aside. The payer may still hold the link, so the page
is asked about until PayTabs says that it is final; money that comes through it is counted, and beside another
attempt's it is a case: "paid twice".
"""

from dataclasses import dataclass

from payments import facts
from payments.errors import InvalidArgument
from payments.events import Context
from payments.ladder import next_look
from payments.legs import Leg
from payments.operations import Operation, OperationsLedger, Status
from payments.payment import State
from payments.review import decider, said
from payments.service import PaymentService
from payments.store import Change, PaymentStore

#: How the row of an overridden page ends.
OVERRIDDEN = "overridden"

#: What a page may have come to and still be set aside: nobody has paid yet.
_UNPAID = frozenset({State.AWAITING_PAYER, State.PENDING_OFFLINE})


@dataclass(frozen=True)
class PageOverrides:
    """Sets pages aside."""

    store: PaymentStore
    ledger: OperationsLedger
    service: PaymentService

    def override(self, payment_id: str, note: str, context: Context) -> Operation:
        """Set a payment's open page aside, once PayTabs has said that nobody has paid it.

        Args:
            payment_id: 24 hexadecimal digits.
            note: why; kept in the payment's history.
            context: who decides.

        Returns:
            The page's operation, closed.

        Raises:
            InvalidArgument: the payment has no open page, or nobody says who decides and why.
            NotYet: PayTabs does not say how the page stands; nothing was changed.
        """
        decision = {"by": decider(context), "note": said(note)}
        self.service.verify(payment_id, context)
        return self.store.change(payment_id, context, lambda change: self._set_aside(change, decision))

    def _set_aside(self, change: Change, decision: dict[str, str]) -> Operation:
        row, legs = self._open_page(change)
        change.record(
            *(
                facts.PageOverridden(
                    operation_id=row.operation_id, cart_id=leg.cart_id, tran_ref=leg.tran_ref, **decision
                )
                for leg in legs
            )
        )
        self.ledger.give_up(row, OVERRIDDEN, change.now, change.session)
        closed = self.ledger.get(row.operation_id, change.session) or row
        self.ledger.follow(closed, {"due_at": next_look(closed, change.after, change.now)}, change.session)
        return closed

    def _open_page(self, change: Change) -> tuple[Operation, list[Leg]]:
        row = self.ledger.open_of(change.payment_id, change.session)
        legs = change.before.legs_of(row.operation_id) if row else []
        unpaid = [leg for leg in legs if leg.state in _UNPAID]
        state = change.before.base_state
        if row is None or not unpaid:
            raise InvalidArgument("payment_id", f"a payment with an open page; this one is {state}")
        if row.kind == "create_invoice":
            raise InvalidArgument(
                "payment_id", "a payment with an open page; its invoice is for invoices.cancel to end"
            )
        if row.status is not Status.PENDING:
            stands = f"{row.kind} {row.operation_id} is {row.status}"
            raise InvalidArgument("payment_id", f"a payment whose page is known to be open; {stands}")
        return row, unpaid
