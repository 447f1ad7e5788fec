"""What becomes of invoices: they wait, are paid on a page or by other means, are cancelled, or expire with time."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sandbox.checkout import Checkout
from sandbox.creation import PageOrder
from sandbox.direct import DirectPayments
from sandbox.errors import GatewayRefusal, UnknownTransaction
from sandbox.identifiers import Mint
from sandbox.invoice import Invoice, check_payment, read_date
from sandbox.ledger import Ledger
from sandbox.lookups import not_found
from sandbox.page_book import PageBook
from sandbox.shelf import Shelf
from sandbox.switchboard import SwitchBoard
from sandbox.transactions import Transaction

#: The number of the first invoice.
FIRST_NUMBER = 5_829_212

#: `invoice_status` while it can be paid.
PAYABLE = frozenset(("pending", "overdue"))

#: Statuses of attempts that are neither failed nor done.
WAITING = frozenset(("P", "H"))

#: Statuses of transactions after which an invoice counts as paid, for good.
PAID = frozenset(("A", "V"))


class Invoices:
    """Keeps invoices."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        mint: Mint,
        checkout: Checkout,
        pages: PageBook,
        direct: DirectPayments,
        switches: SwitchBoard,
        clock: Callable[[], datetime],
        shelf: Shelf,
    ) -> None:
        self._ledger = ledger
        self._mint = mint
        self._checkout = checkout
        self._pages = pages
        self._direct = direct
        self._switches = switches
        self._clock = clock
        self._shelf = shelf
        self._invoices = {one.invoice_id: one for _, one in shelf.load("invoice", Invoice)}

    def open(self, order: PageOrder) -> Invoice:
        """Make an invoice.

        Args:
            order: A request for a payment with the member `invoice`.

        Returns:
            The invoice.

        Raises:
            GatewayRefusal: Code 2 for a date that is none, or an expiry that has passed.
        """
        terms = order.members.get("invoice", {})
        if not isinstance(terms, dict):
            raise GatewayRefusal(2, "Invalid invoice")
        expiry, due = read_date(terms, "expiry_date"), read_date(terms, "due_date")
        if expiry is not None and expiry <= self._clock():
            raise GatewayRefusal(2, "Invoice expiry date has passed")
        with self._ledger.lock:
            number = FIRST_NUMBER + len(self._invoices)
            invoice = Invoice(number, self._mint.token(), order, due, expiry)
            self._keep(invoice)
            return invoice

    def get(self, invoice_id: object) -> Invoice:
        """Find an invoice.

        Args:
            invoice_id: Its number, a numeric text at most.

        Raises:
            GatewayRefusal: Code 2 when there is none.
        """
        text = str(invoice_id)
        found = self._invoices.get(int(text)) if text.isascii() and text.isdigit() else None
        if found is None:
            raise not_found(self._switches.now.not_found_code, "Invoice")
        return found

    def all(self) -> list[Invoice]:
        """Give every invoice, oldest first."""
        with self._ledger.lock:
            return list(self._invoices.values())

    def attempt(self, invoice: Invoice) -> Transaction | None:
        """Give the latest attempt to pay it, if any."""
        return self._ledger.get(invoice.tran_ref) if invoice.tran_ref else None

    def status(self, invoice: Invoice) -> str:
        """Tell `invoice_status`: once paid it stays paid, even after a void."""
        attempt, now = self.attempt(invoice), self._clock()
        if invoice.is_cancelled:
            return "cancelled"
        if attempt is not None and attempt.status in PAID:
            return "paid"
        if invoice.expiry is not None and invoice.expiry <= now:
            return "expired"
        return "overdue" if invoice.due is not None and invoice.due <= now else "pending"

    def page_of(self, invoice: Invoice) -> str:
        """Open the page on which it can be paid, a new one after a failed attempt.

        Args:
            invoice: The invoice.

        Returns:
            The reference of the page's transaction.

        Raises:
            UnknownTransaction: When it can no longer be paid and never was tried.
        """
        with self._ledger.lock:
            attempt = self.attempt(invoice)
            is_new = attempt is None or not (attempt.status in WAITING or self._has_open_page(attempt))
            if is_new and self.status(invoice) in PAYABLE:
                page = self._checkout.open_page(invoice.order, invoice_id=invoice.invoice_id, ends_by=invoice.expiry)
                invoice.tran_ref = page.tran_ref
                self._keep(invoice)
            if invoice.tran_ref is None:
                raise UnknownTransaction(str(invoice.invoice_id))
            return invoice.tran_ref

    def age(self, invoice: Invoice, by: timedelta) -> Transaction | None:
        """Let time pass for one invoice; gives the latest attempt to pay it."""
        invoice.due = invoice.due and invoice.due - by
        invoice.expiry = invoice.expiry and invoice.expiry - by
        self._keep(invoice)
        return self.attempt(invoice)

    def cancel(self, invoice: Invoice) -> None:
        """Cancel it; its page takes no card any more.

        Raises:
            GatewayRefusal: Code 2 when it is paid or cancelled and the switch says no.
        """
        with self._ledger.lock:
            status = self.status(invoice)
            if self._switches.now.final_invoices == "refused" and status in ("paid", "cancelled"):
                raise GatewayRefusal(2, f"Invoice is {status}")
            attempt = self.attempt(invoice)
            if attempt is not None and attempt.page_id:
                self._pages.close(self._pages.find(attempt.page_id))
            invoice.is_cancelled = True
            self._keep(invoice)

    def note_text(self, invoice: Invoice, phone: str) -> None:
        """Note that its link was sent to a telephone."""
        with self._ledger.lock:
            invoice.texts_sent += (phone,)
            self._keep(invoice)

    def mark_paid(self, invoice: Invoice, members: Mapping[str, Any]) -> Transaction:
        """Note that it was paid without the gateway: a transaction that moves nothing here and is told to nobody.

        Args:
            invoice: The invoice.
            members: `invoice_currency`, `invoice_total`, `pay_method`, `pay_description`.

        Returns:
            The transaction.

        Raises:
            GatewayRefusal: Code 2 when the sum or the method does not fit, or it is paid or cancelled.
        """
        check_payment(invoice, members)
        with self._ledger.lock:
            status = self.status(invoice)
            if status == "paid" or (status == "cancelled" and self._switches.now.final_invoices == "refused"):
                raise GatewayRefusal(2, f"Invoice is {status}")
            info = {
                "payment_method": members["pay_method"],
                "payment_description": str(members.get("pay_description") or ""),
            }
            done = self._direct.note_outside(invoice.order, invoice.invoice_id, info)
            invoice.tran_ref, invoice.is_cancelled = done.tran_ref, False
            self._keep(invoice)
            return done

    def clear(self) -> None:
        """Forget every invoice."""
        with self._ledger.lock:
            self._invoices.clear()
            self._shelf.forget("invoice")

    def _keep(self, invoice: Invoice) -> None:
        self._invoices[invoice.invoice_id] = invoice
        self._shelf.put("invoice", str(invoice.invoice_id), invoice)

    def _has_open_page(self, attempt: Transaction) -> bool:
        return attempt.page_id is not None and self._pages.is_open(self._pages.find(attempt.page_id))
