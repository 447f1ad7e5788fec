"""What stands for a card without showing it: tokens that live until deleted, and one-use tokens of the card form."""

import threading
from dataclasses import dataclass, field, replace
from datetime import datetime

from sandbox.agreements import Agreement
from sandbox.cards import CardEntry
from sandbox.identifiers import Mint
from sandbox.shelf import Shelf


@dataclass(frozen=True)
class StoredCard:
    """A card kept under a token.

    Attributes:
        token: The token.
        tran_ref: The transaction that created it.
        entry: The card.
        agreement: What its payer agreed to; of charges without the payer.
    """

    token: str
    tran_ref: str
    entry: CardEntry
    agreement: Agreement = field(default_factory=Agreement)


class Vault:
    """Keeps cards."""

    def __init__(self, mint: Mint, shelf: Shelf) -> None:
        self._mint = mint
        self._shelf = shelf
        self._stored = dict(shelf.load("card", StoredCard))
        self._forms = dict(shelf.load("form", CardEntry))
        self._lock = threading.Lock()

    def store(self, tran_ref: str, entry: CardEntry, agreement: Agreement | None = None) -> str:
        """Keep a card.

        Args:
            tran_ref: The transaction that asked for it.
            entry: The card.
            agreement: What its payer agreed to.

        Returns:
            Its token.
        """
        token = self._mint.token()
        with self._lock:
            self._keep(StoredCard(token, tran_ref, entry, agreement or Agreement()))
        return token

    def note_charge(self, token: str, counter: int | None, now: datetime) -> None:
        """Count a charge without the payer; one of a card that was just forgotten counts for nothing."""
        with self._lock:
            kept = self._stored.get(token)
            if kept is not None:
                self._keep(replace(kept, agreement=kept.agreement.after(counter, now)))

    def find(self, token: object) -> StoredCard | None:
        """Find a kept card; None when there is none, or none any more."""
        return self._stored.get(token) if isinstance(token, str) else None

    def delete(self, token: object) -> bool:
        """Forget a kept card; tells whether there was one."""
        with self._lock:
            if not isinstance(token, str) or self._stored.pop(token, None) is None:
                return False
            self._shelf.drop("card", token)
            return True

    def fill_form(self, entry: CardEntry) -> str:
        """Do what the browser library does with a filled card form.

        Args:
            entry: The card.

        Returns:
            A token for one payment.
        """
        token = self._mint.token()
        with self._lock:
            self._forms[token] = entry
            self._shelf.put("form", token, entry)
        return token

    def spend_form(self, token: object) -> CardEntry | None:
        """Take a form's card; None when there is none, or it was taken before."""
        with self._lock:
            if not isinstance(token, str):
                return None
            self._shelf.drop("form", token)
            return self._forms.pop(token, None)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._stored.clear()
            self._forms.clear()
            self._shelf.forget("card", "form")

    def _keep(self, card: StoredCard) -> None:
        self._stored[card.token] = card
        self._shelf.put("card", card.token, card)
