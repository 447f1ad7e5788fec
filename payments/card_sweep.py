"""Fetching the tokens that could not be kept when they came, and taking tokens out of deliveries that are applied.

A delivery whose card waits keeps its token until there is a key. So do those that versions before this one have
applied: their cards are kept now, each for the client of its payment. A token that stands in no delivery any more is
asked for: PayTabs tells it with the transaction that made it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog

from payments.card_keeping import ACCEPTED, attempt_of, makes_cards, with_cards
from payments.card_vault import NO_KEY, CardVault
from payments.errors import PaymentsError
from payments.events import Context
from payments.facts import TransactionObserved
from payments.inbox import Inbox, Kept
from payments.operations import OperationsLedger
from payments.projections import RaiseAlert, ResolveAlert
from payments.reconcile import Reconciler
from payments.store import Change, Clock, PaymentStore
from payments.stored_cards import CardState, CardStore, card_id_of
from payments.token_cut import has_token
from paytabs.errors import MalformedBody
from paytabs.responses import Transaction, parse_transaction, read_json

_log = structlog.get_logger(__name__)

#: The alert that is open exactly while tokens wait for a key.
ALERT, ALL_CARDS = "card_key_missing", "cards"

#: How long to wait between two questions for one token; the last one is repeated.
PAUSES: Final = (timedelta(minutes=2), timedelta(minutes=15), timedelta(hours=1), timedelta(hours=6), timedelta(days=1))

#: How many tokens are asked for in one run.
QUESTIONS = 20


@dataclass(frozen=True)
class CardSweepParts:
    """What fetching tokens needs."""

    cards: CardStore
    vault: CardVault
    inbox: Inbox
    store: PaymentStore
    ledger: OperationsLedger
    reconciler: Reconciler
    clock: Clock
    profile_id: int
    alert: RaiseAlert
    resolve: ResolveAlert


class CardSweep:
    """Fetches tokens, and takes them out of deliveries."""

    def __init__(self, parts: CardSweepParts) -> None:
        """Keep what fetching needs."""
        self._parts = parts

    def fate(self, seen: Transaction | None) -> Kept:
        """Return whether a delivery that was applied still has to keep its token."""
        parts = self._parts
        if seen is None or not seen.token:
            return Kept.CUT
        card = parts.cards.get(card_id_of(parts.profile_id, seen.token))
        return Kept.WAITING if card is not None and card.kept is CardState.WAITING else Kept.CUT

    def run(self, limit: int, context: Context, enough: Callable[[], bool] = bool) -> int:
        """Go through deliveries that have not been looked at, or whose card waits, and ask for what is nowhere.

        Args:
            limit: how many deliveries at most.
            context: who asks.
            enough: says that the rest is left for another run.

        Returns:
            How many deliveries were gone through.
        """
        parts, done = self._parts, 0
        for delivery_id, body, payment_id in parts.inbox.with_tokens(limit, waiting=parts.vault.is_open):
            try:
                parts.inbox.cut(delivery_id, self._picked_up(body, payment_id, context))
            except PaymentsError as error:  # a history that cannot be read, or is busy: the next run tries again
                _log.warning("token_not_fetched", delivery_id=delivery_id, reason=type(error).__name__)
            done += 1
            if enough():
                return done
        if parts.vault.is_open:
            self._ask(context, enough)
        self._tell()
        return done

    def _picked_up(self, body: bytes, payment_id: str | None, context: Context) -> Kept:
        if not has_token(body):
            return Kept.CUT
        seen = _read(body)
        if seen is None or payment_id is None:
            return Kept.CUT
        if seen.response_status in ACCEPTED:
            self._parts.store.change(payment_id, context, lambda change: self._name(change, seen))
        return self.fate(seen)

    def _name(self, change: Change, seen: Transaction) -> None:
        """Record once more what is known of a transaction, now with its card; a delivery alone proves nothing."""
        attempt = attempt_of(seen, change.payment.attempts)
        row = self._parts.ledger.get(attempt.operation_id, change.session) if attempt else None
        said = [one for one in change.payment.observations if one.tran_ref == seen.tran_ref and one.status in ACCEPTED]
        if not said or row is None or not makes_cards(row):
            return
        again = [] if any(one.card_id for one in said) else [max(said, key=_content)]
        change.record(*with_cards(change, again, [seen]))

    def _ask(self, context: Context, enough: Callable[[], bool]) -> None:
        parts = self._parts
        for card in parts.cards.claim_waiting(parts.clock(), QUESTIONS, PAUSES):
            parts.reconciler.apply(card.payment_id, [parts.reconciler.ask_ref(card.tran_ref, context)], context)
            if enough():
                return

    def _tell(self) -> None:
        """Keep the alert open exactly while cards wait and no key is set."""
        waiting = 0 if self._parts.vault.is_open else self._parts.cards.waiting()
        if waiting:
            self._parts.alert(ALERT, ALL_CARDS, f"{waiting} stored cards wait for their token: {NO_KEY}")
        else:
            self._parts.resolve(ALERT, ALL_CARDS)


def _content(seen: TransactionObserved) -> str:
    return repr(seen.to_data())


def _read(body: bytes) -> Transaction | None:
    try:
        document = read_json(body)
        return parse_transaction(document) if isinstance(document, dict) else None
    except MalformedBody:
        return None
