"""Payments without a page: a card charged at once, and money that went another way."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sandbox.announcer import Announcer
from sandbox.cards import INVALID_NUMBER
from sandbox.charging import Charging
from sandbox.creation import PageOrder
from sandbox.instruments import Instrument
from sandbox.ledger import Ledger
from sandbox.openings import Openings
from sandbox.transactions import Transaction

#: `paymentChannel` of a charge without a page.
DIRECT = "Transaction API"


class DirectPayments:
    """Makes them."""

    def __init__(self, ledger: Ledger, announcer: Announcer, charging: Charging, openings: Openings) -> None:
        self._ledger = ledger
        self._announcer = announcer
        self._charging = charging
        self._openings = openings

    def charge(self, order: PageOrder, instrument: Instrument) -> Transaction:
        """Charge a card without a page, and notify it.

        Args:
            order: The order.
            instrument: The card.

        Returns:
            The transaction with its result.
        """
        entry = instrument.entry
        result = instrument.result or (entry.card.result if entry else INVALID_NUMBER)
        begun = self._openings.begin(order, instrument, channel=DIRECT)
        changes = self._charging.changes(begun, result, entry, is_wallet=instrument.is_wallet)
        with self._ledger.lock:
            done = self._ledger.open(replace(begun, **changes))
            self._announcer.announce(done)
            return done

    def note_outside(self, order: PageOrder, invoice_id: int, payment_info: Mapping[str, Any]) -> Transaction:
        """Enter a payment made by other means; it moves nothing here and is told to nobody."""
        begun = self._openings.begin(order, None, invoice_id=invoice_id, is_outside=True, channel="Dashboard")
        done = replace(begun, tran_total=order.amount, payment_info=payment_info, status="A", message="Authorised")
        return self._ledger.open(done)
