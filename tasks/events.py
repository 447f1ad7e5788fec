"""Tasks about events: `events.handle` does one reaction to one event, `events.dispatch` sends those that are due.

`events.replay` computes a projection again, in chunks that end well within a task's time; it reacts to nothing.
"""

from typing import Any

from payments.errors import ReplayTaken
from payments.events import Context
from payments.replay_acts import begin, carry_out
from payments.replay_pieces import Piece
from payments.replay_scan import Span
from payments.replay_views import view_replay
from payments.replaying import Phase, ReplayTerms
from paytabs.fault_points import fault_point
from tasks.arguments import Arguments, Handle, Replay
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


#: How long one run of `events.replay` goes on before it leaves the rest to the next one, in seconds.
CHUNK_SECONDS = 25.0


@domain_task("events.replay", Replay)
def replay(world: World, asked: Replay, context: Context) -> dict[str, Any]:
    """Replay a projection, or go on with a replay; what is left is enqueued again."""
    replay_id = asked.replay_id or begin(world.replayer, _terms(asked), f"replay-{context.causation_id}")
    try:
        row = carry_out(
            world.replayer, world.trail, replay_id, context, reason=asked.reason, seconds=CHUNK_SECONDS, watch=_unseen
        )
    except ReplayTaken:
        return view_replay(world.replayer.row(replay_id))
    if row["phase"] != Phase.DONE:
        asker: dict[str, Any] = {"requested_by": asked.requested_by}
        world.send("events.replay", correlation_id=context.correlation_id, replay_id=replay_id, **asker)
    return view_replay(row)


def _unseen(piece: Piece) -> None:
    """Tell nobody."""
    del piece


def _terms(asked: Replay) -> ReplayTerms:
    span = Span(asked.range.since, asked.range.until)
    return ReplayTerms(asked.projection or "", span, asked.dry_run, asked.requested_by, asked.reason)
