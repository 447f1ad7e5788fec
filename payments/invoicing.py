"""Invoices: an attempt at a payment whose link PayTabs sends about, and what may be done to one.

Making one is an operation like a page. Cancelling does no harm when it is done twice; the other acts are noted under
the caller's id before they are done, and done once.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from payments import facts
from payments.accepting import InvoiceTerms
from payments.errors import GatewaySilent, InvalidArgument
from payments.events import Context
from payments.gateway import InvoiceGateway
from payments.money import MoneyService
from payments.operations import Operation, OperationsLedger
from payments.reconcile import Reconciler
from payments.store import Change, PaymentStore
from paytabs.errors import InvalidRequest
from paytabs.invoices import InvoicePaidRequest
from paytabs.responses import Answer, Outcome

#: How the row of a cancelled invoice ends.
CANCELLED = "cancelled"


@dataclass(frozen=True)
class InvoiceParts:
    """What the use cases need."""

    store: PaymentStore
    ledger: OperationsLedger
    money: MoneyService
    reconciler: Reconciler
    gateway: InvoiceGateway
    fence_seconds: float
    monotonic: Callable[[], float] = time.monotonic


class InvoiceService:
    """Runs the use cases."""

    def __init__(self, parts: InvoiceParts) -> None:
        """Keep what the use cases need."""
        self._parts = parts

    def create(self, payment_id: str, terms: InvoiceTerms, operation_id: str, context: Context) -> dict[str, Any]:
        """Bill a payment of the CMS; the answer is the payment's view with the invoice's number and link.

        Raises:
            InvalidArgument: there is no such payment, or it cannot be billed as asked.
            OperationConflict: the operation id stands for something else.
            PaymentBusy: another operation of the payment is in hand.
            NotYet: it is being made, or what became of it is being found out.
        """
        view = self._parts.money.charge(payment_id, terms, operation_id, context)
        row = self._parts.ledger.get(operation_id)
        number, link = (row.invoice_id, row.redirect_url) if row else (None, None)
        return {**view.to_json(), "invoice_id": number, "invoice_link": link}

    def status(self, payment_id: str, context: Context) -> dict[str, Any]:
        """Ask what became of a payment's invoice, and apply what it says of the money.

        Raises:
            InvalidArgument: the payment has no invoice.
            GatewaySilent: PayTabs does not say.
        """
        row = self._invoice(payment_id)
        answer = self._asked(row, context)
        return {
            "payment_id": payment_id, "invoice_id": row.invoice_id, "invoice_link": row.redirect_url,
            "invoice_status": answer.invoice_status, "state": self._apply(row, answer, context),
        }  # fmt: skip

    def cancel(self, payment_id: str, context: Context) -> dict[str, Any]:
        """Cancel a payment's invoice, so that the payment can be asked for in another way.

        Raises:
            InvalidArgument: the payment has no invoice, or PayTabs does not cancel it: a paid one, for example.
            GatewaySilent: whether it is cancelled is not known; asking again does no harm.
        """
        row = self._invoice(payment_id)
        done = {"payment_id": payment_id, "invoice_id": row.invoice_id, "state": CANCELLED}
        if row.error == CANCELLED:
            return done
        answer = self._parts.gateway.cancel_invoice(_number(row), correlation_id=context.correlation_id)
        if answer.outcome is Outcome.DID_NOT_HAPPEN and answer.error_code:
            status = self._asked(row, context)
            if status.invoice_status != CANCELLED:
                self._apply(row, status, context)
                raise InvalidArgument(
                    "payment_id", f"one whose invoice can be cancelled; it is {status.invoice_status}"
                )
        elif answer.outcome is not Outcome.SUCCEEDED:
            raise GatewaySilent(answer.detail)
        self._parts.store.change(payment_id, context, lambda change: self._retire(change, row))
        return done

    def send_sms(self, payment_id: str, phone: str, act_id: str, context: Context) -> dict[str, Any]:
        """Send the link of a payment's invoice to a telephone, once per id; the number is not kept.

        Raises:
            InvalidArgument: the payment has no invoice, or PayTabs refuses.
        """
        row = self._invoice(payment_id)
        told = {"payment_id": payment_id, "invoice_id": row.invoice_id}
        if not self._parts.ledger.claim_act(row, act_id):
            return {**told, "state": "asked before"}
        answer = self._parts.gateway.send_invoice_sms(_number(row), phone, correlation_id=context.correlation_id)
        if answer.outcome is Outcome.DID_NOT_HAPPEN:
            self._parts.ledger.forget_act(row, act_id)
            self._refuse(answer)
        return {**told, "state": "sent" if answer.outcome is Outcome.SUCCEEDED else "unknown"}

    def mark_paid(
        self, payment_id: str, method: str, description: str, act_id: str, context: Context
    ) -> dict[str, Any]:
        """Say that a payment's invoice was paid outside PayTabs, once.

        Raises:
            InvalidArgument: the payment has no invoice, or PayTabs refuses: a cancelled one, for example.
            GatewaySilent: PayTabs does not say.
        """
        row = self._invoice(payment_id)
        before = self._asked(row, context)
        if before.invoice_status != "paid" and self._parts.ledger.claim_act(row, act_id):
            request = _paid_request(row, method, description)
            not_after = self._parts.monotonic() + self._parts.fence_seconds
            answer = self._parts.gateway.mark_invoice_paid(
                request, not_after=not_after, correlation_id=context.correlation_id
            )
            if answer.outcome is Outcome.DID_NOT_HAPPEN:
                self._parts.ledger.forget_act(row, act_id)
                self._refuse(answer)
        return self.status(payment_id, context)

    def _invoice(self, payment_id: str) -> Operation:
        rows = [row for row in self._parts.ledger.of_payment(payment_id) if row.invoice_id is not None]
        if not rows:
            raise InvalidArgument("payment_id", "a payment with an invoice")
        return rows[-1]

    def _asked(self, row: Operation, context: Context) -> Answer:
        answer = self._parts.gateway.invoice_status(_number(row), correlation_id=context.correlation_id)
        if answer.invoice_status is None:
            raise GatewaySilent(answer.detail)
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

    def _refuse(self, answer: Answer) -> None:
        if answer.error_code:
            raise InvalidArgument("payment_id", f"an invoice of which PayTabs takes this: {answer.message}")
        raise GatewaySilent(answer.detail)


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
