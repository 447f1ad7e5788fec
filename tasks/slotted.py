"""How a tick of beat becomes a run: the entry is named in the message's header, and its slot is claimed first.

A task that anybody else enqueues has no such header and simply runs.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

import structlog
from pymongo.errors import PyMongoError

from config.queues import SCHEDULE_HEADER
from observability.metrics import SCHEDULE_LAST_SUCCESS, SCHEDULE_MISSED, SCHEDULE_RUNS
from payments.events import timestamp
from paytabs.resilience import TASK_RETRY
from schedules import table
from schedules.entries import Entry
from tasks.due_times import Slot, slot_at
from tasks.errors import SlotFailed
from tasks.slots import Claim
from tasks.wiring import World

log = structlog.get_logger(__name__)

Work = Callable[[], Any]


def entry_in(headers: Mapping[str, Any]) -> Entry | None:
    """Return the entry that a message is a tick of; None when it is none, or one of another version's schedule."""
    name = headers.get(SCHEDULE_HEADER)
    return next((entry for entry in table.ENTRIES if entry.name == name), None)


def in_its_slot(world: World, entry: Entry | None, work: Work) -> Any:  # noqa: ANN401 - JSON
    """Do the work of a tick if it is to be done, and note how it ended.

    Args:
        world: with the slots and the clock.
        entry: what is ticked; None for work that nobody scheduled, which is done.
        work: the task's body.

    Returns:
        The work's answer; `skipped` with the reason, and `slot`, when there is nothing to do.

    Raises:
        SlotFailed: the work of a slot raised an error.
    """
    if entry is None:
        return work()
    if entry.missed == "level":
        return _look(world, entry, work)
    slot = slot_at(entry, world.settings, world.clock())
    claim = world.slots.claim(slot, world.owner)
    if isinstance(claim, Claim):
        return _begin(world, claim, work)
    SCHEDULE_RUNS.labels(entry=entry.name, result=claim).inc()
    return {"skipped": claim, "slot": timestamp(slot.due)}


def _look(world: World, entry: Entry, work: Work) -> Any:  # noqa: ANN401 - JSON
    try:
        answer = work()
    except Exception as error:
        with _as_far_as_possible():
            world.slots.failed(entry.name, type(error).__name__)
        SCHEDULE_RUNS.labels(entry=entry.name, result="failed").inc()
        raise
    world.slots.succeeded(entry.name)
    _count(entry.name, world.clock())
    return answer


def _begin(world: World, claim: Claim, work: Work) -> Any:  # noqa: ANN401 - JSON
    if claim.attempt == 1:
        _tell_missed(claim.slot, world.slots.of(claim.slot.entry).get("last_due"))
    try:
        answer = work()
    except Exception as error:
        wait = TASK_RETRY.ceiling(1)
        with _as_far_as_possible():
            wait = world.slots.fail(claim, type(error).__name__)
        SCHEDULE_RUNS.labels(entry=claim.slot.entry, result="failed").inc()
        raise SlotFailed(claim.slot.entry, error, wait) from error
    if world.slots.finish(claim):
        _count(claim.slot.entry, world.clock())
    else:
        SCHEDULE_RUNS.labels(entry=claim.slot.entry, result="lost").inc()
        log.warning("slot_taken_over", entry=claim.slot.entry, slot=timestamp(claim.slot.due))
    return answer


def _tell_missed(slot: Slot, last_due: datetime | None) -> None:
    missed = 0 if last_due is None else max(0, round((slot.due - last_due) / slot.period) - 1)
    if missed:
        SCHEDULE_MISSED.labels(entry=slot.entry).inc(missed)
        log.warning("slots_missed", entry=slot.entry, slot=timestamp(slot.due), missed=missed)


def _count(entry: str, now: datetime) -> None:
    SCHEDULE_RUNS.labels(entry=entry, result="done").inc()
    SCHEDULE_LAST_SUCCESS.labels(entry=entry).set(now.timestamp())


@contextlib.contextmanager
def _as_far_as_possible() -> Iterator[None]:
    """Let the error that is under way be the one that is told of; a slot that cannot be put back is, by its lease."""
    try:
        yield
    except PyMongoError as error:
        log.warning("slot_not_noted", reason=type(error).__name__)
