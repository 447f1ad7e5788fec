"""Tasks about deliveries: `webhooks.process` applies one that the receiver has recorded."""

from dataclasses import replace
from typing import Any

import structlog
from structlog.contextvars import bind_contextvars

from observability.database_refusals import refusal_in
from payments.errors import DeliveryLost, NotYet
from payments.events import Context
from payments.inbox import Delivery, Kept
from payments.notices import Verdict
from paytabs.resilience import PARKED_WORK, spread
from paytabs.responses import parse_notification
from paytabs.unlisted import note_transaction
from tasks.alert_tending import tend
from tasks.arguments import OfDelivery
from tasks.base import domain_task, longest_countdown_seconds, may_pass
from tasks.wiring import World

log = structlog.get_logger(__name__)

#: The alert about deliveries that an error of ours keeps from being applied; its key is the sort of error.
FAILS = "delivery_fails"

#: How long a delivery waits at least while the database refuses what it leads to, in seconds: mended, it goes on soon.
REFUSED_SECONDS = 30.0


@domain_task("webhooks.process", OfDelivery)
def process(world: World, asked: OfDelivery, context: Context) -> dict[str, Any]:
    """Apply one recorded delivery; what cannot be applied yet goes back to the inbox with a time."""
    delivery = world.inbox.claim(asked.delivery_id, world.owner)
    if delivery is None:
        return {"delivery_id": asked.delivery_id, "result": "not_due"}
    context = replace(context, correlation_id=delivery.correlation_id)
    bind_contextvars(correlation_id=delivery.correlation_id)
    try:
        return apply(world, delivery, context)
    except DeliveryLost as lost:
        # Whoever has it now applies it as well, which changes nothing: the fold is keyed by the transaction.
        log.warning("delivery_taken_over", fence=lost.fence)
        return {"delivery_id": asked.delivery_id, "result": "taken_over"}


def apply(world: World, delivery: Delivery, context: Context) -> dict[str, Any]:
    """Apply a delivery that this worker holds, and let go of it whatever comes of that.

    What it is about was begun by somebody, under an id of theirs: see `notices`. The delivery is what has brought it.
    """
    context = replace(context, causation_id=delivery.delivery_id)
    try:
        notice = parse_notification(delivery.body)
        note_transaction(notice)
        verdict = world.notices.apply(notice, delivery.delivery_id, delivery.next_delay_seconds, context)
    except Exception as error:
        put_back(world, delivery, wait_after(error, delivery.attempts), type(error).__name__, context, counts=False)
        if refusal_in(error):
            raise  # operators are told why, and the inbox comes back to it
        if isinstance(error, NotYet) or may_pass(error):
            log.warning("delivery_put_back", reason=type(error).__name__)
            return {"delivery_id": delivery.delivery_id, "result": "waiting"}
        told = f"{type(error).__name__} while it was applied"
        world.alerts.raise_alert(FAILS, type(error).__name__, told, subject=delivery.delivery_id)
        raise
    return settle(world, delivery, verdict, context, world.card_sweep.fate(notice))


def settle(world: World, delivery: Delivery, verdict: Verdict, context: Context, token: Kept) -> dict[str, Any]:
    """Finish a delivery, or put it back when its verdict is to wait; `token` says what becomes of the one in it."""
    answer = {"delivery_id": delivery.delivery_id, "result": verdict.result, "payment_id": verdict.payment_id}
    if verdict.result == "waiting":
        lagging = verdict.retry_in_seconds is not None
        put_back(
            world, delivery, wait_of(verdict, delivery.attempts), verdict.reason or "waiting", context, counts=lagging
        )
    else:
        world.inbox.finish(delivery, {**answer, "reason": verdict.reason}, token=token)
        if delivery.attempts > 1:
            tend(world, [FAILS])
    return answer


def wait_of(verdict: Verdict, attempts: int) -> float:
    """Draw how long a delivery waits that cannot be applied yet, in seconds: many come in one rush."""
    return spread(verdict.retry_in_seconds) if verdict.retry_in_seconds else PARKED_WORK.delay(attempts)


def wait_after(error: Exception, attempts: int) -> float:
    """Draw how long a delivery waits after an error, in seconds; not less than the error says."""
    if refusal_in(error):
        return spread(REFUSED_SECONDS)
    return PARKED_WORK.delay(attempts, at_least=getattr(error, "delay_seconds", 0.0))


def put_back(
    world: World, delivery: Delivery, delay_seconds: float, reason: str, context: Context, *, counts: bool
) -> None:
    """Put a delivery back; a short wait is also enqueued, so that it does not wait for the sweep."""
    world.inbox.postpone(delivery, delay_seconds, reason, counts=counts)
    if delay_seconds <= longest_countdown_seconds(world.settings.visibility_timeout_seconds):
        world.send(
            "webhooks.process",
            delivery_id=delivery.delivery_id,
            correlation_id=context.correlation_id,
            countdown=delay_seconds,
        )
