"""How each entry of the schedule stands: when it last succeeded, when it is next due, and whether it is overdue.

Overdue is what its policy cannot explain: a look that was left out three times, or a slot that nobody did although its
time to be begun, and a run's time after that, have passed. Before an entry was first seen nothing was due.

What a worker has noted whose clock was ahead says nothing about the time until then: a look counts from the database's
time of the note, and of slots only those that have begun.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from config.settings import Settings
from observability.alerts import Alerts
from payments.events import timestamp
from schedules import table
from schedules.entries import Entry
from tasks.due_times import period, slot_at
from tasks.slots import Slots

#: The alert's name; its key is the entry's.
OVERDUE = "schedule_overdue"

#: How many looks in a row may be left out, and the least time that is, in seconds.
LOOKS, LEAST_SECONDS = 3, 60.0


@dataclass(frozen=True)
class Standing:
    """How one entry stands.

    Attributes:
        entry: the entry.
        period: the time between two of its slots or looks.
        last_success: when its task last succeeded, None for never.
        last_failure: when it last failed, if that was after its last success.
        error: the kind of error that it failed with.
        next_due: when its next slot or look is due; in the past for one that waits to be begun.
        overdue_since: the time by which it should have succeeded; None while it is not overdue.
    """

    entry: Entry
    period: timedelta
    last_success: datetime | None
    last_failure: datetime | None
    error: str | None
    next_due: datetime
    overdue_since: datetime | None


def standings(
    slots: Slots, settings: Settings, now: datetime, entries: Sequence[Entry] | None = None
) -> list[Standing]:
    """Return how each entry stands at a time."""
    return [_standing(entry, _known(entry, slots, now), settings, now) for entry in entries or table.ENTRIES]


def look(slots: Slots, alerts: Alerts, settings: Settings, clock: Callable[[], datetime]) -> None:
    """Open an alert for each entry that is overdue, and close those of entries that are not any more."""
    now = clock()
    for entry in table.ENTRIES:
        slots.note(entry.name, {"$min": {"since": now}})  # also where a failure has made the row before
    overdue = {one.entry.name: one for one in standings(slots, settings, now) if one.overdue_since is not None}
    known = set(alerts.open_keys(OVERDUE))
    for name in overdue.keys() - known:
        alerts.raise_alert(OVERDUE, name, _sentence(overdue[name]))
    for name in known - overdue.keys():
        alerts.resolve(OVERDUE, name, why="it was done, or is no entry any more")


def _known(entry: Entry, slots: Slots, now: datetime) -> dict[str, Any]:
    """Return an entry's own row without the future; a slot's row is believed before it, since it is written first."""
    own = slots.of(entry.name)
    done_at, last_due = own.get("done_at"), own.get("last_due")
    if done_at is not None and done_at > now:
        done_at = min(now, own.get("noted_at") or now)
    if entry.missed == "level":
        return own | {"done_at": done_at}
    last = slots.last_done(entry.name, now) or {}
    dues = [due for due in (last_due, last.get("due")) if due is not None and due <= now]
    ends = [end for end in (done_at, last.get("done_at")) if end is not None and end <= now]
    return own | {"last_due": max(dues, default=None), "done_at": max(ends, default=None)}


def _sentence(one: Standing) -> str:
    last = f"last succeeded at {timestamp(one.last_success)}" if one.last_success else "has never succeeded"
    failed = f"; it failed with {one.error} at {timestamp(one.last_failure)}" if one.last_failure else ""
    return f"{one.entry.task} {last}{failed}: {one.entry.why}"


def _standing(entry: Entry, row: dict[str, Any], settings: Settings, now: datetime) -> Standing:
    done_at, failed_at = row.get("done_at"), row.get("failed_at")
    failing = failed_at is not None and (done_at is None or failed_at >= done_at) and row.get("error")
    next_due, expected = (_look if entry.missed == "level" else _slot)(entry, row, settings, now)
    return Standing(
        entry=entry,
        period=period(entry, settings),
        last_success=done_at,
        last_failure=failed_at if failing else None,
        error=row["error"] if failing else None,
        next_due=next_due,
        overdue_since=expected,
    )


def _look(entry: Entry, row: dict[str, Any], settings: Settings, now: datetime) -> tuple[datetime, datetime | None]:
    length, last = period(entry, settings), row.get("done_at")
    seen = last or row.get("since") or now
    by = seen + max(LOOKS * length, timedelta(seconds=LEAST_SECONDS))
    return (last + length if last else now), (by if now > by else None)


def _slot(entry: Entry, row: dict[str, Any], settings: Settings, now: datetime) -> tuple[datetime, datetime | None]:
    slot, last = slot_at(entry, settings, now), row.get("last_due")
    is_done = last is not None and last >= slot.due
    next_due = slot.ends if is_done or now > slot.begin_by else slot.due
    allowed = timedelta(seconds=entry.late_seconds) if entry.late_seconds else slot.period
    allowed += timedelta(seconds=settings.visibility_timeout_seconds)  # the time of a run, and of one after a lost one
    passed = (now - slot.due - allowed) // slot.period  # 0: this slot's time is over, -1: that of the one before
    expected = slot.due + passed * slot.period
    last_seen = last or row.get("since") or now
    return next_due, (expected + allowed if last_seen < expected else None)
