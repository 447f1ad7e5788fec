"""Tasks about stored cards: `tokens.query` and `tokens.delete`. A token is never repeated in an answer."""

from typing import Any

from payments.events import Context
from tasks.arguments_money import DeleteToken, OfToken
from tasks.base import domain_task
from tasks.wiring import World


@domain_task("tokens.query", OfToken)
def query(world: World, asked: OfToken, context: Context) -> dict[str, Any]:
    """Tell which card is behind a token, masked, and which transaction made it."""
    return world.cards.query(asked.token, context)


@domain_task("tokens.delete", DeleteToken)
def delete(world: World, asked: DeleteToken, context: Context) -> dict[str, Any]:
    """Have PayTabs forget a stored card; a token that is gone already is deleted."""
    return world.cards.delete(asked.token, context, asked.audit_reason)
