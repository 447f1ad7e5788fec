"""The inbox: what PayTabs sent and signed, kept before it is acknowledged and worked off afterwards.

Decided here: a delivery is its raw body (the key is the body's hash), so a repeat is counted, never stored or applied
twice; a write whose fate is unknown is no write; a worker owns a delivery for a lease and every later write of it is
checked against the fence that it was given.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import pymongo
from bson import Binary
from pymongo import ASCENDING, IndexModel, ReturnDocument, WriteConcern
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError, PyMongoError

from payments.database_clock import DatabaseClock
from payments.delivery import POSTPONE_SECONDS, Delivery, Recorded, delivery_of, harmless
from payments.errors import DeliveryLost, InboxUnavailable
from payments.server_clock import own_time
from payments.token_cut import has_token, without_token

__all__ = ["COLLECTION", "POSTPONE_SECONDS", "Delivery", "Inbox", "Kept", "Recorded"]

Document = dict[str, Any]

#: The collection that deliveries are kept in.
COLLECTION = "webhook_inbox"


class Kept(StrEnum):
    """What has become of the card's token in a body: nothing of it is left, or it waits for a key; see `token_cut`."""

    CUT = "cut"
    WAITING = "waiting"


#: Seconds after which the sweep asks again for a delivery that nobody took.
UNCLAIMED_SECONDS = 10

#: Seconds for which the sweep leaves a delivery alone that it has just handed out.
SWEPT_SECONDS = 20


