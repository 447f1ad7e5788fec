"""Tasks about stored cards by their ids: `cards.list` and `cards.forget`. No argument and no answer has a token."""

from typing import Any

from payments.events import Context
from tasks.arguments_cards import ForgetCard, ListCards
from tasks.base import domain_task
from tasks.wiring import World


@domain_task("cards.list", ListCards)
def list_cards(world: World, asked: ListCards, context: Context) -> dict[str, Any]:
    """List the cards that are kept for a client, masked."""
    del context
    return world.cards.list(asked.client_id)


@domain_task("cards.forget", ForgetCard)
def forget(world: World, asked: ForgetCard, context: Context) -> dict[str, Any]:
    """Have PayTabs forget a card, then forget it here; one that is forgotten already stays so."""
    return world.cards.forget(asked.card_id, context, asked.audit_reason)
