"""Tasks about invoices: `invoices.create`, `status`, `cancel`, `send_sms` and `mark_paid`, each by its payment."""

from typing import Any

from payments.accepting import InvoiceTerms
from payments.events import Context
from tasks.arguments import OfPayment
from tasks.arguments_money import ActOnInvoice, CreateInvoice, MarkPaid, SendSms
from tasks.base import domain_task
from tasks.wiring import World


@domain_task("invoices.create", CreateInvoice)
def create(world: World, asked: CreateInvoice, context: Context) -> dict[str, Any]:
    """Bill a payment of the CMS."""
    terms = InvoiceTerms(asked.invoice, asked.transaction, asked.callback_url, asked.return_url)
    return world.invoices.create(asked.payment_id, terms, asked.operation_id, context)


@domain_task("invoices.status", OfPayment)
def status(world: World, asked: OfPayment, context: Context) -> dict[str, Any]:
    """Ask what became of a payment's invoice and apply the answer."""
    return world.invoices.status(asked.payment_id, context)


@domain_task("invoices.cancel", ActOnInvoice)
def cancel(world: World, asked: ActOnInvoice, context: Context) -> dict[str, Any]:
    """Cancel a payment's invoice."""
    return world.invoices.cancel(asked.payment_id, context, asked.audit_reason)


@domain_task("invoices.send_sms", SendSms)
def send_sms(world: World, asked: SendSms, context: Context) -> dict[str, Any]:
    """Send the link of a payment's invoice to a telephone."""
    return world.invoices.send_sms(asked.payment_id, asked.phone, asked.operation_id, context, asked.audit_reason)


@domain_task("invoices.mark_paid", MarkPaid)
def mark_paid(world: World, asked: MarkPaid, context: Context) -> dict[str, Any]:
    """Say that a payment's invoice was paid outside PayTabs."""
    return world.invoices.mark_paid(
        asked.payment_id, asked.pay_method, asked.pay_description, asked.operation_id, context,
        why=asked.audit_reason,
    )  # fmt: skip
