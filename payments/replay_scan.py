"""Stored histories as a stream, each whole, in the order of the index that makes versions unique.

Whole batches are decoded as they arrive, and where a stretch of all payments ends is told by the index alone: a replay
of everything should cost little more than reading everything.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, TypeVar

import bson
from bson import ObjectId
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.read_preferences import ReadPreference

Document = dict[str, Any]
T = TypeVar("T")

#: A payment's stored events in order.
History = Sequence[Document]

#: The order in which events are read.
ORDER = [("payment_id", 1), ("version", 1)]

#: How many events the server gives at once.
BATCH = 1_000

#: How many payments are asked for by their ids at once.
SLICE = 500

#: About how many events a stretch of all payments has.
STRETCH = 4_000


@dataclass(frozen=True)
class Span:
    """A stretch of time, by when events were recorded: from `since` on and before `until`; None has no end."""

    since: datetime | None = None
    until: datetime | None = None

    @property
    def everything(self) -> bool:
        """Return whether there is no event outside."""
        return self.since is None and self.until is None

    def query(self) -> Document:
        """Return the query for its events."""
        ends = {"$gte": self.since, "$lt": self.until}
        within = {name: moment for name, moment in ends.items() if moment is not None}
        return {"recorded_at": within} if within else {}

    def meets(self, history: History) -> bool:
        """Tell whether a history, as it came from the server, has an event inside."""
        since, until = _naive(self.since), _naive(self.until)
        times = (event["recorded_at"] for event in history)
        return any((since is None or since <= time) and (until is None or time < until) for time in times)


class EventScan:
    """Reads `payment_events`."""

    def __init__(self, database: Database[Document]) -> None:
        """Read from the primary: who mends by what he reads must not read what is late."""
        self._events = database.get_collection("payment_events", read_preference=ReadPreference.PRIMARY)

    def queries(self, span: Span, after: ObjectId | None) -> Iterator[Document]:
        """Give queries, each for some whole histories, that together find every payment with an event in a span.

        Args:
            span: When the event was recorded.
            after: The id after which to begin; payments come by ascending id.
        """
        if span.everything:
            return self._stretches(after)
        return (self.query_of(ids) for ids in sliced(self.touched(span, after), SLICE))

    def query_of(self, payment_ids: Sequence[ObjectId]) -> Document:
        """Return the query for the whole histories of some payments."""
        return {"payment_id": {"$in": list(payment_ids)}}

    def histories(self, query: Document) -> Iterator[History]:
        """Give the histories that a query finds, by ascending id of their payments."""
        cursor = self._events.find_raw_batches(query, sort=ORDER, batch_size=BATCH, comment="replay: events")
        with closing(cursor):
            events = (event for batch in cursor for event in decoded(batch))
            for _, history in groupby(events, key=itemgetter("payment_id")):
                yield list(history)

    def touched(self, span: Span, after: ObjectId | None, *, types: Sequence[str] = ()) -> Iterator[ObjectId]:
        """Give the payments with an event in a span, by ascending id, those after one id.

        Args:
            span: When the event was recorded.
            after: The id after which to begin.
            types: The types of events that count; all of them when empty.
        """
        query = span.query()
        query |= {"payment_id": {"$gt": after}} if after else {}
        query |= {"type": {"$in": list(types)}} if types else {}
        steps: list[Document] = [{"$match": query}, {"$group": {"_id": "$payment_id"}}, {"$sort": {"_id": 1}}]
        with self._events.aggregate(steps, allowDiskUse=True, comment="replay: payments") as found:
            for row in found:
                yield row["_id"]

    def history(self, payment_id: ObjectId, session: ClientSession) -> History:
        """Return one payment's history as a transaction sees it."""
        return list(self._events.find({"payment_id": payment_id}, session=session).sort("version", 1))

    def count(self, span: Span) -> int:
        """Return about how many events a span has."""
        if span.everything:
            return self._events.estimated_document_count()
        return self._events.count_documents(span.query())

    def _stretches(self, after: ObjectId | None) -> Iterator[Document]:
        """Cut all payments after one id into stretches of about as many events."""
        while True:
            within: Document = {"$gt": after} if after else {}
            left = self._events.find({"payment_id": within} if within else {}, {"_id": 0, "payment_id": 1})
            end = next(iter(left.sort(ORDER).skip(STRETCH).limit(1)), None)
            if end is None:
                yield {"payment_id": within} if within else {}
                return
            after = end["payment_id"]
            yield {"payment_id": within | {"$lte": after}}


def _naive(moment: datetime | None) -> datetime | None:
    """Return a moment as decoded histories have it."""
    return moment.astimezone(UTC).replace(tzinfo=None) if moment else None


def decoded(batch: Any) -> list[Document]:  # noqa: ANN401 - what the driver's stubs call a document is bytes
    """Return the documents of a batch as it came from the server; their times are naive."""
    return bson.decode_all(batch)


def sliced(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Give items in lists of a size, the last one of what is left."""
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some
