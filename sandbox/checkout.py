"""What a payer's act does to a payment: one page is one transaction, and it is charged at most once."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

from sandbox.announcer import Announcer
from sandbox.cards import CANCELLED, THREE_DS_REJECTED, CardEntry, Result
from sandbox.charging import Charging
from sandbox.creation import PageOrder
from sandbox.errors import PageClosed
from sandbox.identifiers import Mint
from sandbox.instruments import Instrument
from sandbox.ledger import Ledger
from sandbox.methods import METHODS, Method
from sandbox.openings import Openings
from sandbox.page_book import PageBook
from sandbox.pages import Page, asks_to_keep, read_life
from sandbox.transactions import Transaction


class Checkout:
    """Opens pages and carries out what payers do on them."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        mint: Mint,
        announcer: Announcer,
        pages: PageBook,
        charging: Charging,
        openings: Openings,
        clock: Callable[[], datetime],
    ) -> None:
        self._ledger = ledger
        self._mint = mint
        self._announcer = announcer
        self._pages = pages
        self._charging = charging
        self._openings = openings
        self._clock = clock

    def open_page(
        self,
        order: PageOrder,
        instrument: Instrument | None = None,
        *,
        invoice_id: int | None = None,
        ends_by: datetime | None = None,
    ) -> Transaction:
        """Open a page for an accepted order; nothing is charged.

        Args:
            order: The order.
            instrument: The card it is for; one that was just typed goes on to the 3-D Secure step.
            invoice_id: The invoice it is for.
            ends_by: When it ends at the latest, whatever life was asked for.

        Returns:
            The transaction, still without a status.
        """
        page_id, now = self._mint.page_id(), self._clock()
        ends_at = now + read_life(order.members)
        transaction = self._openings.begin(order, instrument, page_id=page_id, invoice_id=invoice_id)
        page = Page(page_id, transaction.tran_ref, now, min(ends_at, ends_by) if ends_by else ends_at)
        if instrument is not None:
            page.entry = instrument.entry
            page.awaiting_three_ds = None if instrument.stored else instrument.entry
        with self._ledger.lock:
            self._pages.keep(page)
            return self._ledger.open(transaction)

    def enter_card(
        self, page: Page, entry: CardEntry, *, keeps_card: bool = True, amount: Decimal | None = None
    ) -> Transaction | None:
        """Carry out the Pay button.

        Args:
            page: The page.
            entry: A card form that was filled in properly.
            keeps_card: Whether the payer lets the card be stored, where the page asks.
            amount: What the payer chose to give, where that is left to them.

        Returns:
            The transaction with its result, or None when the 3-D Secure step comes next.

        Raises:
            PageClosed: When the page has its result already, or is for another card; nothing is charged.
        """
        with self._ledger.lock:
            self._pages.demand_open(page)
            if page.entry is not None and page.entry.card != entry.card:
                raise PageClosed(page.tran_ref)
            page.amount = amount
            page.keeps_card = keeps_card or not asks_to_keep(self._ledger.get(page.tran_ref).request)
            if entry.card.three_ds:
                page.awaiting_three_ds = entry
                self._pages.keep(page)
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
            self._pages.demand_open(page)
            entry = page.awaiting_three_ds
            if entry is None:
                raise PageClosed(page.tran_ref)
            return self._finish(page, entry.card.result if approved else THREE_DS_REJECTED, entry)

    def choose_method(self, page: Page, method: Method) -> Transaction | None:
        """Let the payer choose another method than a card.

        Args:
            page: The page.
            method: The method.

        Returns:
            The transaction with its voucher, or None when the payer is now away at the method.

        Raises:
            PageClosed: When the page has its result already, or is over.
        """
        with self._ledger.lock:
            self._pages.demand_open(page)
            page.method = method.name
            self._pages.keep(page)
            return self.answer_method(page, approved=True) if method.is_deferred else None

    def answer_method(self, page: Page, *, approved: bool) -> Transaction:
        """Let the chosen method say yes or no.

        Raises:
            PageClosed: When the page has its result already, is over, or no method was chosen.
        """
        with self._ledger.lock:
            self._pages.demand_open(page)
            if page.method is None:
                raise PageClosed(page.tran_ref)
            method = METHODS[page.method]
            return self._finish(page, method.result(approved=approved), None, method)

    def cancel(self, page: Page) -> Transaction:
        """Carry out the Cancel button.

        Raises:
            PageClosed: When the page has its result already.
        """
        with self._ledger.lock:
            self._pages.demand_open(page)
            return self._finish(page, CANCELLED, None)

    def _finish(self, page: Page, result: Result, entry: CardEntry | None, method: Method | None = None) -> Transaction:
        before = self._ledger.get(page.tran_ref)
        changes = self._charging.changes(
            before, result, entry, method=method, keeps_card=page.keeps_card, amount=page.amount
        )
        after = self._ledger.change(page.tran_ref, **changes)
        page.awaiting_three_ds = None
        self._pages.keep(page)
        self._announcer.announce(after)
        return after
