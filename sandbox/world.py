"""The parts of one sandbox, assembled in one place."""

from collections import deque
from typing import Any

from sandbox.announcer import Announcer, Profile
from sandbox.checkout import Checkout
from sandbox.courier import Courier
from sandbox.dashboard import Dashboard
from sandbox.duplicates import DuplicateFilter
from sandbox.faults import FaultBoard
from sandbox.identifiers import Mint, utc_now
from sandbox.ledger import Ledger
from sandbox.mishaps import Mishaps
from sandbox.switchboard import SwitchBoard
from sandbox.switches import Switches

#: How many requests the desk remembers.
REQUESTS_KEPT = 20_000


class World:
    """One sandbox: who is served, what is switched how, and what has happened."""

    def __init__(self, profile: Profile, *, ipn_url: str | None = None, public_url: str | None = None) -> None:
        """Assemble the parts.

        Args:
            profile: The merchant.
            ipn_url: The profile's IPN address at the start; a switch later on.
            public_url: Under which address payers reach the pages; None for the one the merchant called.
        """
        self.profile = profile
        self.public_url = public_url
        self.mint = Mint()
        self.switches = SwitchBoard(Switches(ipn_url=ipn_url))
        self.faults = FaultBoard()
        self.mishaps = Mishaps(self.switches)
        self.ledger = Ledger(utc_now)
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
        self.duplicates = DuplicateFilter(self.switches, utc_now)
        self.checkout = Checkout(self.ledger, self.mint, self.announcer, self.switches, utc_now)
        self.dashboard = Dashboard(
            ledger=self.ledger,
            mint=self.mint,
            announcer=self.announcer,
            checkout=self.checkout,
            switches=self.switches,
            clock=utc_now,
        )
        self.requests: deque[dict[str, Any]] = deque(maxlen=REQUESTS_KEPT)

    def reset(self) -> None:
        """Forget everything and go back to the first setting."""
        self.switches.reset()
        self.faults.clear()
        self.announcer.clear()
        self.courier.clear()
        self.duplicates.clear()
        with self.ledger.lock:
            self.checkout.clear()
            self.ledger.clear()
        self.requests.clear()