class Inbox:
    """Keeps deliveries in one collection, whose writes wait for a majority's journal."""

    #: The sweep's query: what is open, longest due first; what was told of a payment; what retention has not redacted
    #: yet, oldest first; and what may still hold a card's token.
    INDEXES: Final = (
        IndexModel([("status", ASCENDING), ("sweep_at", ASCENDING)], name="status_sweep_at"),
        IndexModel([("result.payment_id", ASCENDING)], name="result_payment_id", sparse=True),
        IndexModel([("redacted_at", ASCENDING), ("received_at", ASCENDING)], name="redacted_at_received_at"),
        IndexModel([("token", ASCENDING), ("status", ASCENDING)], name="token_status"),
    )

    def __init__(
        self,
        collection: Collection[Document],
        *,
        clock: Callable[[], datetime] | None = None,
        lease_seconds: float = 30,
    ) -> None:
        """Use a collection; `clock` takes the place of its database's, which may be silent while it stores."""
        wtimeout = collection.write_concern.document.get("wtimeout")
        self._rows = collection.with_options(write_concern=WriteConcern("majority", wtimeout=wtimeout, j=True))
        self._clock = clock or DatabaseClock(collection.database, otherwise=own_time)
        self._lease = timedelta(seconds=lease_seconds)

    def ensure_indexes(self) -> None:
        """Create the collection's indexes where they are missing."""
        self._rows.create_indexes(list(self.INDEXES))

    def record(self, body: bytes, headers: Mapping[str, str], *, correlation_id: str) -> Recorded:
        """Store a verified delivery, or count it once more.

        Args:
            body: The raw body, as it was signed.
            headers: The request's headers; only harmless ones are kept.
            correlation_id: The id under which this delivery is followed from here on.

        Raises:
            InboxUnavailable: It may or may not be stored: the sender must deliver again.
        """
        with self._one_deadline():
            fresh = self._fresh_row(body, headers, correlation_id)
            recorded = self._upsert(fresh)
            if not recorded.is_new:
                self._reconsider(fresh)
        return recorded

    def record_rejected(self, body: bytes, headers: Mapping[str, str], *, reason: str, correlation_id: str) -> Recorded:
        """Store for operators a delivery that is signed but cannot be read; it is never worked off.

        Raises:
            InboxUnavailable: As for record.
        """
        with self._one_deadline():
            fresh = self._fresh_row(body, headers, correlation_id)
            return self._upsert({**fresh, "status": "rejected", "reason": reason, **_kept(body, Kept.CUT)})

    def claim(self, delivery_id: str, owner: str) -> Delivery | None:
        """Take a delivery that is due, or that its last owner let go of by not finishing in time.

        Returns:
            The delivery, or None when it is unknown, done, rejected, not due yet or held by another.
        """
        now = self._clock()
        until = now + self._lease
        row = self._rows.find_one_and_update(
            {
                "_id": delivery_id,
                "$or": [
                    {"status": "received", "due_at": {"$lte": now}},
                    {"status": "processing", "lease_until": {"$lte": now}},
                ],
            },
            {
                "$set": {"status": "processing", "owner": owner, "lease_until": until, "sweep_at": until},
                "$inc": {"fence": 1, "attempts": 1},
            },
            return_document=ReturnDocument.AFTER,
        )
        return None if row is None else delivery_of(row)

    def finish(
        self,
        delivery: Delivery,
        result: Mapping[str, Any],
        *,
        token: Kept = Kept.CUT,
        session: ClientSession | None = None,
    ) -> None:
        """Mark a delivery as done; a card's token is taken out of its body, unless that still waits for a key.

        Args:
            delivery: What claim returned.
            result: What became of it, for operators.
            token: What is to become of the token in its body.
            session: A session in a transaction, to finish together with the effect.

        Raises:
            DeliveryLost: Another worker has taken it over.
        """
        done = {"status": "done", "done_at": self._clock(), "result": dict(result), **_kept(delivery.body, token)}
        self._let_go(delivery, {"$set": done}, session)

    def postpone(self, delivery: Delivery, delay_seconds: float, reason: str, *, counts: bool = True) -> None:
        """Put a delivery back, due after ``delay_seconds``.

        Args:
            delivery: What claim returned.
            delay_seconds: How long nobody needs to look at it.
            reason: Why, in a short machine word.
            counts: Whether this was a wait for PayTabs' query; our own troubles do not spend that patience.

        Raises:
            DeliveryLost: Another worker has taken it over.
        """
        due_at = self._clock() + timedelta(seconds=delay_seconds)
        back = {"status": "received", "due_at": due_at, "sweep_at": due_at, "reason": reason}
        self._let_go(delivery, {"$set": back, "$inc": {"postponements": int(counts)}}, None)

    def due(self, limit: int = 100) -> list[str]:
        """Return the ids of deliveries that nobody works on although somebody should, longest due first.

        Each is left alone for a while after it was returned, also by another sweep that runs at the same moment.
        """
        now = self._clock()
        open_rows = {"status": {"$in": ["received", "processing"]}, "sweep_at": {"$lte": now}}
        found = list(self._rows.find(open_rows, {"sweep_at": True}).sort("sweep_at", ASCENDING).limit(limit))
        later = {"$set": {"sweep_at": now + timedelta(seconds=SWEPT_SECONDS)}}
        return [
            str(row["_id"])
            for row in found
            if self._rows.update_one({"_id": row["_id"], "sweep_at": row["sweep_at"]}, later).modified_count
        ]

    def waits_over(self, reason: str) -> bool:
        """Tell whether a delivery that is not done was last put back for a reason."""
        open_rows = {"status": {"$in": ["received", "processing"]}, "reason": reason}
        return self._rows.find_one(open_rows, {"_id": True}) is not None

    def with_tokens(self, limit: int, *, waiting: bool) -> Iterator[tuple[str, bytes, str | None]]:
        """Give applied deliveries whose body may hold a card's token, each with its payment.

        Args:
            limit: How many at most.
            waiting: Whether those count whose token is known to wait for a key.
        """
        looked_for = [None, Kept.WAITING] if waiting else [None]
        wanted = {"token": {"$in": looked_for}, "status": {"$in": ["done", "rejected"]}}
        for row in list(self._rows.find(wanted, {"body": 1, "result.payment_id": 1}).limit(limit)):
            yield row["_id"], bytes(row["body"]), (row.get("result") or {}).get("payment_id")

    def cut(self, delivery_id: str, token: Kept) -> None:
        """Take a card's token out of an applied delivery's body, or note that it waits for a key."""
        settled = {"_id": delivery_id, "status": {"$in": ["done", "rejected"]}}
        row = self._rows.find_one(settled, {"body": 1})
        if row is not None:
            changes = _kept(bytes(row["body"]), token)
            self._rows.update_one({**settled, "body": row["body"]}, {"$set": changes})

    def _fresh_row(self, body: bytes, headers: Mapping[str, str], correlation_id: str) -> Document:
        now = self._clock()
        return {
            "_id": hashlib.sha256(body).hexdigest(),
            "body": Binary(body),
            "headers": harmless(headers),
            "received_at": now,
            "status": "received",
            "due_at": now,
            "sweep_at": now + timedelta(seconds=UNCLAIMED_SECONDS),
            "attempts": 0,
            "postponements": 0,
            "fence": 0,
            "correlation_id": correlation_id,
        }

    def _upsert(self, fresh: Document) -> Recorded:
        delivery_id = fresh["_id"]
        change = {"$setOnInsert": fresh, "$inc": {"seen": 1}}
        try:
            with self._one_deadline():
                try:
                    result = self._rows.update_one({"_id": delivery_id}, change, upsert=True)
                except DuplicateKeyError:
                    # Another process stored it at this moment. PyMongo reports this error in place of a write concern
                    # error, so it does not prove that a majority has the row; the second, an update, does.
                    result = self._rows.update_one({"_id": delivery_id}, change, upsert=True)
        except PyMongoError as error:
            raise InboxUnavailable(delivery_id, type(error).__name__) from error
        return Recorded(delivery_id, is_new=result.upserted_id is not None)

    def _one_deadline(self) -> AbstractContextManager[None]:
        """Give all that one delivery asks of the database one deadline: the sender waits for the sum."""
        seconds = self._rows.database.client.options.timeout
        return nullcontext() if seconds is None else pymongo.timeout(seconds)

    def _reconsider(self, fresh: Document) -> None:
        """Open a row again that an earlier version could not read and this one can, its body as it came."""
        delivery_id = fresh["_id"]
        opened = {name: fresh[name] for name in ("status", "due_at", "sweep_at", "body", "headers")}
        try:
            self._rows.update_one(
                {"_id": delivery_id, "status": "rejected"},
                {"$set": opened, "$unset": {"redacted_at": "", "token": "", "was_cut": ""}},
            )
        except PyMongoError as error:
            raise InboxUnavailable(delivery_id, type(error).__name__) from error

    def _let_go(self, delivery: Delivery, change: Document, session: ClientSession | None) -> None:
        held = {"_id": delivery.delivery_id, "status": "processing", "fence": delivery.fence}
        released = {**change, "$unset": {"owner": "", "lease_until": ""}}
        if not self._rows.update_one(held, released, session=session).matched_count:
            raise DeliveryLost(delivery.delivery_id, delivery.fence)


def _kept(body: bytes, token: Kept) -> Document:
    """Return the changes to a row after which its body holds a card's token only if that waits."""
    if token is Kept.WAITING:
        return {"token": token}
    if not has_token(body):
        return {"token": Kept.CUT}
    return {"token": Kept.CUT, "body": Binary(without_token(body)), "was_cut": True}
