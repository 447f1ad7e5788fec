"""What a query shows: nothing of what is too young, a page nobody has paid, and one that nobody can pay any more."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sandbox.clock import Clock
from sandbox.errors import NOT_FOUND_113, GatewayRefusal
from sandbox.ledger import Ledger
from sandbox.methods import METHODS
from sandbox.page_book import PageBook
from sandbox.pages import Page
from sandbox.switchboard import SwitchBoard
from sandbox.transactions import Transaction

#: What is said of an expired transaction.
EXPIRED: dict[str, Any] = {"status": "X", "code": "355", "message": "Transaction expired"}


def not_found(code: int, what: str) -> GatewayRefusal:
    """Make the refusal of a look-up that found nothing.

    Args:
        code: 2 or 113.
        what: Of what there is none.
    """
    return GatewayRefusal(code, NOT_FOUND_113 if code != 2 else f"{what} not found")  # noqa: PLR2004 - PayTabs' code


class Lookups:
    """Looks up transactions as a merchant may see them."""

    def __init__(
        self, *, ledger: Ledger, pages: PageBook, switches: SwitchBoard, clock: Clock, now: Callable[[], datetime]
    ) -> None:
        self._ledger = ledger
        self._pages = pages
        self._switches = switches
        self._clock = clock
        self._now = now

    def by_ref(self, tran_ref: str) -> Transaction:
        """Look up a transaction by its reference.

        Raises:
            GatewayRefusal: When there is none, or the switches say so of a page that nobody has paid.
        """
        switches = self._switches.now
        found = self._ledger.as_of(tran_ref, self._moment())
        if found is None:
            raise not_found(switches.not_found_code, "Transaction")
        if found.status is not None:
            return found
        page = self._page_of(found)
        if page is not None and self._is_dead(page):
            return self._dead(found, page)
        if switches.query_unpaid_page == "error":
            raise not_found(switches.not_found_code, "Transaction")
        return _at_method(found, page)

    def by_cart(self, cart_id: str) -> list[Transaction]:
        """Look up the transactions of a cart, newest first.

        Raises:
            GatewayRefusal: When there is none and the switch says that this is an error.
        """
        switches = self._switches.now
        found = (self._in_cart(one) for one in self._ledger.of_cart(cart_id, self._moment()))
        shown = [one for one in found if one is not None]
        if not shown and switches.query_unknown == "error":
            raise not_found(switches.not_found_code, "Transaction")
        return shown

    def expired(self, transaction: Transaction, page: Page) -> Transaction:
        """Write a transaction whose page is dead as expired at the page's end."""
        ended = max(transaction.at, page.ends_at - self._clock.ahead)
        return replace(transaction, at=ended, tran_total=transaction.cart_amount, **EXPIRED)

    def _in_cart(self, found: Transaction) -> Transaction | None:
        if found.status is not None:
            return found
        page, switches = self._page_of(found), self._switches.now
        if page is not None and self._is_dead(page) and switches.query_dead_page == "expired":
            return self.expired(found, page)
        return _at_method(found, page) if switches.query_cart_shows_unpaid else None

    def _dead(self, found: Transaction, page: Page) -> Transaction:
        says = self._switches.now.query_dead_page
        if says == "expired":
            return self.expired(found, page)
        if says == "pending":
            return _at_method(found, page)
        raise not_found(113 if says == "code_113" else 2, "Transaction")

    def _is_dead(self, page: Page) -> bool:
        at_once = self._switches.now.query_dead_page_at_once
        return self._pages.is_ended(page) if at_once else self._pages.is_over(page)

    def _page_of(self, found: Transaction) -> Page | None:
        return self._pages.find(found.page_id) if found.page_id else None

    def _moment(self) -> datetime:
        return self._now() - timedelta(seconds=self._switches.now.query_lag_seconds)


def _at_method(found: Transaction, page: Page | None) -> Transaction:
    """Show at which method a payer is who has not paid yet."""
    chosen = page.method if page is not None else None
    return replace(found, payment_info=METHODS[chosen].shown) if chosen else found
