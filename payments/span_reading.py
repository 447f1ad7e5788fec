"""Reading events by when they were recorded: what the next seal covers, and what the seals before have missed."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from pymongo.client_session import ClientSession
from pymongo.collection import Collection

from payments.events import timestamp
from payments.marks import Mark, Span, mark_of
from payments.seals import Seal

Document = dict[str, Any]

#: The order in which events are sealed, and what is read of them.
ORDER = [("recorded_at", 1), ("payment_id", 1), ("version", 1)]
MEMBERS = {"recorded_at": True, "payment_id": True, "version": True, "hash": True}

#: The same, with what tells which operation was sent.
_SENDS = {**MEMBERS, "type": True, "data.operation_id": True}
_SENT = frozenset({"AttemptStarted", "FollowUpStarted"})

#: How many payments one seal names, so that it stays a document of a few megabytes, and how many events it covers; a
#: backlog becomes several seals.
MOST_HEADS, MOST_EVENTS = 20_000, 100_000


def recorded(since: datetime | None, upto: datetime) -> Document:
    """Return the query for events recorded after a moment and up to another."""
    return {"recorded_at": {"$lte": upto} if since is None else {"$gt": since, "$lte": upto}}


class SpanReader:
    """Reads spans of events, all as of one moment.

    Args:
        events: The collection.
        session: A snapshot.
    """

    def __init__(self, events: Collection[Document], session: ClientSession) -> None:
        self._events, self.session = events, session

    def gather(self, previous: Seal | None, horizon: datetime) -> tuple[Span, datetime]:
        """Return the events after a seal and up to a horizon, or to where the next seal is full, and up to when."""
        span, moment = Span(), horizon
        since = datetime.fromisoformat(previous.horizon) if previous else None
        for mark, recorded_at, sent in self._between(since, horizon):
            full = len(span.heads) >= MOST_HEADS or span.count >= MOST_EVENTS
            if full and recorded_at != moment:
                return span, moment
            span.add(mark)
            span.sent.update(sent)
            moment = recorded_at
        return span, horizon

    def late(self, seals: Sequence[Seal], begin: datetime) -> Iterator[Mark]:
        """Give the events after a moment that seals should have covered and did not.

        A payment's events are committed in their order, so that one that came late is newer than the sealed head.

        Args:
            seals: The seals that cover what was recorded since then, newest first.
            begin: The moment.
        """
        covering = [(seal, seal.head_marks) for seal in seals]
        known = {event_id for seal in seals for event_id in seal.late_marks}
        for mark, recorded_at, _ in self._between(begin, datetime.fromisoformat(seals[0].horizon)):
            heads = next((heads for seal, heads in covering if seal.covers(timestamp(recorded_at))), {})
            head = heads.get(mark.payment_id)
            if (head is None or mark.version > head.version) and mark.event_id not in known:
                yield mark

    def _between(self, since: datetime | None, upto: datetime) -> Iterator[tuple[Mark, datetime, list[str]]]:
        found = self._events.find(recorded(since, upto), _SENDS, session=self.session)
        for document in found.sort(ORDER):
            if (mark := mark_of(document)) is not None:
                yield mark, document["recorded_at"], _sent(mark, document)


def _sent(mark: Mark, document: Document) -> list[str]:
    """Return the operation of whose send an event tells, as seals have it."""
    told = document.get("data", {}).get("operation_id") if document.get("type") in _SENT else None
    return [f"{mark.payment_id} {told}"] if told else []
