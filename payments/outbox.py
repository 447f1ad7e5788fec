"""The outbox: for every event that something reacts to, one row per handler, committed together with the event.

A row that is not done is work that somebody owes, whatever became of its message: the sweep finds it by `due_at`. That
the rows are written with the event, rather than found missing later, keeps the search as small as what is open.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from pymongo import IndexModel, ReturnDocument
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.read_preferences import ReadPreference

from payments.events import Event
from payments.store import Change
from paytabs.fault_points import fault_point

Document = dict[str, Any]

#: The collection: one row per event and handler.
COLLECTION = "event_deliveries"

#: Who commits an event also sends its messages; the sweep takes a row up when it is not done after so long.
SWEPT_AFTER = timedelta(seconds=10)

#: How far the sweep pushes a row it has enqueued.
ENQUEUED_FOR = timedelta(seconds=20)


#: What a row is when nobody does anything about it any more.
ENDED = ("done", "given_up")


@dataclass(frozen=True)
class Owed:
    """One reaction that a worker has taken on.

    Attributes:
        delivery_id: The row's id, event and handler.
        event_id: The event's id.
        payment_id: Whose event it is.
        handler: The reaction's name.
        attempts: How often it was begun, this time included.
        owed_since: When the event was committed, or when it was decided to have it done once more.
        correlation_id: What everything about it is found under.
        fence: What tells this worker's hold from a later one's.
    """

    delivery_id: str
    event_id: str
    payment_id: str
    handler: str
    attempts: int
    owed_since: datetime
    correlation_id: str
    fence: int


def delivery_id(event_id: str, handler: str) -> str:
    """Return the id of the row of an event and a handler."""
    return f"{event_id}:{handler}"


class Outbox:
    """Reads and writes `event_deliveries`.

    Args:
        database: Whose writes are acknowledged by a majority.
        handlers: The reactions to each type of event, in the order in which they are sent.
        announce: Told each event's id, handler and correlation id once they are committed; says whether it could send
            the message.
        lease: How long a worker holds a row.
        besides: Gives the reactions that a change leads to besides those of its events, from those: they are owed for
            the change's last event.
    """

    #: What is due, what a payment led to, and what a reaction did.
    INDEXES: Final = (
        IndexModel("due_at", partialFilterExpression={"due_at": {"$type": "date"}}, name="due"),
        IndexModel([("payment_id", 1), ("created_at", 1)]),
        IndexModel([("handler", 1), ("created_at", 1)]),
    )

    def __init__(
        self,
        database: Database[Document],
        handlers: Mapping[str, Sequence[str]],
        announce: Callable[[str, str, str], bool],
        *,
        lease: timedelta,
        besides: Callable[[Change, Collection[str]], Sequence[str]] = lambda _change, _owed: (),
    ) -> None:
        self._besides = besides
        self.rows = database.get_collection(COLLECTION, read_preference=ReadPreference.PRIMARY)
        self._handlers, self._announce, self._lease = handlers, announce, lease

    def ensure_indexes(self) -> None:
        """Create the indexes the promises lean on; harmless when they are there."""
        self.rows.create_indexes(list(self.INDEXES))

    def __call__(self, change: Change, version: int) -> None:
        """Write the rows of a change's events into its transaction, and tell of them once it has committed."""
        del version
        pairs = list(self._owed(change.appended))
        if change.appended:
            besides = self._besides(change, {handler for _, handler in pairs})
            pairs += [(change.appended[-1], handler) for handler in besides]
        owed = [self._row(event, handler, change.now) for event, handler in pairs]
        if not owed:
            return
        self.rows.insert_many(owed, session=change.session)
        change.after_commit.append(partial(self._tell, owed))

    def claim(self, event_id: str, handler: str, now: datetime) -> Owed | None:
        """Take a reaction on, unless it is done, in other hands, or waits for its next try.

        One that was given up is taken on as well: who asks for it by name knows that.
        """
        found = self.rows.find_one_and_update(
            {
                "_id": delivery_id(event_id, handler),
                "done_at": None,
                "$and": [
                    {"$or": [{"lease_until": None}, {"lease_until": {"$lte": now}}]},
                    {"$or": [{"attempts": 0}, {"due_at": None}, {"due_at": {"$lte": now + ENQUEUED_FOR}}]},
                ],
            },
            {
                "$set": {"lease_until": now + self._lease, "due_at": now + self._lease, "status": "working"},
                "$inc": {"attempts": 1, "fence": 1},
            },
            return_document=ReturnDocument.AFTER,
        )
        return _read(found) if found else None

    def finish(self, owed: Owed, now: datetime, note: str | None, session: ClientSession | None = None) -> bool:
        """Mark a reaction as done; False when another worker has it by now, who then does it again."""
        done = {"status": "done", "done_at": now, "due_at": None, "lease_until": None, "error": None, "note": note}
        return self._write(owed, done, session)

    def postpone(self, owed: Owed, due_at: datetime, error: str) -> bool:
        """Let go of a reaction that has to be tried again."""
        return self._write(owed, {"status": "waiting", "due_at": due_at, "lease_until": None, "error": error})

    def give_up(self, owed: Owed, error: str) -> bool:
        """Let go of a reaction that is not tried again by itself."""
        return self._write(owed, {"status": "given_up", "due_at": None, "lease_until": None, "error": error})

    def claim_due(self, now: datetime, limit: int) -> Iterator[tuple[str, str, str]]:
        """Give event, handler and correlation id of what is due, pushing each forward so that it is sent once."""
        for _ in range(limit):
            found = self.rows.find_one_and_update(
                {"due_at": {"$type": "date", "$lte": now}},
                {"$set": {"due_at": now + ENQUEUED_FOR}},
                sort=[("due_at", 1)],
            )
            if found is None:
                return
            yield found["event_id"], found["handler"], found["correlation_id"]

    def ended(
        self, handler: str, since: datetime, until: datetime, payment_id: str | None = None
    ) -> list[tuple[str, str]]:
        """List event and correlation id of what was done or given up, of events committed in a span, oldest first.

        Args:
            handler: The reaction's name.
            since: From when on.
            until: Before when.
            payment_id: Of which payment; of all when left out.
        """
        wanted: Document = {
            "handler": handler, "created_at": {"$gte": since, "$lt": until}, "status": {"$in": list(ENDED)},
        }  # fmt: skip
        wanted |= {"payment_id": payment_id} if payment_id else {}
        found = self.rows.find(wanted, {"event_id": 1, "correlation_id": 1}).sort("created_at", 1)
        return [(row["event_id"], row["correlation_id"]) for row in found]

    def owe_again(self, event_id: str, handler: str, now: datetime) -> bool:
        """Have a reaction that is done or given up done once more, on purpose; False when there is no such row.

        It is tried as often and for as long as if its event had been committed now.
        """
        ended = {"_id": delivery_id(event_id, handler), "status": {"$in": list(ENDED)}}
        again = {
            "status": "waiting", "done_at": None, "due_at": now, "lease_until": None, "error": None, "attempts": 0,
            "owed_again_at": now,
        }  # fmt: skip
        return self.rows.update_one(ended, {"$set": again}).matched_count == 1

    def _tell(self, owed: Sequence[Document]) -> None:
        """Announce rows up to the first that cannot be: every further one would wait for the broker too."""
        for row in owed:
            fault_point("outbox_committed", row["handler"])
            if not self._announce(row["event_id"], row["handler"], row["correlation_id"]):
                return

    def _write(self, owed: Owed, changes: Document, session: ClientSession | None = None) -> bool:
        held = {"_id": owed.delivery_id, "fence": owed.fence, "done_at": None}
        return self.rows.update_one(held, {"$set": changes}, session=session).matched_count == 1

    def _owed(self, events: Sequence[Event]) -> Iterator[tuple[Event, str]]:
        for event in events:
            for handler in self._handlers.get(event.type, ()):
                yield event, handler

    def _row(self, event: Event, handler: str, now: datetime) -> Document:
        return {
            "_id": delivery_id(event.event_id, handler), "event_id": event.event_id, "payment_id": event.payment_id,
            "type": event.type, "handler": handler, "correlation_id": event.context.correlation_id, "status": "waiting",
            "created_at": now, "due_at": now + SWEPT_AFTER, "lease_until": None, "attempts": 0, "fence": 0,
            "done_at": None, "error": None, "note": None,
        }  # fmt: skip


def _read(found: Document) -> Owed:
    return Owed(
        delivery_id=found["_id"], event_id=found["event_id"], payment_id=found["payment_id"],
        handler=found["handler"], attempts=found["attempts"], correlation_id=found["correlation_id"],
        owed_since=found.get("owed_again_at") or found["created_at"], fence=found["fence"],
    )  # fmt: skip
