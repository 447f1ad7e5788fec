"""Sweeps: level-triggered looks at MongoDB that enqueue whatever is due, so that a lost message costs only time."""

import time
from contextlib import suppress
from datetime import timedelta
from typing import Any

import structlog
from celery import current_app
from redis.exceptions import RedisError

from payments.errors import SealsDiffer
from payments.events import Context
from payments.oversleepers import wake
from payments.unexplained import ALERT as UNEXPLAINED
from tasks.alert_tending import tell_of_indexes, tell_of_the_breaker, tend
from tasks.arguments import Arguments, Decided
from tasks.auditing import LAST_SEAL_SECONDS, SEALING_SECONDS
from tasks.base import domain_task
from tasks.database_alerts import carry as carry_refusals
from tasks.dead_letters import carry
from tasks.kept import queue_left
from tasks.results import store_owed
from tasks.retaining import make_retention
from tasks.sweeping import SWEEP_LIMIT, enqueued
from tasks.timekeeping import seconds_left
from tasks.wiring import World

log = structlog.get_logger(__name__)

#: Seconds after which a look for tokens leaves the rest to the next one.
TOKEN_SECONDS = 3.0

#: Seconds after which a run of `maintenance.redact` leaves the rest to the next one.
REDACT_SECONDS = 20.0


@domain_task("maintenance.sweep_operations", Arguments)
def sweep_operations(world: World, asked: Arguments, context: Context) -> dict[str, Any]:
    """Enqueue a poll for every operation that is due, and close what operators were told of those that have ended.

    Copies of the ledger's position outside the database are looked at as well: all sends wait while one is ahead.
    """
    del asked, context
    world.epochs.look()
    world.unexplained.take_back(world.alerts.open_keys(UNEXPLAINED))
    due = world.ledger.claim_due(world.clock(), SWEEP_LIMIT)
    if not due:
        world.gateway.gate.recover()  # callers do not wait for probes, and no poll makes them now
    return enqueued(
        world.send("payments.poll", operation_id=row.operation_id, correlation_id=row.correlation_id) for row in due
    )


@domain_task("maintenance.wake_sleepers", Arguments)
def wake_sleepers(world: World, asked: Arguments, context: Context) -> dict[str, Any]:
    """Wake what sleeps for longer than any wait that it can have been given: a clock that was ahead put it to sleep."""
    del asked, context
    parked = timedelta(seconds=world.settings.breaker_open_seconds)
    woken = wake(world.db, world.ledger.now(), lease=world.ledger.lease, parked=parked)
    if woken:
        log.warning("sleepers_woken", **woken)
    return {"woken": woken}


@domain_task("maintenance.sweep_documents", Arguments)
def sweep_documents(world: World, asked: Arguments, context: Context) -> dict[str, Any]:
    """Look at the payments and contracts that the CMS has changed, or that were away; the rest is enqueued again."""
    del asked
    counts = {**world.documents.step(context), "written": world.owed.step(context)}
    if counts["left"]:
        world.send("maintenance.sweep_documents", correlation_id=context.correlation_id)
    return counts


@domain_task("maintenance.sweep_inbox", Arguments)
def sweep_inbox(world: World, asked: Arguments, context: Context) -> dict[str, Any]:
    """Enqueue every delivery that is due or whose worker is gone; fetch tokens of cards that could not be kept."""
    del asked
    due = world.inbox.due(SWEEP_LIMIT)
    sent = enqueued(
        world.send("webhooks.process", delivery_id=delivery_id, correlation_id=context.correlation_id)
        for delivery_id in due
    )
    ends_at = time.monotonic() + TOKEN_SECONDS
    looked_at = world.card_sweep.run(SWEEP_LIMIT, context, lambda: time.monotonic() > ends_at)
    return sent | ({"tokens": looked_at} if looked_at else {})


@domain_task("maintenance.sweep_quarantine", Arguments)
def sweep_quarantine(world: World, asked: Arguments, context: Context) -> dict[str, Any]:
    """Carry what was refused or given up from the broker to `dead_letters`; queue what a worker had to keep again."""
    del asked, context
    again = queue_left(world)
    return {"carried": carry(world)} | ({"queued_again": again} if again else {})


@domain_task("maintenance.store_results", Arguments)
def store_results(world: World, asked: Arguments, context: Context) -> dict[str, Any]:
    """Store the results that the result store did not take when their tasks ended."""
    del asked, context
    return store_owed(world, current_app.backend)


@domain_task("maintenance.seal_events", Arguments)
def seal_events(world: World, asked: Arguments, context: Context) -> dict[str, Any]:
    """Seal the events that are old enough; nothing is added to seals that differ from those outside the database."""
    del asked, context
    try:
        made = world.sealer.seal(min(SEALING_SECONDS, seconds_left() - LAST_SEAL_SECONDS))
    except SealsDiffer as error:
        world.alerts.raise_alert("seals_differ", "audit_seals", str(error))
        return {"sealed": 0, "stopped": str(error)}
    return {"sealed": sum(seal.count for seal in made), "seals": len(made), "last": made[-1].n if made else None}


@domain_task("maintenance.tend_alerts", Arguments)
def tend_alerts(world: World, asked: Arguments, context: Context) -> dict[str, Any]:
    """Close the alerts whose cause is gone, raise the one that nobody has raised, and forget those of long ago."""
    del asked, context
    tell_of_the_breaker(world)
    tell_of_indexes(world)
    with suppress(RedisError, OSError):
        carry_refusals(world.alerts, str(world.settings.redis_url))
    return {**tend(world), "forgotten": world.alerts.forget()}


@domain_task("maintenance.redact", Decided)
def redact(world: World, asked: Decided, context: Context) -> dict[str, Any]:
    """Forget what has come of age; what is left over is gone on with in the next slot.

    Asked for by somebody with a name, it is that person's act.
    """
    ends_at = time.monotonic() + REDACT_SECONDS
    keeper = make_retention(world)

    def enough() -> bool:
        return time.monotonic() > ends_at

    by_name = context.requested_by is not None
    run = keeper.run_as_asked(context, asked.audit_reason, enough) if by_name else keeper.run(enough)
    log.info("redacted", **run.redacted, held=run.held, finished=run.finished)
    return run.to_json()
