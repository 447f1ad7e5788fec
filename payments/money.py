"""The use cases that move money without a page: capture, void, release, refund, and charges of a token.

Accept, send, tell: the row is committed first; whoever finds it there under the same id does not send it again.
"""

from dataclasses import dataclass, replace

from payments.accepting import Acceptor, ChargeTerms, InvoiceTerms
from payments.audit_trail import Trail
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

#: Where the words are that a caller gave for PayTabs: they may be about a payer, so the trail only points to them.
IN_THE_ROW = "its caller's words stand in the operation's row"


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
    trail: Trail


class MoneyService:
    """Runs the use cases, each exactly once per operation id."""

    def __init__(self, parts: MoneyParts) -> None:
        """Keep what the use cases need."""
        self._parts = parts

    def follow_up(
        self, payment_id: str, terms: FollowUpTerms, operation_id: str, context: Context, why: str | None = None
    ) -> OperationView:
        """Capture, void, release or refund; that it was asked for, by whom and why, stands in the audit trail.

        Args:
            payment_id: 24 hexadecimal digits.
            terms: what and how much.
            operation_id: the caller's idempotency key.
            context: who asks.
            why: why, for the audit trail, which keeps it for good; the words in `terms` are forgotten in time.

        Raises:
            InvalidArgument: there is no such payment, or it is not allowed as asked; names the argument.
            OperationConflict: the operation id stands for something else.
            PaymentBusy: another operation of the payment is in hand.
            NotYet: it is being sent, or what became of it is being found out.
        """
        self._parts.service.take_over(payment_id, context)
        fault_point("before_row")
        row = self._accepted(payment_id, terms, operation_id, context, why)
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
        self._parts.service.end_page(payment_id, operation_id, context)
        row = self._parts.charges.accept(self._parts.cms.payment(payment_id), terms, operation_id, context)
        return self._parts.service.answer(self._sent(row, context))

    def _accepted(
        self, payment_id: str, terms: FollowUpTerms, operation_id: str, context: Context, why: str | None
    ) -> Operation:
        """Accept a follow-up, as an act of whoever asks; one that stands under this id is no new one."""
        parts = self._parts
        known = parts.ledger.get(operation_id)
        command, in_the_row = f"payments.{terms.action}", IN_THE_ROW if terms.reason else None
        if known and not parts.trail.entries.open_act(f"{command}/{operation_id}"):
            return parts.follow_ups.accept(payment_id, terms, operation_id, context)
        about = {"payment_id": payment_id, "operation_id": operation_id, "amount": terms.amount}
        about |= {"tran_ref": terms.tran_ref}
        with parts.trail.act(command, context, reason=why or in_the_row, arguments=about, key=operation_id) as act:
            row = parts.follow_ups.accept(payment_id, terms, operation_id, context)
            act.outcome = f"accepted: {row.kind} of {row.params['amount']} {row.params['currency']}"
        return row

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
