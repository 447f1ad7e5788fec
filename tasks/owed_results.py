"""Results that could not be stored where callers look for them: kept in MongoDB until they can be.

A row is a result as it would have been stored. It is forgotten when it was stored, or when callers would not have found
it any more. Its payload is compressed: an answer of the largest size that MongoDB gives fits in.
"""

import zlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from pymongo import IndexModel
from pymongo.database import Database

from payments.database_clock import DatabaseClock

Document = dict[str, Any]

#: The collection that results are kept in.
COLLECTION = "results_owed"


class OwedResults:
    """Reads and writes `results_owed`."""

    #: What callers would not find any more.
    INDEXES: Final = (IndexModel("expires_at", expireAfterSeconds=0, name="expires_at_1"),)

    def __init__(self, database: Database[Document]) -> None:
        """Use the database whose callers wait for the results."""
        self.rows = database[COLLECTION]

    def ensure_indexes(self) -> None:
        """Create the collection's index where it is missing."""
        self.rows.create_indexes(list(self.INDEXES))

    def keep(self, task_id: str, state: str, payload: str | bytes, expires_seconds: float) -> None:
        """Keep a result; a later one of the same task takes its place.

        Args:
            task_id: whose result it is.
            state: Celery's word for how the task ended.
            payload: what is to be stored.
            expires_seconds: how long callers find a result.
        """
        now = DatabaseClock(self.rows.database)()
        packed = zlib.compress(payload.encode() if isinstance(payload, str) else payload)
        row = {"state": state, "payload": packed, "at": now, "expires_at": now + timedelta(seconds=expires_seconds)}
        self.rows.replace_one({"_id": task_id}, row, upsert=True)

    def oldest(self, limit: int) -> Iterator[tuple[Document, bytes]]:
        """Give rows with their payloads, oldest first."""
        for row in self.rows.find().sort("at", 1).limit(limit):
            yield row, zlib.decompress(row["payload"])

    def forget(self, row: Document) -> None:
        """Forget a result that was stored, unless another has taken its place since."""
        self.rows.delete_one({"_id": row["_id"], "at": row["at"]})
