"""Rotating the keys of stored cards: every token is encrypted anew under the newest key, before the old one goes.

A token that none of the keys opens is lost here and not at PayTabs, which tells it again with the transaction that made
it: such a card may be set to wait for its token.
"""

from dataclasses import dataclass
from datetime import datetime

from payments.card_vault import CardVault
from payments.stored_cards import CardStore


@dataclass(frozen=True)
class Reencrypted:
    """How many tokens were encrypted anew, and how many none of the keys opens."""

    renewed: int
    unreadable: int


def reencrypt(store: CardStore, vault: CardVault, now: datetime, *, fetch: bool = False) -> Reencrypted:
    """Encrypt every token anew; may be stopped anywhere, run again, and run beside everything else.

    Args:
        store: the cards.
        vault: with the newest key in front.
        now: aware UTC.
        fetch: whether tokens that cannot be read are asked for at PayTabs, by the sweep.

    Raises:
        InvalidArgument: there is no key.
    """
    renewed = unreadable = 0
    for card_id, locked in store.locked():
        again = vault.relock(locked)
        if again is not None:
            renewed += store.relocked(card_id, locked, again)
            continue
        unreadable += 1
        if fetch:
            store.lock_out(card_id, locked, now)
    return Reencrypted(renewed, unreadable)
