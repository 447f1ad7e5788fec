"""Hours that pass at once for what only waits: an operation in doubt, a page that somebody looks after rarely.

The ladders are counted from times that stand in MongoDB, so these are set back. Whatever is on the wire is left alone:
rows that are `new` or `sending` keep their times, and a row has been in doubt for longer than any answer takes.
"""

import time
from datetime import UTC, datetime, timedelta

from bson import ObjectId
from pymongo.database import Database

from tests.chaos.stage import Json

#: How long a row is left to itself before time is hurried on, in seconds: longer than a late answer takes to come.
CALM_SECONDS = 3.0

#: How long between two such leaps of one row, in seconds, so that the look between them can end; after some, twice as
#: long each time, since looks wait in a queue while the system has much to do.
BETWEEN_SECONDS = 4.0

#: After how many leaps they become rarer.
OFTEN = 4

#: The longest time between two leaps, in seconds.
MOST_BETWEEN_SECONDS = 60.0

#: What is sent again when nothing is found, and how long that takes to count.
_RESENDING = {"create_page": timedelta(minutes=5), "void": timedelta(minutes=5), "release": timedelta(minutes=5)}

#: After so long a human is called.
_A_DAY = timedelta(days=1, minutes=5)

#: For how long a page is taken to have been over: longer than any margin.
_PAGE_OVER = timedelta(hours=4)

#: Between two looks at what PayTabs knows and has not finished.
_A_LOOK = timedelta(hours=1)


class Hours:
    """Lets hours pass for single operations and deliveries, and counts how often."""

    def __init__(self, database: Database[Json]) -> None:
        self._rows = database["payment_operations"]
        self._inbox = database["webhook_inbox"]
        self._last: dict[tuple[str, str, int], tuple[float, int]] = {}
        self._parked: dict[ObjectId, float] = {}
        self.leaps = 0

    def pass_for(self, row: Json) -> None:
        """Let time pass for an operation that waits: at first until its next look, then until what follows from it."""
        now = datetime.now(UTC)
        stands = (row["_id"], row["status"], len(row["sends"]))
        last, times = self._last.get(stands, (0.0, 0))
        between = min(BETWEEN_SECONDS * 2 ** max(0, times - OFTEN), MOST_BETWEEN_SECONDS)
        calm = now - row["updated_at"] > timedelta(seconds=CALM_SECONDS)
        if row["status"] not in ("unknown", "pending") or not calm or time.monotonic() - last < between:
            return
        self._last[stands] = (time.monotonic(), times + 1)
        in_doubt = {"_id": row["_id"], "status": row["status"], "sends": {"$size": len(row["sends"])}}
        self.leaps += self._rows.update_one(in_doubt, _set_back(_leap(row, times), now)).modified_count

    def end_page(self, operation_id: str) -> None:
        """Let the life of an operation's page be over, and the margin for a payer who is in the middle of it."""
        over = datetime.now(UTC) - _PAGE_OVER
        self.leaps += self._rows.update_one({"_id": operation_id}, {"$set": {"page.expires_at": over}}).modified_count

    def pass_for_delivery(self, delivery_id: str) -> None:
        """Let the wait of a delivery that was put back be over."""
        now = datetime.now(UTC)
        waiting = {"_id": delivery_id, "status": "received", "due_at": {"$gt": now}}
        self.leaps += self._inbox.update_one(waiting, {"$set": {"due_at": now, "sweep_at": now}}).modified_count

    def pass_for_parked(self, payment: ObjectId) -> None:
        """Let the wait of a payment's operations that were not sent yet be over, now and then."""
        if time.monotonic() < self._parked.get(payment, 0.0):
            return
        self._parked[payment] = time.monotonic() + BETWEEN_SECONDS
        now = datetime.now(UTC)
        parked = {"payment_id": payment, "status": "new", "due_at": {"$gt": now}}
        self.leaps += self._rows.update_many(parked, {"$set": {"due_at": now}}).modified_count

    def waiting_deliveries(self) -> list[str]:
        """List the deliveries that are not done with."""
        return [row["_id"] for row in self._inbox.find({"status": {"$in": ["received", "processing"]}}, {"_id": True})]


def _leap(row: Json, times: int) -> timedelta:
    """Give how far an operation's times are set back."""
    if row["status"] == "pending":
        return _A_LOOK
    retired = any(send["retired_at"] for send in row["sends"])
    if row["kind"] == "create_page" or (row["kind"] in _RESENDING and not retired):
        return _RESENDING[row["kind"]]
    return _A_DAY if times else timedelta(0)


def _set_back(leap: timedelta, now: datetime) -> list[Json]:
    """Write the update that makes a row's sends older and its next look due."""
    back = int(leap.total_seconds() * 1000)
    older = {"$mergeObjects": ["$$send", {"sent_at": {"$subtract": ["$$send.sent_at", back]}}]}
    sends = {"$map": {"input": "$sends", "as": "send", "in": older}}
    return [{"$set": {"sends": sends, "poll_from": {"$subtract": ["$poll_from", back]}, "due_at": now}}]
