"""What a payer's act does to a payment: one page is one transaction, and it is charged at most once."""

from collections.abc import Callable
from datetime import datetime, timedelta

from sandbox.announcer import Announcer
from sandbox.cards import CANCELLED, THREE_DS_REJECTED, CardEntry, Result
from sandbox.charging import Charging
from sandbox.creation import PageOrder
from sandbox.errors import PageClosed, PageEnded, UnknownTransaction
from sandbox.identifiers import Mint
from sandbox.instruments import Instrument
from sandbox.ledger import Ledger
from sandbox.methods import METHODS, Method
from sandbox.openings import Openings
from sandbox.pages import Page, asks_to_keep, read_life
from sandbox.switchboard import SwitchBoard
from sandbox.transactions import Transaction

#: Results after which a page may be tried again, where the switch `page_attempts` allows it.
FAILED = frozenset(("D", "E"))


class Checkout:
    """Opens pages and carries out what payers do on them."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        mint: Mint,
        announcer: Announcer,
        switches: SwitchBoard,
        charging: Charging,
        openings: Openings,
        clock: Callable[[], datetime],
    ) -> None:
        self._ledger = ledger
        self._mint = mint
        self._announcer = announcer
        self._switches = switches
        self._charging = charging
        self._openings = openings
        self._clock = clock
        self._pages: dict[str, Page] = {}

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
            self._pages[page_id] = page
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

    def pages(self) -> list[Page]:
        """Give every page, oldest first."""
        with self._ledger.lock:
            return list(self._pages.values())

    def takes_acts(self, page: Page) -> bool:
        """Tell whether a page has no final result yet, whatever the time."""
        status = self._ledger.get(page.tran_ref).status
        may_try_again = self._switches.now.page_attempts == "until_paid" and status in FAILED
        return not page.closed and (status is None or may_try_again)

    def is_open(self, page: Page) -> bool:
        """Tell whether a payer can still act on a page: it has no final result, and its time is not over."""
        return self.takes_acts(page) and not self.is_over(page)

    def is_ended(self, page: Page) -> bool:
        """Tell whether its link is dead, though somebody in the middle of it may still finish."""
        return self._clock() >= page.ends_at

    def is_over(self, page: Page) -> bool:
        """Tell whether it is dead for good: its link is, and nobody may finish any more."""
        return self.is_ended(page) and self._clock() >= page.last_moment(self._switches.now)

    def is_dead(self, page: Page) -> bool:
        """Tell whether its time is over and nobody has paid by it."""
        return self._ledger.get(page.tran_ref).status is None and self.is_over(page)

    def visit(self, page: Page) -> bool:
        """Load the page as a payer does.

        Returns:
            Whether it showed how to pay, as it does while it is open and its link lives.
        """
        with self._ledger.lock:
            if not self.takes_acts(page) or self.is_ended(page):
                return False
            page.visited_at = page.visited_at or self._clock()
            return True

    def close(self, page: Page) -> None:
        """End a page from outside."""
        page.closed = True

    def age(self, page: Page, by: timedelta) -> None:
        """Let time pass for one page."""
        page.age(by)

    def mark_told(self, page: Page) -> None:
        """Note that its death was told."""
        page.is_told = True

    def enter_card(self, page: Page, entry: CardEntry, *, keeps_card: bool = True) -> Transaction | None:
        """Carry out the Pay button.

        Args:
            page: The page.
            entry: A card form that was filled in properly.
            keeps_card: Whether the payer lets the card be stored, where the page asks.

        Returns:
            The transaction with its result, or None when the 3-D Secure step comes next.

        Raises:
            PageClosed: When the page has its result already, or is for another card; nothing is charged.
        """
        with self._ledger.lock:
            self._must_be_open(page)
            if page.entry is not None and page.entry.card != entry.card:
                raise PageClosed(page.tran_ref)
            page.keeps_card = keeps_card or not asks_to_keep(self._ledger.get(page.tran_ref).request)
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
            self._must_be_open(page)
            page.method = method.name
            return self.answer_method(page, approved=True) if method.is_deferred else None

    def answer_method(self, page: Page, *, approved: bool) -> Transaction:
        """Let the chosen method say yes or no.

        Raises:
            PageClosed: When the page has its result already, is over, or no method was chosen.
        """
        with self._ledger.lock:
            self._must_be_open(page)
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
            self._must_be_open(page)
            return self._finish(page, CANCELLED, None)

    def clear(self) -> None:
        """Forget every page."""
        self._pages.clear()

    def _must_be_open(self, page: Page) -> None:
        if not self.takes_acts(page):
            raise PageClosed(page.tran_ref)
        if self.is_over(page):
            raise PageEnded(page.tran_ref)

    def _finish(self, page: Page, result: Result, entry: CardEntry | None, method: Method | None = None) -> Transaction:
        page.awaiting_three_ds = None
        before = self._ledger.get(page.tran_ref)
        changes = self._charging.changes(before, result, entry, method=method, keeps_card=page.keeps_card)
        after = self._ledger.change(page.tran_ref, **changes)
        self._announcer.announce(after)
        return after
