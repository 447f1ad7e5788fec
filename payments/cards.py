"""Stored cards: asking about a token and having it forgotten. Nothing of either is kept here.

Deleting does no harm when it is done twice, so it needs no row: a token that is gone is deleted, whoever did it. Who
asked for it, why, and under which id, stands in the audit trail and in the log line `token_deleted`, with a digest of
the token.
"""

from dataclasses import dataclass
from typing import Any

import structlog

from payments.acts import digest
from payments.audit_trail import Trail
from payments.errors import no_answer
from payments.events import Context
from payments.gateway import CardGateway
from paytabs.responses import Outcome

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class CardService:
    """Runs the use cases."""

    gateway: CardGateway
    trail: Trail

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
        """Have a token forgotten, and write down who asked and why; the token itself is stored nowhere.

        Raises:
            GatewaySilent: whether it is gone is not known; asking again does no harm.
            NotYet: PayTabs may not be called now.
        """
        name = context.operation_id or digest(token)
        about = {"operation_id": context.operation_id, "card_digest": digest(token)}
        with self.trail.act("tokens.delete", context, reason=why, arguments=about, key=name) as act:
            answer = self.gateway.delete_token(token, correlation_id=context.correlation_id)
            if answer.outcome is not Outcome.SUCCEEDED and answer.detail != "not_found":
                raise no_answer(answer)
            act.outcome = "gone already" if answer.detail == "not_found" else "deleted"
        _log.info(
            "token_deleted", operation_id=context.operation_id, requested_by=context.requested_by,
            token_digest=digest(token), found=answer.detail != "not_found",
        )  # fmt: skip
        return {"state": "deleted"}
