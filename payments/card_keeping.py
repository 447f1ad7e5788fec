"""Keeping the cards of which PayTabs tells, in the transaction of the facts that tell of them.

A token comes with a transaction: in an answer to a charge, in a query by reference, in a notice that a query confirms.
Facts name the card that it stands for and never the token, which goes into `payment_cards` alone, encrypted. Without a
key the card is kept all the same and waits for its token: money never waits for a key. A token that somebody else gave
us (`charge_token`) makes no card: whoever gave it has it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from payments.agreements import begun
from payments.card_vault import CardVault
from payments.facts import Fact, TransactionObserved
from payments.movements import FOLLOW_UPS
from payments.operations import Operation, OperationsLedger
from payments.payment import Attempt
from payments.store import Change
from payments.stored_cards import CardState, CardStore, StoredCard, card_from, card_id_of
from paytabs.responses import Answer, Transaction

#: Statuses of a transaction whose token is good for something: the card was accepted. A V is what a register becomes.
ACCEPTED = frozenset("AHV")

#: Operations that are told of a token because they sent it.
_SENT_BY_US = frozenset({"charge_token", "charge_card"})


def with_cards(change: Change, found: Sequence[Fact], seen: Iterable[Transaction | None]) -> list[Fact]:
    """Return facts that name the cards which PayTabs told of, and have the change keep those cards.

    Args:
        change: what the facts are recorded in; its payment's terms are known.
        found: what is to be recorded.
        seen: what PayTabs said, tokens included; a status that is not believed must not be among it.
    """
    terms = change.payment.snapshot
    if terms is None:
        return list(found)
    made = {one.tran_ref: one for one in seen if one is not None and one.token and _is_accepted(one)}
    ids = {ref: card_id_of(terms.profile_id, str(one.token)) for ref, one in made.items()}
    change.cards_seen += [(ids[ref], one) for ref, one in made.items()]
    return [_naming(fact, ids) for fact in found]


def told(answers: Iterable[Answer]) -> list[Transaction]:
    """Return every transaction of some answers."""
    return [one for answer in answers for one in (answer.transaction, *answer.transactions) if one is not None]


def _is_accepted(seen: Transaction) -> bool:
    return seen.response_status in ACCEPTED and seen.tran_type not in FOLLOW_UPS


def _naming(fact: Fact, ids: dict[str, str]) -> Fact:
    if isinstance(fact, TransactionObserved) and fact.tran_ref in ids and fact.status in ACCEPTED:
        return replace(fact, card_id=ids[fact.tran_ref])
    return fact


@dataclass(frozen=True)
class KeepCards:
    """Keeps the cards that a change has seen; a companion of every change, before the CMS's document is written."""

    store: CardStore
    vault: CardVault
    ledger: OperationsLedger

    def __call__(self, change: Change, version: int) -> None:
        """Keep each card that is new, and give those that wait for it their token."""
        del version
        for card_id, seen in change.cards_seen:
            self._keep(change, card_id, seen)

    def _keep(self, change: Change, card_id: str, seen: Transaction) -> None:
        known = self.store.get(card_id, change.session)
        token = str(seen.token)
        if known is None:
            card = self._made(change, card_id, seen)
            if card is not None:
                self.store.keep(self._locked(card, token), change.now, change.session)
        elif known.kept is CardState.WAITING and self.vault.is_open:
            self.store.complete(card_id, self.vault.lock(token), change.session)

    def _made(self, change: Change, card_id: str, seen: Transaction) -> StoredCard | None:
        """Return the card that an attempt of ours has made; None for what nobody asked for, or gave us himself."""
        attempt = attempt_of(seen, change.payment.attempts)
        row = self.ledger.get(attempt.operation_id, change.session) if attempt else None
        terms = change.payment.snapshot
        if attempt is None or row is None or terms is None or not makes_cards(row):
            return None
        card = card_from(seen, card_id=card_id, client_id=terms.client_id, payment_id=change.payment_id, now=change.now)
        return replace(card, agreement=self._agreement(row, attempt, seen, change))

    def _agreement(
        self, row: Operation, attempt: Attempt, seen: Transaction, change: Change
    ) -> dict[str, object] | None:
        agreed = row.params.get("agreement")
        if agreed is None:
            return None
        moment = seen.transaction_time or change.now
        return begun(agreed, attempt=attempt, moment=moment)

    def _locked(self, card: StoredCard, token: str) -> StoredCard:
        if not self.vault.is_open:
            return card
        return replace(card, kept=CardState.ACTIVE, locked=self.vault.lock(token))


def makes_cards(row: Operation) -> bool:
    """Tell whether a token that an operation's answer holds is news."""
    return row.kind not in _SENT_BY_US


def attempt_of(seen: Transaction, attempts: Sequence[Attempt]) -> Attempt | None:
    """Return the attempt that a transaction is: by its page's reference, else by its cart."""
    by_ref = [one for one in attempts if one.tran_ref == seen.tran_ref]
    by_cart = [one for one in attempts if one.cart_id is not None and one.cart_id == seen.cart_id]
    return next(iter(by_ref + by_cart), None)
