"""How a tick of beat becomes a run: the entry is named in the message's header, and its slot is claimed first.

A task that anybody else enqueues has no such header and simply runs.

How a slot's work ended is noted again and again while the database is away: one of which nobody knows counts as lost.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

import structlog
import tenacity
from billiard.exceptions import SoftTimeLimitExceeded
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

T = TypeVar("T")

Work = Callable[[], Any]

#: For how long a note is tried, in seconds, and how long it waits in between, up to twice that; an election is over by
#: then.
NOTE_SECONDS, NOTE_PAUSE_SECONDS = 10.0, 0.2


def entry_in(headers: Mapping[str, Any], task_name: str) -> Entry | None:
    """Return the entry that a task's message is a tick of; None when it is none.

    Neither is one whose header names an entry of another version's schedule, or of another task.
    """
    named = (SCHEDULE_HEADER in headers) and (headers[SCHEDULE_HEADER], task_name)
    return next((entry for entry in table.ENTRIES if (entry.name, entry.task) == named), None)


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
        _tell_missed(claim.slot, world.slots.of(claim.slot.entry))
    try:
        answer = work()
    except Exception as error:
        wait, reason = TASK_RETRY.ceiling(1), type(error).__name__
        with _as_far_as_possible():
            wait = _persist(lambda: world.slots.fail(claim, reason))
        SCHEDULE_RUNS.labels(entry=claim.slot.entry, result="failed").inc()
        raise SlotFailed(claim.slot.entry, error, wait) from error
    with _as_far_as_possible():
        _persist(lambda: world.slots.finish(claim))
    _count(claim.slot.entry, world.clock())
    return answer


def _persist(note: Callable[[], T]) -> T:
    """Note how a slot ended, again and again while the database is away."""
    trying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type((PyMongoError, SoftTimeLimitExceeded)),
        wait=tenacity.wait_fixed(NOTE_PAUSE_SECONDS) + tenacity.wait_random(0, NOTE_PAUSE_SECONDS),
        stop=tenacity.stop_after_delay(NOTE_SECONDS),
        reraise=True,
    )
    return trying(note)


def _tell_missed(slot: Slot, own: Mapping[str, Any]) -> None:
    """Count the slots since the last one that was done; those of a period that was changed meanwhile by the longer."""
    last_due: datetime | None = own.get("last_due")
    length = max(slot.period, timedelta(seconds=own.get("period_seconds") or 0))
    missed = 0 if last_due is None else max(0, round((slot.due - last_due) / length) - 1)
    if missed:
        SCHEDULE_MISSED.labels(entry=slot.entry).inc(missed)
        log.warning("slots_missed", entry=slot.entry, slot=timestamp(slot.due), missed=missed)


def _count(entry: str, now: datetime) -> None:
    SCHEDULE_RUNS.labels(entry=entry, result="done").inc()
    SCHEDULE_LAST_SUCCESS.labels(entry=entry).set(now.timestamp())


@contextlib.contextmanager
def _as_far_as_possible() -> Iterator[None]:
    """Go on although a note cannot be made; a slot's runner counts as lost then, when its lease has ended."""
    try:
        yield
    except PyMongoError as error:
        log.warning("slot_not_noted", reason=type(error).__name__)
