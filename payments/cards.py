"""Stored cards: asking about a token and having it forgotten. Nothing of either is kept here.

Deleting does no harm when it is done twice, so it needs no row: a token that is gone is deleted, whoever did it.
"""

from dataclasses import dataclass
from typing import Any

from payments.errors import GatewaySilent
from payments.events import Context
from payments.gateway import CardGateway
from paytabs.responses import Outcome


@dataclass(frozen=True)
class CardService:
    """Runs the use cases."""

    gateway: CardGateway

    def query(self, token: str, context: Context) -> dict[str, Any]:
        """Return which card is behind a token, masked.

        Raises:
            GatewaySilent: PayTabs does not say.
        """
        answer = self.gateway.query_token(token, correlation_id=context.correlation_id)
        seen = answer.transaction
        if answer.detail == "not_found":
            return {"state": "not_found", "tran_ref": None, "card_scheme": None, "card": None}
        if answer.outcome is not Outcome.SUCCEEDED or seen is None:
            raise GatewaySilent(answer.detail)
        return {
            "state": "known", "tran_ref": seen.tran_ref, "card_scheme": seen.card_scheme,
            "card": seen.payment_description,
        }  # fmt: skip

    def delete(self, token: str, context: Context) -> dict[str, Any]:
        """Have a token forgotten.

        Raises:
            GatewaySilent: whether it is gone is not known; asking again does no harm.
        """
        answer = self.gateway.delete_token(token, correlation_id=context.correlation_id)
        if answer.outcome is not Outcome.SUCCEEDED and answer.detail != "not_found":
            raise GatewaySilent(answer.detail)
        return {"state": "deleted"}
