"""What a payer's act does to a payment: one page is one transaction, and it is charged at most once."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sandbox.announcer import Announcer
from sandbox.cards import CANCELLED, THREE_DS_REJECTED, CardEntry, Result
from sandbox.creation import PageOrder
from sandbox.errors import PageClosed, UnknownTransaction
from sandbox.identifiers import Mint
from sandbox.ledger import Ledger
from sandbox.switchboard import SwitchBoard
from sandbox.transactions import Transaction

#: Results after which a page may be tried again, where the switch `page_attempts` allows it.
FAILED = frozenset(("D", "E"))

#: What a cancelled payment says of its card.
NO_PAYMENT = {"card_scheme": "", "payment_description": "No Payment"}


@dataclass
class Page:
    """A hosted page.

    Attributes:
        page_id: The end of its address.
        tran_ref: Its transaction.
        closed: Whether it was ended from outside (expired at the desk).
        awaiting_three_ds: The card that waits for the 3-D Secure step.
    """

    page_id: str
    tran_ref: str
    closed: bool = False
    awaiting_three_ds: CardEntry | None = None


class Checkout:
    """Opens pages and carries out what payers do on them."""

    def __init__(
        self,
        ledger: Ledger,
        mint: Mint,
        announcer: Announcer,
        switches: SwitchBoard,
        clock: Callable[[], datetime],
    ) -> None:
        self._ledger = ledger
        self._mint = mint
        self._announcer = announcer
        self._switches = switches
        self._clock = clock
        self._pages: dict[str, Page] = {}

    def open_page(self, order: PageOrder) -> Transaction:
        """Open a page for an accepted order; nothing is charged.

        Args:
            order: The order.

        Returns:
            The transaction, still without a status.
        """
        page_id = self._mint.page_id()
        transaction = Transaction(
            tran_ref=self._mint.tran_ref(),
            tran_type=order.tran_type,
            cart_id=order.members["cart_id"],
            currency=order.members["cart_currency"],
            cart_amount=order.amount,
            at=self._clock(),
            request=order.members,
            page_id=page_id,
        )
        with self._ledger.lock:
            self._pages[page_id] = Page(page_id, transaction.tran_ref)
            return self._ledger.open(transaction)

    def page(self, page_id: str) -> Page:
        """Find a page by the end of its address.

        Raises:
            UnknownTransaction: When there is none.
        """
        found = self._pages.get(page_id)
        if found is None:
            raise UnknownTransaction(page_id)
        return found

    def page_of(self, tran_ref: str) -> Page:
        """Find the page of a transaction.

        Raises:
            UnknownTransaction: When it has none.
        """
        return self.page(self._ledger.get(tran_ref).page_id or tran_ref)

    def is_open(self, page: Page) -> bool:
        """Tell whether a payer can still act on a page."""
        status = self._ledger.get(page.tran_ref).status
        may_try_again = self._switches.now.page_attempts == "until_paid" and status in FAILED
        return not page.closed and (status is None or may_try_again)

    def enter_card(self, page: Page, entry: CardEntry) -> Transaction | None:
        """Carry out the Pay button.

        Args:
            page: The page.
            entry: A card form that was filled in properly.

        Returns:
            The transaction with its result, or None when the 3-D Secure step comes next.

        Raises:
            PageClosed: When the page has its result already; nothing is charged.
        """
        with self._ledger.lock:
            self._must_be_open(page)
            if entry.card.three_ds:
                page.awaiting_three_ds = entry
                return None
            return self._finish(page, entry.card.result, entry)

    def answer_three_ds(self, page: Page, *, approved: bool) -> Transaction:
        """Carry out the 3-D Secure step.

        Args:
            page: A page whose card waits for it.
            approved: Which button.

        Returns:
            The transaction with its result.

        Raises:
            PageClosed: When the page has its result already, or no card waits.
        """
        with self._ledger.lock:
            self._must_be_open(page)
            entry = page.awaiting_three_ds
            if entry is None:
                raise PageClosed(page.tran_ref)
            return self._finish(page, entry.card.result if approved else THREE_DS_REJECTED, entry)

    def cancel(self, page: Page) -> Transaction:
        """Carry out the Cancel button.

        Raises:
            PageClosed: When the page has its result already.
        """
        with self._ledger.lock:
            self._must_be_open(page)
            return self._finish(page, CANCELLED, None)

    def clear(self) -> None:
        """Forget every page."""
        self._pages.clear()

    def _must_be_open(self, page: Page) -> None:
        if not self.is_open(page):
            raise PageClosed(page.tran_ref)

    def _finish(self, page: Page, result: Result, entry: CardEntry | None) -> Transaction:
        page.awaiting_three_ds = None
        before = self._ledger.get(page.tran_ref)
        after = self._ledger.change(
            page.tran_ref,
            status=result.status,
            code=result.code or self._fresh_code(result),
            message=result.message,
            tran_total=before.cart_amount,
            payment_info=_payment_info(entry) if entry else NO_PAYMENT,
            **self._nature(before, result),
        )
        self._announcer.announce(after)
        return after

    def _nature(self, before: Transaction, result: Result) -> dict[str, Any]:
        if result.status == "P":
            return {"tran_type": "Payment Request"}
        if result.status == "H" and before.tran_type == "Sale":
            # Hold on reject: the gateway authorises instead of selling, and only a query says what was asked.
            return {"tran_type": "Auth", "original_tran_type": "Sale"}
        wants_token = before.tran_type == "Register" or "tokenise" in before.request
        return {"token": self._mint.token()} if result.status == "A" and wants_token else {}

    def _fresh_code(self, result: Result) -> str:
        return self._mint.payer_reference() if result.status == "P" else self._mint.authorisation()


def _payment_info(entry: CardEntry) -> dict[str, Any]:
    return {
        "payment_method": entry.card.scheme,
        "card_type": "Credit",
        "card_scheme": entry.card.scheme,
        "payment_description": entry.card.masked,
        "expiryMonth": entry.expiry_month,
        "expiryYear": entry.expiry_year,
    }
