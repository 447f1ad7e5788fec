"""The parts of one sandbox, assembled in one place."""

from collections import deque
from datetime import timedelta
from pathlib import Path
from typing import Any

from sandbox.announcer import Announcer, Profile
from sandbox.charging import Charging
from sandbox.checkout import Checkout
from sandbox.clock import Clock
from sandbox.courier import Courier
from sandbox.dashboard import Dashboard
from sandbox.direct import DirectPayments
from sandbox.duplicates import DuplicateFilter
from sandbox.faults import FaultBoard
from sandbox.followup_calls import FollowUpCalls
from sandbox.holds import Holds
from sandbox.identifiers import Mint, utc_now
from sandbox.instruments import Instruments
from sandbox.invoices import Invoices
from sandbox.ledger import Ledger
from sandbox.lookups import Lookups
from sandbox.mishaps import Mishaps
from sandbox.openings import Openings
from sandbox.page_book import PageBook
from sandbox.passing import Passing
from sandbox.refunds import Refunds
from sandbox.shelf import Shelf
from sandbox.successors import Successors
from sandbox.switchboard import SwitchBoard
from sandbox.switches import Switches
from sandbox.vault import Vault

#: How many requests the desk remembers.
REQUESTS_KEPT = 20_000


class World:
    """One sandbox: who is served, what is switched how, and what has happened."""

    def __init__(
        self,
        profile: Profile,
        *,
        ipn_url: str | None = None,
        public_url: str | None = None,
        ledger_file: Path | None = None,
    ) -> None:
        """Assemble the parts.

        Args:
            profile: The merchant.
            ipn_url: The profile's IPN address at the start; a switch later on.
            public_url: Under which address payers reach the pages; None for the one the merchant called.
            ledger_file: Where pages, transactions, invoices and stored cards are kept; None for nowhere.

        Raises:
            ShelfUnusable: When the file cannot be used.
        """
        self.profile = profile
        self.public_url = public_url
        self._shelf = Shelf(ledger_file)
        self.clock = Clock(self._shelf)
        self.mint = Mint(self._shelf)
        self.switches = SwitchBoard(Switches(ipn_url=ipn_url))
        self.faults = FaultBoard()
        self.mishaps = Mishaps(self.switches)
        self.ledger = Ledger(utc_now, self._shelf)
        self.courier = Courier(self.switches)
        self.announcer = Announcer(
            profile=profile,
            ledger=self.ledger,
            mint=self.mint,
            switches=self.switches,
            faults=self.faults,
            mishaps=self.mishaps,
            courier=self.courier,
        )
        self.duplicates = DuplicateFilter(self.switches, self.clock)
        self.vault = Vault(self.mint, self._shelf)
        self.instruments = Instruments(self.vault, self.switches, self.clock)
        self.pages = PageBook(self.ledger, self.switches, self.clock, self._shelf)
        openings = Openings(self.mint, utc_now)
        charging = Charging(self.mint, self.vault, self.switches, self.clock)
        self.checkout = Checkout(
            ledger=self.ledger,
            mint=self.mint,
            announcer=self.announcer,
            pages=self.pages,
            charging=charging,
            openings=openings,
            clock=self.clock,
        )
        self.lookups = Lookups(
            ledger=self.ledger, pages=self.pages, switches=self.switches, clock=self.clock, now=utc_now
        )
        self.direct = DirectPayments(
            ledger=self.ledger,
            announcer=self.announcer,
            charging=charging,
            openings=openings,
            vault=self.vault,
            clock=self.clock,
        )
        self.invoices = Invoices(
            ledger=self.ledger,
            mint=self.mint,
            checkout=self.checkout,
            pages=self.pages,
            direct=self.direct,
            switches=self.switches,
            clock=self.clock,
            shelf=self._shelf,
        )
        self.passing = Passing(
            clock=self.clock,
            ledger=self.ledger,
            pages=self.pages,
            invoices=self.invoices,
            lookups=self.lookups,
            announcer=self.announcer,
            switches=self.switches,
        )
        successors = Successors(self.ledger, self.mint, utc_now)
        holds = Holds(self.ledger, successors, self.switches)
        refunds = Refunds(self.ledger, successors, self.switches)
        self.follow_ups = FollowUpCalls(
            ledger=self.ledger,
            mint=self.mint,
            holds=holds,
            refunds=refunds,
            announcer=self.announcer,
            switches=self.switches,
            clock=utc_now,
        )
        self.dashboard = Dashboard(
            ledger=self.ledger,
            announcer=self.announcer,
            pages=self.pages,
            switches=self.switches,
            successors=successors,
            holds=holds,
            refunds=refunds,
        )
        self.requests: deque[dict[str, Any]] = deque(maxlen=REQUESTS_KEPT)

    def reset(self) -> None:
        """Forget everything and go back to the first setting."""
        self.switches.reset()
        self.clock.set_ahead(timedelta(0))
        self.faults.clear()
        self.announcer.clear()
        self.courier.clear()
        self.duplicates.clear()
        self.vault.clear()
        with self.ledger.lock:
            self.pages.clear()
            self.invoices.clear()
            self.ledger.clear()
        self.requests.clear()

    def close(self) -> None:
        """Stop delivering, drop what is held back, and let go of the ledger's file."""
        self.courier.stop()
        self.announcer.clear()
        self._shelf.close()
