"""Invoices: an attempt at a payment whose link PayTabs sends about, and what may be done to one.

Making one is an operation like a page. Cancelling does no harm when it is done twice; the other acts are noted under
the caller's id before they are done. A message whose outcome is not known is never sent again by itself; that an
invoice was paid is, once PayTabs would show it: it refuses the second time.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from payments import facts
from payments.accepting import InvoiceTerms
from payments.acts import Acts, ActState, Asked, Document
from payments.audit_trail import Act, Trail
from payments.errors import InvalidArgument, NotYet, no_answer
from payments.events import Context
from payments.gateway import InvoiceGateway
from payments.money import MoneyService
from payments.operations import Operation, OperationsLedger
from payments.quoting import quoted
from payments.reconcile import Reconciler
from payments.store import Change, Clock, PaymentStore
from payments.views import PaymentView
from paytabs.breaker_verdict import names_wrong_settings
from paytabs.errors import InvalidRequest
from paytabs.invoices import InvoicePaidRequest
from paytabs.responses import Answer, Outcome

#: How the row of a cancelled invoice ends.
CANCELLED = "cancelled"

#: What PayTabs says of an invoice that is paid, here or elsewhere.
PAID = "paid"

#: Acts that PayTabs may have carried out without our knowing.
_IN_DOUBT = frozenset({ActState.SENT, ActState.UNKNOWN})


@dataclass(frozen=True)
class InvoiceParts:
    """What the use cases need."""

    store: PaymentStore
    ledger: OperationsLedger
    money: MoneyService
    reconciler: Reconciler
    gateway: InvoiceGateway
    fence_seconds: float
    clock: Clock
    trail: Trail
    monotonic: Callable[[], float] = time.monotonic


class InvoiceService:
    """Runs the use cases."""

    def __init__(self, parts: InvoiceParts) -> None:
        """Keep what the use cases need."""
        self._parts = parts
        self._acts = Acts(parts.ledger)

    def create(self, payment_id: str, terms: InvoiceTerms, operation_id: str, context: Context) -> dict[str, Any]:
        """Bill a payment of the CMS; the answer is the payment's view with the invoice's number and link.

        Raises:
            InvalidArgument: there is no such payment, or it cannot be billed as asked.
            OperationConflict: the operation id stands for something else.
            PaymentBusy: another operation of the payment is in hand.
            NotYet: it is being made, or what became of it is being found out.
        """
        view = self._parts.money.charge(payment_id, terms, operation_id, context)
        return self.made(view, self._parts.ledger.get(operation_id))

    def made(self, view: PaymentView, row: Operation | None) -> dict[str, Any]:
        """Return what `create` answers of a payment and the row of its invoice."""
        number, link = (row.invoice_id, self._link(row)) if row else (None, None)
        return {**view.to_json(), "invoice_id": number, "invoice_link": link}

    def done(self, verb: str, payment_id: str, act_id: str) -> dict[str, Any] | None:
        """Return what the caller of an act is told that was done under its id; None while it is not, or nobody knows.

        Args:
            verb: `cancel`, `send_sms` or `mark_paid`.
            payment_id: 24 hexadecimal digits.
            act_id: the caller's id of the act.
        """
        row = next(iter(reversed(self._invoices(payment_id))), None)
        if row is None:
            return None
        told = {"payment_id": payment_id, "invoice_id": row.invoice_id}
        if verb == "cancel":
            return {**told, "state": CANCELLED} if row.error == CANCELLED else None
        if self._acts.state_of(row, act_id, verb) != ActState.DONE:
            return None
        if verb == "send_sms":
            return {**told, "state": "asked before"}
        state, link = self._parts.money.state(payment_id), self._link(row)
        return {**told, "invoice_link": link, "invoice_status": PAID, "state": state, "act": ActState.DONE.value}

    def status(self, payment_id: str, context: Context) -> dict[str, Any]:
        """Ask what became of a payment's invoice, and apply what it says of the money.

        Raises:
            InvalidArgument: the payment has no invoice.
            GatewaySilent: PayTabs does not say.
            NotYet: PayTabs may not be called now.
        """
        row = self._invoice(payment_id)
        answer = self._asked(row, context)
        return {
            "payment_id": payment_id, "invoice_id": row.invoice_id, "invoice_link": self._link(row),
            "invoice_status": answer.invoice_status, "state": self._apply(row, answer, context),
        }  # fmt: skip

    def cancel(self, payment_id: str, context: Context, why: str | None = None) -> dict[str, Any]:
        """Cancel a payment's invoice, so that the payment can be asked for in another way; an act in the audit trail.

        Raises:
            InvalidArgument: the payment has no invoice, or PayTabs does not cancel it: a paid one, for example.
            GatewaySilent: whether it is cancelled is not known; asking again does no harm.
            NotYet: PayTabs may not be called now.
        """
        row = self._invoice(payment_id)
        done = {"payment_id": payment_id, "invoice_id": row.invoice_id, "state": CANCELLED}
        if row.error == CANCELLED:
            return done
        with self._act("cancel", row, context.operation_id or payment_id, context, why) as act:
            self._cancel(row, context)
            act.outcome = CANCELLED
        return done

    def _cancel(self, row: Operation, context: Context) -> None:
        payment_id = row.payment_id
        answer = self._parts.gateway.cancel_invoice(_number(row), correlation_id=context.correlation_id)
        if answer.outcome is Outcome.DID_NOT_HAPPEN and answer.error_code:
            status = self._asked(row, context)
            if status.invoice_status != CANCELLED:
                self._apply(row, status, context)
                raise InvalidArgument(
                    "payment_id", f"one whose invoice can be cancelled; it is {status.invoice_status}"
                )
        elif answer.outcome is not Outcome.SUCCEEDED:
            raise no_answer(answer, payment_id)
        self._parts.store.change(payment_id, context, lambda change: self._retire(change, row))

    def send_sms(
        self, payment_id: str, phone: str, act_id: str, context: Context, why: str | None = None
    ) -> dict[str, Any]:
        """Send the link of a payment's invoice to a telephone, once per id; the number is not kept.

        Returns:
            `sent`, `asked before`, or `unknown`: it may have been sent, and is not sent again under this id.

        Raises:
            InvalidArgument: the payment has no invoice, or PayTabs refuses.
            OperationConflict: the id stands for something else.
            NotYet: PayTabs may not be called now; nothing was sent.
        """
        row = self._invoice(payment_id)
        asked = Asked(act_id, "send_sms", {"invoice_id": row.invoice_id, "phone": phone}, context.requested_by)
        told = {"payment_id": payment_id, "invoice_id": row.invoice_id}
        act = self._acts.find(row, asked, self._parts.clock())
        if act is not None and act["state"] != ActState.REFUSED:
            done = act["state"] == ActState.DONE
            return {**told, "state": "asked before" if done else ActState.UNKNOWN.value}
        with self._act("send_sms", row, act_id, context, why) as noted:
            if not self._claim(row, asked, act):
                noted.outcome = "in other hands"
                return {**told, "state": ActState.UNKNOWN.value}
            answer = self._parts.gateway.send_invoice_sms(_number(row), phone, correlation_id=context.correlation_id)
            if self._book(row, act_id, answer) is ActState.REFUSED:
                if names_wrong_settings(answer):
                    self._asked(row, context)  # a refused key ends nobody's act: not answered, it is tried again
                raise _refused(answer)
            noted.outcome = "sent" if answer.outcome is Outcome.SUCCEEDED else ActState.UNKNOWN.value
        return {**told, "state": noted.outcome}

    def mark_paid(
        self, payment_id: str, method: str, description: str, act_id: str, context: Context, *, why: str | None = None
    ) -> dict[str, Any]:
        """Say that a payment's invoice was paid outside PayTabs, once.

        Where an earlier call may have done it, PayTabs is asked first; it is sent once more when it would show by now.

        Returns:
            How the invoice stands, and `act`: how far this came.

        Raises:
            InvalidArgument: the payment has no invoice, or PayTabs refuses: a cancelled one, for example.
            OperationConflict: the id stands for something else.
            GatewaySilent: PayTabs does not say.
            NotYet: whether it was done is not known yet, or PayTabs may not be called now.
        """
        row = self._invoice(payment_id)
        request = _paid_request(row, method, description)
        params = {"invoice_id": row.invoice_id, "pay_method": method, "pay_description": description}
        asked = Asked(act_id, "mark_paid", params, context.requested_by)
        act = self._acts.find(row, asked, self._parts.clock())
        if act and act["state"] == ActState.DONE:
            return self._marked(row, asked, context)
        with self._act("mark_paid", row, act_id, context, why) as noted:
            before = self._asked(row, context)
            if before.invoice_status == PAID:
                self._note_done(row, asked)
            elif self._claim_when_settled(row, asked, act):
                self._mark(row, request, act_id, context)
            told = self._marked(row, asked, context)
            noted.outcome = told["act"]
        return told

    def _mark(self, row: Operation, request: InvoicePaidRequest, act_id: str, context: Context) -> None:
        """Tell PayTabs, and note what came of it.

        Raises:
            InvalidArgument: PayTabs refuses, and not because the invoice is paid already.
        """
        not_after = self._parts.monotonic() + self._parts.fence_seconds
        answer = self._parts.gateway.mark_invoice_paid(
            request, not_after=not_after, correlation_id=context.correlation_id
        )
        if self._book(row, act_id, answer) is ActState.REFUSED and self._asked(row, context).invoice_status != PAID:
            raise _refused(answer)

    def _marked(self, row: Operation, asked: Asked, context: Context) -> dict[str, Any]:
        """Tell how the invoice and the act stand; NotYet while whether it was done is not known."""
        told = self.status(row.payment_id, context)
        if told["invoice_status"] == PAID:
            self._acts.end(row, asked.id, ActState.DONE)
        now = self._parts.clock()
        act = self._acts.find(row, asked, now)
        state = act["state"] if act else ActState.UNKNOWN.value
        if act and state in _IN_DOUBT:
            wait = self._acts.seconds_in_doubt(act, now) or 1.0
            raise NotYet(row.payment_id, wait, ActState.UNKNOWN.value)
        return {**told, "act": state}

    def _act(
        self, verb: str, row: Operation, act_id: str, context: Context, why: str | None
    ) -> AbstractContextManager[Act]:
        about = {"payment_id": row.payment_id, "operation_id": act_id, "invoice_id": row.invoice_id}
        return self._parts.trail.act(f"invoices.{verb}", context, reason=why, arguments=about, key=act_id)

    def _claim(self, row: Operation, asked: Asked, act: Document | None) -> bool:
        """Note an act that was not asked before, or of which PayTabs said that it did not do it."""
        now = self._parts.clock()
        if act is None:
            return self._acts.claim(row, asked, now)
        return act["state"] == ActState.REFUSED and self._acts.claim_again(row, act, now)

    def _claim_when_settled(self, row: Operation, asked: Asked, act: Document | None) -> bool:
        """Note an act as well that may have been done so long ago that PayTabs would show it."""
        now = self._parts.clock()
        if act and act["state"] in _IN_DOUBT:
            return self._acts.seconds_in_doubt(act, now) == 0 and self._acts.claim_again(row, act, now)
        return self._claim(row, asked, act)

    def _note_done(self, row: Operation, asked: Asked) -> None:
        if not self._acts.claim(row, asked, self._parts.clock(), ActState.DONE):
            self._acts.end(row, asked.id, ActState.DONE)

    def _book(self, row: Operation, act_id: str, answer: Answer) -> ActState:
        """Note what came of an act; one for which PayTabs was not reached is forgotten.

        Raises:
            GatewaySilent: PayTabs was not reached.
            NotYet: it may not be called now.
        """
        if answer.outcome is Outcome.DID_NOT_HAPPEN and not answer.error_code:
            self._acts.forget(row, act_id)
            raise no_answer(answer, row.payment_id)
        known = {Outcome.SUCCEEDED: ActState.DONE, Outcome.DID_NOT_HAPPEN: ActState.REFUSED}
        state = known.get(answer.outcome, ActState.UNKNOWN)
        self._acts.end(row, act_id, state)
        return state

    def _link(self, row: Operation) -> str | None:
        """Return where an invoice is found; nowhere any more once its time is over."""
        shown = row.shown(self._parts.ledger.now())
        return None if row.has_ended or (shown and shown.is_over) else row.redirect_url

    def _invoices(self, payment_id: str) -> list[Operation]:
        return [row for row in self._parts.ledger.of_payment(payment_id) if row.invoice_id is not None]

    def _invoice(self, payment_id: str) -> Operation:
        rows = self._invoices(payment_id)
        if not rows:
            raise InvalidArgument("payment_id", "a payment with an invoice")
        return rows[-1]

    def _asked(self, row: Operation, context: Context) -> Answer:
        answer = self._parts.gateway.invoice_status(_number(row), correlation_id=context.correlation_id)
        if answer.invoice_status is None:
            raise no_answer(answer, row.payment_id)
        return answer

    def _apply(self, row: Operation, answer: Answer, context: Context) -> str:
        """Apply what a query says of an invoice's transaction, and return the payment's state."""
        ref = answer.transaction.tran_ref if answer.transaction else None
        answers = self._parts.reconciler.ask(row, context, also=ref)
        self._parts.reconciler.apply(row.payment_id, answers, context)
        return self._parts.money.state(row.payment_id)

    def _retire(self, change: Change, row: Operation) -> None:
        stored = self._parts.ledger.get(row.operation_id, change.session)
        if stored and stored.open:
            cart_id = stored.cart_id or ""
            change.record(facts.CartRetired(operation_id=row.operation_id, cart_id=cart_id, reason="invoice_cancelled"))
            self._parts.ledger.give_up(stored, CANCELLED, change.now, change.session)


def _refused(answer: Answer) -> InvalidArgument:
    return InvalidArgument("payment_id", f"an invoice of which PayTabs takes this: {quoted(answer.message, {})}")


def _number(row: Operation) -> int:
    return row.invoice_id or 0


def _paid_request(row: Operation, method: str, description: str) -> InvoicePaidRequest:
    try:
        return InvoicePaidRequest(
            invoice_id=_number(row), invoice_currency=row.params["currency"], invoice_total=row.params["amount"],
            pay_method=method, pay_description=description,
        )  # fmt: skip
    except InvalidRequest as error:
        raise InvalidArgument(error.field, error.expected) from error
