"""Which pages there are and which of them can still be paid: those without a final result whose time is not over."""

from collections.abc import Callable
from datetime import datetime, timedelta

from sandbox.errors import PageClosed, PageEnded, UnknownTransaction
from sandbox.ledger import Ledger
from sandbox.pages import Page
from sandbox.shelf import Shelf
from sandbox.switchboard import SwitchBoard

#: Results after which a page may be tried again, where the switch `page_attempts` allows it.
FAILED = frozenset(("D", "E"))


class PageBook:
    """Keeps pages; whoever changes one holds the ledger's lock and puts it back with `keep`."""

    def __init__(self, ledger: Ledger, switches: SwitchBoard, clock: Callable[[], datetime], shelf: Shelf) -> None:
        self._ledger = ledger
        self._switches = switches
        self._clock = clock
        self._shelf = shelf
        # A page whose transaction is missing was being made when the process was killed; nobody was told of it.
        kept = (page for _, page in shelf.load("page", Page) if ledger.knows(page.tran_ref))
        self._pages = {page.page_id: page for page in kept}

    def keep(self, page: Page) -> None:
        """Keep a page, new or changed."""
        self._pages[page.page_id] = page
        self._shelf.put("page", page.page_id, page)

    def find(self, page_id: str) -> Page:
        """Find a page by the end of its address.

        Raises:
            UnknownTransaction: When there is none.
        """
        found = self._pages.get(page_id)
        if found is None:
            raise UnknownTransaction(page_id)
        return found

    def of(self, tran_ref: str) -> Page:
        """Find the page of a transaction.

        Raises:
            UnknownTransaction: When it has none.
        """
        return self.find(self._ledger.get(tran_ref).page_id or tran_ref)

    def all(self) -> list[Page]:
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

    def demand_open(self, page: Page) -> None:
        """Insist on a page on which a payer can act.

        Raises:
            PageClosed: When it has its result, or was closed.
            PageEnded: When its time is over.
        """
        if not self.takes_acts(page):
            raise PageClosed(page.tran_ref)
        if self.is_over(page):
            raise PageEnded(page.tran_ref)

    def visit(self, page: Page) -> bool:
        """Load the page as a payer does.

        Returns:
            Whether it showed how to pay, as it does while it is open and its link lives.
        """
        with self._ledger.lock:
            if not self.takes_acts(page) or self.is_ended(page):
                return False
            if page.visited_at is None:
                page.visited_at = self._clock()
                self.keep(page)
            return True

    def close(self, page: Page) -> None:
        """End a page from outside."""
        page.closed = True
        self.keep(page)

    def age(self, page: Page, by: timedelta) -> None:
        """Let time pass for one page."""
        page.age(by)
        self.keep(page)

    def clear(self) -> None:
        """Forget every page."""
        self._pages.clear()
        self._shelf.forget("page")
