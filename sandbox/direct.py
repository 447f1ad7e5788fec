"""Payments without a page: a card charged at once, and money that went another way."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sandbox.agreements import CARD_EXPIRED, is_expired, read_counter
from sandbox.announcer import Announcer
from sandbox.cards import INVALID_NUMBER, Result
from sandbox.charging import Charging
from sandbox.creation import PageOrder
from sandbox.instruments import Instrument
from sandbox.ledger import Ledger
from sandbox.openings import Openings
from sandbox.transactions import Transaction
from sandbox.vault import StoredCard, Vault

#: `paymentChannel` of a charge without a page.
DIRECT = "Transaction API"

#: Results that count as a payment of an agreement.
COUNTED = frozenset(("A", "H"))


class DirectPayments:
    """Makes them."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        announcer: Announcer,
        charging: Charging,
        openings: Openings,
        vault: Vault,
        clock: Callable[[], datetime],
    ) -> None:
        self._ledger = ledger
        self._announcer = announcer
        self._charging = charging
        self._openings = openings
        self._vault = vault
        self._clock = clock

    def charge(self, order: PageOrder, instrument: Instrument) -> Transaction:
        """Charge a card without a page, and notify it.

        Args:
            order: The order.
            instrument: The card.

        Returns:
            The transaction with its result.
        """
        begun = self._openings.begin(order, instrument, channel=DIRECT)
        with self._ledger.lock:
            result = self._result(order, instrument)
            changes = self._charging.changes(begun, result, instrument.entry, is_wallet=instrument.is_wallet)
            done = self._ledger.open(replace(begun, **changes))
            if instrument.stored is not None and not instrument.has_payer and done.status in COUNTED:
                self._vault.note_charge(instrument.stored.token, _counter(order), self._clock())
            self._announcer.announce(done)
            return done

    def _result(self, order: PageOrder, instrument: Instrument) -> Result:
        entry, refusal = instrument.entry, None
        if instrument.stored is not None:
            # As it stands now: another charge may have been counted since the request was read.
            stored = self._vault.find(instrument.stored.token) or instrument.stored
            refusal = self._refusal(order, stored, has_payer=instrument.has_payer)
        return refusal or instrument.result or (entry.card.result if entry else INVALID_NUMBER)

    def _refusal(self, order: PageOrder, stored: StoredCard, *, has_payer: bool) -> Result | None:
        now = self._clock()
        if is_expired(stored.entry, now):
            return CARD_EXPIRED
        return None if has_payer else stored.agreement.refusal(order.amount, _counter(order), now)

    def note_outside(self, order: PageOrder, invoice_id: int, payment_info: Mapping[str, Any]) -> Transaction:
        """Enter a payment made by other means; it moves nothing here and is told to nobody."""
        begun = self._openings.begin(order, None, invoice_id=invoice_id, is_outside=True, channel="Dashboard")
        done = replace(begun, tran_total=order.amount, payment_info=payment_info, status="A", message="Authorised")
        return self._ledger.open(done)


def _counter(order: PageOrder) -> int | None:
    return read_counter(order.members.get("token_info") or {})
