"""Stored cards: those that are kept here, by client and by id; and tokens that a caller has from elsewhere.

Deleting does no harm when it is done twice, so it needs no row: a token that is gone is deleted, whoever did it. A card
is forgotten at PayTabs first and then here, where what is left of it is masked. Who asked for it, why, and under which
id, stands in the audit trail; of a token from elsewhere with a digest of it, also in the log line `token_deleted`.
"""

import re
from dataclasses import dataclass, replace
from typing import Any

import structlog

from payments.acts import digest
from payments.audit_trail import Trail
from payments.card_vault import CardVault
from payments.errors import InvalidArgument, Refusal, no_answer
from payments.events import Context
from payments.gateway import Gateway
from payments.reconcile import is_conclusive
from payments.store import Clock
from payments.stored_cards import CardState, CardStore, StoredCard, card_id_of
from paytabs.responses import Answer, Outcome

_log = structlog.get_logger(__name__)

#: What PayTabs says of a key that is not the server's, under the code that also means "not found".
_WRONG_KEY = re.compile(r"application/octet-stream|block ?size", re.IGNORECASE)

#: What the act is called in the audit trail.
FORGET = "cards.forget"


@dataclass(frozen=True)
class CardService:
    """Runs the use cases."""

    gateway: Gateway
    store: CardStore
    vault: CardVault
    trail: Trail
    clock: Clock
    profile_id: int

    def list(self, client_id: str) -> dict[str, Any]:
        """Return a client's cards but for the forgotten ones, oldest first, masked."""
        now = self.clock()
        cards = [one for one in self.store.of_client(client_id) if one.kept is not CardState.FORGOTTEN]
        return {"client_id": client_id, "cards": [view_card(one, one.state(now)) for one in cards]}

    def forget(self, card_id: str, context: Context, why: str | None = None) -> dict[str, Any]:
        """Have a card forgotten by PayTabs, then here; one that is forgotten already is left alone.

        Args:
            card_id: 24 hexadecimal digits.
            context: who asks, under which operation id.
            why: why, for the audit trail.

        Raises:
            InvalidArgument: there is no such card.
            GatewaySilent: whether it is gone is not known; asking again does no harm.
            NotYet: PayTabs may not be called now.
        """
        card = self.store.get(card_id)
        if card is None:
            raise InvalidArgument("card_id", "the id of a stored card; there is none with it", Refusal.CARD_UNKNOWN)
        if card.kept is not CardState.FORGOTTEN:
            about = {"card_id": card_id, "operation_id": context.operation_id}
            with self.trail.act(FORGET, context, reason=why, arguments=about, key=card_id) as act:
                act.outcome = self._forget(card, context)
        return {"card_id": card_id, "state": str(CardState.FORGOTTEN)}

    def query(self, token: str, context: Context) -> dict[str, Any]:
        """Return which card is behind a token, masked.

        Raises:
            GatewaySilent: PayTabs does not say.
            NotYet: it may not be called now.
        """
        answer = self.gateway.query_token(token, correlation_id=context.correlation_id)
        seen = answer.transaction
        if answer.detail == "not_found":
            return {"state": "not_found", "tran_ref": None, "card_scheme": None, "card": None}
        if answer.outcome is not Outcome.SUCCEEDED or seen is None:
            raise no_answer(answer)
        return {
            "state": "known", "tran_ref": seen.tran_ref, "card_scheme": seen.card_scheme,
            "card": seen.payment_description,
        }  # fmt: skip

    def delete(self, token: str, context: Context, why: str | None = None) -> dict[str, Any]:
        """Have a token forgotten, also here where its card is kept, and write down who asked and why.

        Raises:
            GatewaySilent: whether it is gone is not known; asking again does no harm.
            NotYet: PayTabs may not be called now.
        """
        name = context.operation_id or digest(token)
        about = {"operation_id": context.operation_id, "card_digest": digest(token)}
        with self.trail.act("tokens.delete", context, reason=why, arguments=about, key=name) as act:
            answer = self._deleted(token, context)
            self.store.forget(card_id_of(self.profile_id, token), _who(context), self.clock())
            act.outcome = "gone already" if answer.detail == "not_found" else "deleted"
        _log.info(
            "token_deleted", operation_id=context.operation_id, requested_by=context.requested_by,
            token_digest=digest(token), found=answer.detail != "not_found",
        )  # fmt: skip
        return {"state": "deleted"}

    def _forget(self, card: StoredCard, context: Context) -> str:
        token = self._token(card, context)
        if token is None:
            outcome = "forgotten here; PayTabs knows no token of it"
        else:
            answer = self._deleted(token, context)
            outcome = "forgotten; PayTabs did not have it" if answer.detail == "not_found" else "forgotten"
        self.store.forget(card.card_id, _who(context), self.clock())
        _log.info("card_forgotten", card_id=card.card_id, requested_by=context.requested_by, outcome=outcome)
        return outcome

    def _token(self, card: StoredCard, context: Context) -> str | None:
        """Return a card's token: ours, or where no key opens it, what PayTabs says of the transaction that made it."""
        token = self.vault.unlock(card.locked) if card.locked and self.vault.is_open else None
        if token is not None:
            return token
        answer = self.gateway.query_tran(card.tran_ref, correlation_id=context.correlation_id)
        if not is_conclusive(answer):
            raise no_answer(answer)
        told = answer.transaction.token if answer.transaction else None
        return told if told and card_id_of(self.profile_id, told) == card.card_id else None

    def _deleted(self, token: str, context: Context) -> Answer:
        """Ask for a token's deletion; one that is not found is gone, unless PayTabs means something else by that."""
        answer = self.gateway.delete_token(token, correlation_id=context.correlation_id)
        if answer.outcome is Outcome.SUCCEEDED:
            return answer
        if answer.detail != "not_found" or _means_the_key(answer):
            raise no_answer(answer)
        # The code has many meanings, and what is forgotten here cannot be forgotten there any more.
        known = self.gateway.query_token(token, correlation_id=context.correlation_id)
        if known.detail != "not_found" or _means_the_key(known):
            raise no_answer(replace(answer, detail="token_not_deleted") if is_conclusive(known) else known)
        return answer


def view_card(card: StoredCard, state: CardState) -> dict[str, Any]:
    """Return a card as callers see it; its token is not among it."""
    agreed = dict(card.agreement) if card.agreement is not None else None
    if agreed and agreed.get("last_at") is not None:
        agreed["last_at"] = agreed["last_at"].isoformat()
    return {
        **card.shown(), "state": str(state), "client_id": card.client_id, "payment_id": card.payment_id,
        "tran_ref": card.tran_ref, "agreement": agreed, "created_at": card.created_at.isoformat(),
    }  # fmt: skip


def _means_the_key(answer: Answer) -> bool:
    """Tell whether "not found" is what a key of the wrong kind is answered with: then nothing was looked for."""
    return _WRONG_KEY.search(answer.message or "") is not None


def _who(context: Context) -> dict[str, Any]:
    return {"operation_id": context.operation_id, "requested_by": context.requested_by}
