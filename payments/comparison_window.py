"""Which payments a comparison looks at: those with an event or a new operation in a stretch of time, oldest first.

They are listed once, into a temporary file: a cursor would not live as long as a run that waits for its turn at
PayTabs, and what the run itself corrects would come up again.
"""

import tempfile
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Self

import pymongo
from bson import ObjectId
from pymongo.database import Database
from pymongo.read_preferences import ReadPreference

Document = dict[str, Any]

#: How long the list may take, in seconds.
LISTING_SECONDS = 120.0

#: The length of a payment's id in the file.
ID_BYTES = 12


def pipeline(since: datetime, until: datetime) -> list[Document]:
    """Return the aggregation over `payment_events` that gives the payments, by the first that happened to each."""
    within = {"$gte": since, "$lt": until}
    operations = [
        {"$match": {"created_at": within}},
        {"$project": {"_id": 0, "payment_id": 1, "at": "$created_at"}},
    ]
    return [
        {"$match": {"recorded_at": within}},
        {"$project": {"_id": 0, "payment_id": 1, "at": "$recorded_at"}},
        {"$unionWith": {"coll": "payment_operations", "pipeline": operations}},
        {"$group": {"_id": "$payment_id", "at": {"$min": "$at"}}},
        {"$sort": {"at": 1, "_id": 1}},
    ]


def payments_within(
    database: Database[Document], since: datetime, until: datetime, besides: Iterable[str] = ()
) -> "Listing":
    """List the payments to which something happened from `since` on and before `until`, then some others."""
    others = {ObjectId(one) for one in besides}
    events = database.get_collection("payment_events", read_preference=ReadPreference.PRIMARY)
    with (
        pymongo.timeout(LISTING_SECONDS),
        events.aggregate(pipeline(since, until), allowDiskUse=True, comment="reconcile: payments") as found,
    ):
        return Listing(_with(found, others))


def _with(found: Iterable[Document], others: set[ObjectId]) -> Iterator[ObjectId]:
    """Give the payments that were found, then those of the others that were not."""
    for row in found:
        others.discard(row["_id"])
        yield row["_id"]
    yield from sorted(others)


class Listing:
    """Payments' ids in a temporary file, which is gone when it is closed."""

    def __init__(self, ids: Iterable[ObjectId]) -> None:
        """Write the ids down."""
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the listing
        self._length = sum(self._file.write(one.binary) for one in ids) // ID_BYTES

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[str]:
        self._file.seek(0)
        while raw := self._file.read(ID_BYTES):
            yield str(ObjectId(raw))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
