"""Who does a slot's work: claims in MongoDB, so that two beats, two workers or a repeated message do no harm.

A slot is one row, unique by entry and due time. It is under way while somebody holds its lease, and no two slots of an
entry are at once: a unique index says so. Leases and waits are measured by the database's clock alone, so that a
worker whose clock jumps takes nothing from anybody; which slot it is, is told by it too.

A slot whose runner was lost is not begun anew, since its work may have been done before the loss: it counts as missed.
One whose work has failed is, since it was told that it was not done.

The row without a due time is the entry's own: when it last succeeded or failed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import structlog
from bson import ObjectId
from pymongo import IndexModel
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from paytabs.resilience import TASK_RETRY, BackoffPolicy
from tasks.due_times import Slot

log = structlog.get_logger(__name__)

Document = dict[str, Any]

#: How long rows of slots are kept after they were made, and after they were due: no clock that jumps forgets one early.
KEPT = timedelta(days=7)


@dataclass(frozen=True)
class Claim:
    """A slot that is ours to do.

    Attributes:
        row_id: the slot's row.
        run: distinguishes this claim from any other of the slot.
        attempt: how often the slot was begun, this time included.
    """

    slot: Slot
    row_id: ObjectId
    run: str
    attempt: int


class Slots:
    """Keeps `schedule_slots`.

    Args:
        database: our own.
        clock: aware UTC time.
        lease: how long a run may take; the runner of a slot that is under way after it is lost.
        policy: how long a slot that failed waits for its next attempt.
    """

    #: Each slot is one row, one of an entry is under way, and rows are forgotten.
    INDEXES: Final = (
        IndexModel([("entry", 1), ("due", 1)], unique=True, name="slot"),
        IndexModel("entry", unique=True, partialFilterExpression={"under_way": True}, name="one_at_a_time"),
        IndexModel("kept_from", expireAfterSeconds=int(KEPT.total_seconds()), name="forgotten_after"),
    )

    def __init__(
        self,
        database: Database[Document],
        *,
        clock: Callable[[], datetime],
        lease: timedelta,
        policy: BackoffPolicy = TASK_RETRY,
    ) -> None:
        self.rows = database["schedule_slots"]
        self._clock, self._lease, self._policy = clock, lease, policy

    def ensure_indexes(self) -> None:
        """Create the indexes that the promises lean on; harmless when they are there."""
        self.rows.create_indexes(list(self.INDEXES))

    def claim(self, slot: Slot, owner: str) -> Claim | str:
        """Take a slot, or say why not: already, busy, lost or late.

        Args:
            slot: the one that is due.
            owner: who will do it.
        """
        key = {"entry": slot.entry, "due": slot.due}
        known = self.rows.find_one(key, {"done_at": 1, "lost_at": 1})
        if known is not None and (known["done_at"] is not None or known.get("lost_at") is not None):
            return "lost" if known["done_at"] is None else "already"
        if self._clock() > slot.begin_by:
            return "late"
        self._tell_what_was_lost(slot.entry)
        if known is None:
            self._have_row(slot)
        run = uuid4().hex
        begun = {"under_way": True, "owner": {"$literal": owner}, "run": run, "began_at": "$$NOW",
                 "lease_until": {"$add": ["$$NOW", _milliseconds(self._lease)]},
                 "attempts": {"$add": ["$attempts", 1]}}  # fmt: skip
        free = {"done_at": None, "lost_at": None, "under_way": False, "$expr": {"$lte": ["$retry_at", "$$NOW"]}}
        try:
            row = self.rows.find_one_and_update(key | free, [{"$set": begun}], return_document=True)
        except DuplicateKeyError:
            return "busy"  # another slot of this entry is under way
        return "busy" if row is None else Claim(slot, row["_id"], run, row["attempts"])

    def finish(self, claim: Claim) -> None:
        """Note that a slot is done, also after its lease; harmless when it was noted before."""
        self._end(claim, {"done_at": self._clock(), "error": None})
        self.succeeded(claim.slot.entry, claim.slot)

    def fail(self, claim: Claim, reason: str) -> float:
        """Note that a slot's run failed, and return after how many seconds it may be begun anew."""
        wait = self._policy.delay(claim.attempt)
        self._end(claim, {"retry_at": {"$add": ["$$NOW", int(wait * 1000)]}, "error": {"$literal": reason}})
        self.failed(claim.slot.entry, reason)
        return wait

    def succeeded(self, entry: str, slot: Slot | None = None) -> None:
        """Note that an entry's task has succeeded, and for which slot if it has slots."""
        noted: Document = {"done_at": self._clock(), "last_due": slot and slot.due, "error": None}
        noted |= {"period_seconds": slot.period.total_seconds()} if slot else {}
        self.note(entry, {"$set": noted, "$currentDate": {"noted_at": True}})

    def failed(self, entry: str, reason: str) -> None:
        """Note that an entry's task has failed."""
        noted = {"failed_at": self._clock(), "error": reason}
        self.note(entry, {"$set": noted})

    def note(self, entry: str, change: Document) -> None:
        """Change an entry's own row, whoever makes it."""
        try:
            self.rows.update_one({"entry": entry, "due": None}, change, upsert=True)
        except DuplicateKeyError:  # two were the first at once
            self.rows.update_one({"entry": entry, "due": None}, change)

    def of(self, entry: str) -> Document:
        """Return an entry's own row: `done_at`, `last_due`, `failed_at` and `error`, as far as it has them.

        Its `noted_at` is the database's time of its last success.
        """
        return self.rows.find_one({"entry": entry, "due": None}) or {}

    def last_done(self, entry: str, now: datetime) -> Document | None:
        """Return the row of an entry's latest slot that is done and has begun by a time."""
        done = {"entry": entry, "due": {"$lte": now}, "done_at": {"$ne": None}}
        return self.rows.find_one(done, {"due": 1, "done_at": 1}, sort=[("due", -1)])

    def _have_row(self, slot: Slot) -> None:
        """Have a row of the slot, whoever makes it."""
        key = {"entry": slot.entry, "due": slot.due}
        fresh = {"done_at": None, "under_way": False, "attempts": 0, "retry_at": None}
        had = {name: {"$ifNull": [f"${name}", value]} for name, value in fresh.items()}
        kept_from = {"$ifNull": ["$kept_from", {"$max": ["$$NOW", slot.due]}]}
        try:
            self.rows.update_one(key, [{"$set": had | {"kept_from": kept_from}}], upsert=True)
        except DuplicateKeyError:
            return  # two at once: the row is there

    def _end(self, claim: Claim, change: Document) -> None:
        mine = {"_id": claim.row_id, "run": claim.run}
        self.rows.update_one(mine, [{"$set": {"under_way": False, "lost_at": None} | change}])

    def _tell_what_was_lost(self, entry: str) -> None:
        lost = {"entry": entry, "under_way": True, "$expr": {"$lte": ["$lease_until", "$$NOW"]}}
        told = {"under_way": False, "lost_at": "$$NOW", "error": "its runner was lost"}
        if found := self.rows.update_many(lost, [{"$set": told}]).modified_count:
            log.warning("slot_lost", entry=entry, slots=found)


def _milliseconds(length: timedelta) -> int:
    return int(length.total_seconds() * 1000)
