"""Which rows sleep longer than any wait that they can have been given, and waking them: a table, one row per wait.

What is due is written by the database's clock. A worker of the version before writes its own, and a primary's clock may
be mended by an hour: a row that was put to sleep by a clock that was ahead would sleep that much longer, in silence.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pymongo.database import Database

from payments.document_marks import COLLECTION as CHANGES
from payments.document_marks import FAILED_FOR
from payments.inbox import COLLECTION as INBOX
from payments.ladder import LADDERS, POLLING, Ladder
from payments.operations import Status
from payments.outbox import COLLECTION as OUTBOX
from payments.owed import COLLECTION as OWED
from payments.owed import LADDER_SECONDS
from payments.stored_cards import COLLECTION as CARDS
from paytabs.resilience import LONGEST_SPREAD_SECONDS, PARKED_WORK

Document = dict[str, Any]

#: The ledger's collection.
_ROWS = "payment_operations"

#: Beside each wait below: the draw at its end, what a breaker or a limiter adds, and the time to write it.
SLACK = timedelta(seconds=LONGEST_SPREAD_SECONDS * 2)

#: What was never begun waits for its message, for a turn, or for the key of a card.
UNBEGUN = timedelta(seconds=75)

#: What has failed waits by the policy, or a little longer where a key is in doubt.
PARKED = timedelta(seconds=PARKED_WORK.cap_seconds + 75)

#: Over how long those that are woken begin.
WOKEN_OVER_MS = 20_000

#: The longest pause between two questions for a card's token.
CARD_PAUSE = timedelta(days=1, hours=6)


@dataclass(frozen=True)
class Wait:
    """The longest that some rows can have been told to wait.

    Attributes:
        collection: where they are.
        due: the field that says until when.
        rows: which ones.
        longest: for how long from now, at most; a ladder for a row that goes by one, counted from `poll_from`.
        is_lease: whether somebody may be at them: one that is too long becomes as long as it may be.
    """

    collection: str
    due: str
    rows: Document
    longest: timedelta | Ladder
    is_lease: bool = False


def waits(lease: timedelta) -> tuple[Wait, ...]:
    """Return the table.

    Args:
        lease: how long a worker holds a row.
    """
    unbegun, failed, open_rows = {"attempts": 0}, {"attempts": {"$gt": 0}}, {"due_at": {"$type": "date"}}
    known = {"status": {"$nin": [Status.NEW, Status.SENDING, Status.UNKNOWN]}}
    return (
        Wait(_ROWS, "due_at", {"status": Status.NEW, **unbegun}, UNBEGUN),
        Wait(_ROWS, "due_at", {"status": Status.NEW, **failed}, PARKED),
        Wait(_ROWS, "due_at", {"status": Status.SENDING}, lease),
        Wait(_ROWS, "lease.until", {"status": Status.SENDING, **open_rows}, lease, is_lease=True),
        *(Wait(_ROWS, "due_at", {"status": Status.UNKNOWN, "kind": kind}, ladder) for kind, ladder in LADDERS.items()),
        Wait(_ROWS, "due_at", known, POLLING),
        *(Wait(INBOX, name, {"status": "received", **unbegun}, UNBEGUN) for name in ("due_at", "sweep_at")),
        *(Wait(INBOX, name, {"status": "received", **failed}, PARKED) for name in ("due_at", "sweep_at")),
        Wait(INBOX, "sweep_at", {"status": "processing"}, lease),
        Wait(INBOX, "lease_until", {"status": "processing"}, lease, is_lease=True),
        Wait(OUTBOX, "due_at", {"status": "waiting", **unbegun}, UNBEGUN),
        Wait(OUTBOX, "due_at", {"status": "waiting", **failed}, PARKED),
        Wait(OUTBOX, "due_at", {"status": "working"}, lease),
        Wait(OUTBOX, "lease_until", {"status": "working", **open_rows}, lease, is_lease=True),
        Wait(CHANGES, "due_at", {}, FAILED_FOR),
        Wait(OWED, "due_at", {}, timedelta(seconds=LADDER_SECONDS[-1])),
        Wait(CARDS, "ask_at", {}, CARD_PAUSE),
    )


def wake(database: Database[Document], now: datetime, *, lease: timedelta, parked: timedelta) -> dict[str, int]:
    """Wake every row that sleeps for too long.

    Args:
        database: ours.
        now: aware UTC, by the database's clock.
        lease: how long a worker holds a row.
        parked: how long the breaker may keep a question waiting.

    Returns:
        How many were woken, by collection; those without any are left out.
    """
    woken: dict[str, int] = {}
    for wait in waits(lease):
        if changed := database[wait.collection].update_many(*_woken(wait, now, SLACK + parked)).modified_count:
            woken[wait.collection] = woken.get(wait.collection, 0) + changed
    return woken


def sleepers(database: Database[Document], now: datetime, *, lease: timedelta, parked: timedelta) -> list[str]:
    """Name the rows that `wake` would wake, each with its collection and what it waits for; nothing is changed."""
    found = []
    for wait in waits(lease):
        asleep, _ = _woken(wait, now, SLACK + parked)
        found += [f"{wait.collection} {row['_id']}: {wait.due}" for row in database[wait.collection].find(asleep)]
    return found


def _woken(wait: Wait, now: datetime, slack: timedelta) -> tuple[Document, list[Document]]:
    """Return which rows are woken, and how."""
    beyond = {"$gt": [f"${wait.due}", {"$add": [now, _milliseconds(slack), _longest(wait.longest, now)]}]}
    # The plain comparison is what the index serves.
    later = {"$type": "date", "$gt": now + slack}
    asleep = {**wait.rows, wait.due: later, "$expr": beyond}
    draw = {"$floor": {"$multiply": [{"$rand": {}}, WOKEN_OVER_MS]}}
    held = _milliseconds(wait.longest) if wait.is_lease and isinstance(wait.longest, timedelta) else 0
    changes: Document = {wait.due: {"$add": [now, held, draw]}}
    if isinstance(wait.longest, Ladder):
        changes["poll_from"] = {"$min": ["$poll_from", now]}
    return asleep, [{"$set": changes}]


def _longest(longest: timedelta | Ladder, now: datetime) -> object:
    """Return the longest wait in milliseconds, as MongoDB works it out for a row."""
    if isinstance(longest, timedelta):
        return _milliseconds(longest)
    elapsed = {"$max": [0, {"$subtract": [now, "$poll_from"]}]}
    every = _milliseconds(longest.every)
    steps = [
        {"case": {"$lt": [elapsed, seconds * 1000]}, "then": {"$subtract": [seconds * 1000, elapsed]}}
        for seconds in longest.steps_seconds
    ]
    return {"$switch": {"branches": steps, "default": {"$subtract": [every, {"$mod": [elapsed, every]}]}}}


def _milliseconds(length: timedelta) -> int:
    return int(length.total_seconds() * 1000)
