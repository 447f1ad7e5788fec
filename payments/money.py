"""The use cases that move money without a page: capture, void, release, refund, and charges of a token.

Accept, send, tell: the row is committed first; whoever finds it there under the same id does not send it again.
"""

from dataclasses import dataclass, replace

from payments.accepting import Acceptor, ChargeTerms, InvoiceTerms
from payments.card_terms import CardTerms
from payments.cms import CmsReader
from payments.events import Context
from payments.operations import Operation, OperationsLedger, Status
from payments.ordering import FollowUpAcceptor, FollowUpTerms
from payments.sending import Sender
from payments.service import PaymentService
from payments.store import PaymentStore
from payments.views import OperationView, PaymentView, view_operation
from paytabs.fault_points import fault_point


@dataclass(frozen=True)
class MoneyParts:
    """What the use cases need."""

    store: PaymentStore
    ledger: OperationsLedger
    cms: CmsReader
    sender: Sender
    service: PaymentService
    charges: Acceptor
    follow_ups: FollowUpAcceptor


class MoneyService:
    """Runs the use cases, each exactly once per operation id."""

    def __init__(self, parts: MoneyParts) -> None:
        """Keep what the use cases need."""
        self._parts = parts

    def follow_up(self, payment_id: str, terms: FollowUpTerms, operation_id: str, context: Context) -> OperationView:
        """Capture, void, release or refund.

        Args:
            payment_id: 24 hexadecimal digits.
            terms: what and how much.
            operation_id: the caller's idempotency key.
            context: who asks.

        Raises:
            InvalidArgument: there is no such payment, or it is not allowed as asked; names the argument.
            OperationConflict: the operation id stands for something else.
            PaymentBusy: another operation of the payment is in hand.
            NotYet: it is being sent, or what became of it is being found out.
        """
        self._parts.service.take_over(payment_id, context)
        fault_point("before_row")
        row = self._parts.follow_ups.accept(payment_id, terms, operation_id, context)
        fault_point("after_row")
        return self.view(self._sent(row, context))

    def charge(
        self, payment_id: str, terms: ChargeTerms | CardTerms | InvoiceTerms, operation_id: str, context: Context
    ) -> PaymentView:
        """Charge a stored card, or what was typed into PayTabs' fields on our page, or bill the payer.

        Raises:
            InvalidArgument: there is no such payment, or it cannot be charged as asked, with an open page for example.
            OperationConflict: the operation id stands for something else.
            PaymentBusy: another operation of the payment is in hand.
            NotYet: it is being sent, or what became of it is being found out.
        """
        self._parts.service.take_over(payment_id, context)
        row = self._parts.charges.accept(self._parts.cms.payment(payment_id), terms, operation_id, context)
        self._sent(row, context)
        return self._parts.service.get(payment_id)

    def state(self, payment_id: str) -> str:
        """Return a payment's state."""
        return self._parts.service.get(payment_id).state

    def view(self, row: Operation) -> OperationView:
        """Show an operation together with its payment's state."""
        return view_operation(row, self._parts.store.load(row.payment_id))

    def _sent(self, row: Operation, context: Context) -> Operation:
        """Send a row that nobody has sent yet.

        Raises:
            NotYet: it waits for its next turn, is in other hands, or its outcome is being found out.
        """
        self._parts.service.require_unparked(row)
        if row.status is Status.NEW:
            row = self._parts.sender.send(row.operation_id, replace(context, operation_id=row.operation_id))
        self._parts.service.require_answered(row)
        return row
