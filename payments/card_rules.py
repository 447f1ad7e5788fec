"""Whether a stored card may be charged for a payment, and what goes to PayTabs with it: decided before it is sent.

A card is charged for its own client's payments only. The row of such a charge holds the card's id: its token is taken
out of the vault just before each send, and stands nowhere else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

from payments.agreements import Instalment, check_time, next_number
from payments.card_vault import CardVault
from payments.cms import CmsPayment
from payments.errors import InvalidArgument, Refusal
from payments.operations import Operation, OperationsLedger
from payments.store import Change
from payments.stored_cards import CardState, CardStore, StoredCard

Document = dict[str, Any]

#: Members of an agreement that PayTabs is told with each instalment.
_TOLD_AGAIN = ("token_type", "total_count")


@dataclass(frozen=True)
class CardRules:
    """Judges stored cards."""

    store: CardStore
    vault: CardVault
    ledger: OperationsLedger

    def require_key(self, asked: Mapping[str, Any]) -> None:
        """Refuse what would make a token that could not be kept.

        Args:
            asked: what the caller chose.

        Raises:
            InvalidArgument: it makes a token, and there is no key.
        """
        if asked.get("agreement") is not None:
            self.vault.require("agreement")
        if asked.get("tokenise") is not None:
            self.vault.require("tokenise")
        if asked.get("transaction") == "register":
            self.vault.require("transaction")

    def admit(self, card_id: str, cms: CmsPayment, change: Change, *, payer_present: bool) -> Document:
        """Return what an accepted charge of a card needs besides its terms.

        Raises:
            InvalidArgument: the card may not be charged for this payment; says why.
        """
        self.vault.require("card_id")
        card = self._chargeable(card_id, change.now, change)
        terms = change.payment.snapshot
        _of_client(card, {cms.client_id, terms.client_id if terms else cms.client_id})
        params: Document = {"origin": card.tran_ref}
        if card.agreement is None or payer_present:
            return params
        self.store.touch(card_id, change.session)
        asked = Instalment(cms.amount, cms.currency, change.now)
        number = next_number(card.agreement, self.ledger.instalments(card_id, change.session), asked)
        told = {name: card.agreement[name] for name in _TOLD_AGAIN if card.agreement.get(name) is not None}
        return {**params, "counter": number, "instalment": told}

    def token_for(self, row: Operation, now: datetime, client_id: str | None) -> str | None:
        """Return the token that a row is sent with; None for a row that has no card.

        Args:
            row: the accepted operation.
            now: aware UTC.
            client_id: whose payment it is by now; the CMS may have given it to another since it was accepted.

        Raises:
            InvalidArgument: its card may not be charged any more; with the code `CARD_KEY_MISSING` it may be later.
        """
        card_id = row.params.get("card_id")
        if card_id is None:
            return None
        self.vault.require("card_id")
        card = self._chargeable(card_id, now)
        _of_client(card, {client_id})
        if row.params.get("counter") is not None and card.agreement is not None:
            check_time(card.agreement, now)
        return self.vault.unlock(card.locked or b"")

    def _chargeable(self, card_id: str, now: datetime, change: Change | None = None) -> StoredCard:
        card = self.store.get(card_id, change.session if change else None)
        if card is None:
            _refuse("the id of a stored card; there is none with it", Refusal.CARD_UNKNOWN)
        state = card.state(now)
        if state is CardState.FORGOTTEN:
            _refuse("a card that is kept; this one was forgotten", Refusal.CARD_FORGOTTEN)
        if state is CardState.EXPIRED:
            _refuse(f"a card that has not expired; this one ended with {card.expires}", Refusal.CARD_EXPIRED)
        if state is CardState.WAITING or card.locked is None:
            _refuse("a card whose token is here; this one's is still being fetched", Refusal.CARD_WAITING)
        if self.vault.unlock(card.locked) is None:
            _refuse("a card that the keys in CARD_KEYS open; this one's key is missing", Refusal.CARD_UNREADABLE)
        return card


def _of_client(card: StoredCard, clients: set[str | None]) -> None:
    """Refuse a card that is not of the one client whom a payment was, and is."""
    if card.client_id is None or clients != {card.client_id}:
        _refuse("a card of this payment's client", Refusal.CARD_OF_ANOTHER_CLIENT)


def _refuse(expected: str, code: Refusal) -> NoReturn:
    raise InvalidArgument("card_id", expected, code)
