"""How a test lets time pass: for the whole sandbox, one page or one invoice; and who is told that a page has died."""

from datetime import timedelta

from sandbox.announcer import Announcer
from sandbox.clock import Clock
from sandbox.invoices import Invoices
from sandbox.ledger import Ledger
from sandbox.lookups import Lookups
from sandbox.page_book import PageBook
from sandbox.switchboard import SwitchBoard


class Passing:
    """Lets time pass."""

    def __init__(
        self,
        *,
        clock: Clock,
        ledger: Ledger,
        pages: PageBook,
        invoices: Invoices,
        lookups: Lookups,
        announcer: Announcer,
        switches: SwitchBoard,
    ) -> None:
        self._clock = clock
        self._ledger = ledger
        self._pages = pages
        self._invoices = invoices
        self._lookups = lookups
        self._announcer = announcer
        self._switches = switches

    def advance(self, by: timedelta) -> None:
        """Let time pass for everything that has an end."""
        self._clock.advance(by)
        self.tell()

    def age_page(self, tran_ref: str, by: timedelta) -> None:
        """Let time pass for one page.

        Raises:
            UnknownTransaction: When the transaction has none.
        """
        self._pages.age(self._pages.of(tran_ref), by)
        self.tell()

    def age_invoice(self, invoice_id: int, by: timedelta) -> None:
        """Let time pass for one invoice and its page.

        Raises:
            GatewayRefusal: When there is no such invoice.
        """
        with self._ledger.lock:
            attempt = self._invoices.age(self._invoices.get(invoice_id), by)
            if attempt is not None and attempt.page_id:
                self._pages.age(self._pages.find(attempt.page_id), by)
        self.tell()

    def tell(self) -> None:
        """Tell of the pages that have died, each once, where the switch says that anybody is told."""
        if not self._switches.now.dead_page_notices:
            return
        with self._ledger.lock:
            for page in self._pages.all():
                if not page.is_told and self._pages.is_dead(page):
                    page.is_told = True
                    self._pages.keep(page)
                    self._announcer.announce(self._lookups.expired(self._ledger.get(page.tran_ref), page))
