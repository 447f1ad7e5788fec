"""What callers have asked for at a later time: a row per message, until it is due, has expired or is revoked.

A message that waits in the broker beyond its visibility timeout is handed out again and again; here it waits once. A
row is written before the message is acknowledged, and goes after it is back in its queue. A task that was revoked
keeps a row as well, for whatever comes of it later.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from pymongo import IndexModel, ReturnDocument
from pymongo.database import Database
from pymongo.read_preferences import ReadPreference

Document = dict[str, Any]

#: The collection.
COLLECTION: Final = "later_tasks"

#: The latest time that may be asked for, from now on.
LONGEST: Final = timedelta(days=30)

#: How long it is remembered that a task was revoked: longer than anything waits.
REMEMBERED: Final = LONGEST + timedelta(days=1)

#: How far a row is put off that somebody is putting back into its queue.
SENT_FOR: Final = timedelta(seconds=20)


@dataclass(frozen=True)
class Later:
    """A message that waits.

    Attributes:
        task_id: The task's own id, under which it will run.
        task: Its name.
        queue: Where it came from and goes back to.
        message: Its headers, properties and body as text, or encrypted where that has a token.
        eta: When it is to run.
        expires: From when on it is not to run any more.
        ignore_result: Whether nobody asks for its result.
    """

    task_id: str
    task: str
    queue: str
    message: str | bytes
    eta: datetime
    expires: datetime | None
    ignore_result: bool


class LaterRows:
    """Reads and writes the rows."""

    #: What is due, and what was revoked long enough ago to be forgotten.
    INDEXES: Final = (
        IndexModel("due_at", partialFilterExpression={"due_at": {"$type": "date"}}, name="due"),
        IndexModel("forget_at", expireAfterSeconds=0, name="forgotten"),
    )

    def __init__(self, database: Database[Document], now: Callable[[], datetime]) -> None:
        """Use a database whose writes are acknowledged by a majority; `now` is its clock."""
        self._rows = database.get_collection(COLLECTION, read_preference=ReadPreference.PRIMARY)
        self._now = now

    def ensure_indexes(self) -> None:
        """Create the indexes that find what is due and forget what was revoked; harmless when they are there."""
        self._rows.create_indexes(list(self.INDEXES))

    def keep(self, later: Later) -> bool:
        """Keep a message; kept again, because its worker died over it, it is the same one.

        Returns:
            False when the task was revoked before it got here.
        """
        row = {name: value for name, value in vars(later).items() if name != "task_id"}
        due = min(later.eta, later.expires) if later.expires else later.eta
        kept = {"$setOnInsert": {**row, "due_at": due, "kept_at": self._now()}}
        found = self._rows.find_one_and_update(
            {"_id": later.task_id}, kept, upsert=True, return_document=ReturnDocument.AFTER
        )
        return found is not None and "revoked_at" not in found

    def revoke(self, task_id: str) -> Later | None:
        """Note that a task was revoked, and return what waited of it, if anything did."""
        now = self._now()
        noted = {"$set": {"revoked_at": now, "forget_at": now + REMEMBERED, "due_at": None, "message": None}}
        before = self._rows.find_one_and_update({"_id": task_id}, noted, upsert=True)
        return _read(before) if before and before.get("due_at") else None

    def due(self, limit: int) -> Iterator[Later]:
        """Give what is due or has expired, the longest waiting first; each is put off for whoever looks next."""
        now = self._now()
        wanted = {"due_at": {"$type": "date", "$lte": now}}
        for row in list(self._rows.find(wanted).sort("due_at", 1).limit(limit)):
            mine = {"_id": row["_id"], "due_at": row["due_at"]}
            if self._rows.update_one(mine, {"$set": {"due_at": now + SENT_FOR}}).modified_count:
                yield _read(row)

    def has_expired(self, later: Later) -> bool:
        """Tell whether a message is not to run any more."""
        return later.expires is not None and later.expires <= self._now()

    def done(self, later: Later) -> None:
        """Forget a message that is in its queue again, or that never will be; a revoked one stays noted."""
        self._rows.delete_one({"_id": later.task_id, "revoked_at": {"$exists": False}})


def _read(row: Document) -> Later:
    return Later(
        row["_id"], row["task"], row["queue"], row["message"], row["eta"], row["expires"], row["ignore_result"]
    )  # fmt: skip
