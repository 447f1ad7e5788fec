"""Tasks about deliveries: `webhooks.process` applies one that the receiver has recorded."""

from dataclasses import replace
from typing import Any

from payments.errors import NotYet
from payments.events import Context
from payments.inbox import Delivery
from payments.notices import Verdict
from paytabs.resilience import PARKED_WORK
from paytabs.responses import parse_notification
from tasks.arguments import OfDelivery
from tasks.base import LONGEST_COUNTDOWN_SECONDS, domain_task
from tasks.wiring import World


@domain_task("webhooks.process", OfDelivery)
def process(world: World, asked: OfDelivery, context: Context) -> dict[str, Any]:
    """Apply one recorded delivery; what cannot be applied yet goes back to the inbox with a time."""
    delivery = world.inbox.claim(asked.delivery_id, world.owner)
    if delivery is None:
        return {"delivery_id": asked.delivery_id, "result": "not_due"}
    context = replace(context, correlation_id=delivery.correlation_id)
    try:
        notice = parse_notification(delivery.body)
        verdict = world.notices.apply(notice, delivery.delivery_id, delivery.next_delay_seconds, context)
    except Exception as error:
        put_back(world, delivery, PARKED_WORK.delay(delivery.attempts), type(error).__name__, context, counts=False)
        if isinstance(error, NotYet):
            return {"delivery_id": asked.delivery_id, "result": "waiting"}
        raise
    return settle(world, delivery, verdict, context)


def settle(world: World, delivery: Delivery, verdict: Verdict, context: Context) -> dict[str, Any]:
    """Finish a delivery, or put it back when its verdict is to wait."""
    answer = {"delivery_id": delivery.delivery_id, "result": verdict.result, "payment_id": verdict.payment_id}
    if verdict.result == "waiting":
        lagging = verdict.retry_in_seconds is not None
        delay = verdict.retry_in_seconds or PARKED_WORK.delay(delivery.attempts)
        put_back(world, delivery, delay, verdict.reason or "waiting", context, counts=lagging)
    else:
        world.inbox.finish(delivery, {**answer, "reason": verdict.reason})
    return answer


def put_back(
    world: World, delivery: Delivery, delay_seconds: float, reason: str, context: Context, *, counts: bool
) -> None:
    """Put a delivery back; a short wait is also enqueued, so that it does not wait for the sweep."""
    world.inbox.postpone(delivery, delay_seconds, reason, counts=counts)
    if delay_seconds <= LONGEST_COUNTDOWN_SECONDS:
        world.send(
            "webhooks.process",
            delivery_id=delivery.delivery_id,
            correlation_id=context.correlation_id,
            countdown=delay_seconds,
        )
