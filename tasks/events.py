"""Tasks about events: `events.handle` does one reaction to one event, `events.dispatch` sends those that are due."""

from typing import Any

from payments.events import Context
from paytabs.fault_points import fault_point
from tasks.arguments import Arguments, Handle
from tasks.base import domain_task
from tasks.sweeping import SWEEP_LIMIT, enqueued
from tasks.wiring import World


@domain_task("events.handle", Handle)
def handle(world: World, asked: Handle, context: Context) -> dict[str, Any]:
    """React to one event; what cannot be done now is done later by itself."""
    del context
    return world.reactor.handle(asked.event_id, asked.handler)


@domain_task("events.dispatch", Arguments)
def dispatch(world: World, asked: Arguments, context: Context) -> dict[str, Any]:
    """Enqueue every reaction that is owed and due, or whose worker is gone."""
    del asked, context
    return enqueued(_sent(world, *row) for row in world.outbox.claim_due(world.clock(), SWEEP_LIMIT))


def _sent(world: World, event_id: str, handler: str, correlation_id: str) -> bool:
    fault_point("dispatch_claimed", handler)
    return world.send("events.handle", event_id=event_id, handler=handler, correlation_id=correlation_id)
