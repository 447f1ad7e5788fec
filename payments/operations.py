"""The ledger of operations: one row per thing asked of PayTabs, committed before the call is made.

Accepted means a row here. At most one operation per payment is open (a partial unique index); every send has a cart of
its own, at most one send per cart, and that cart is the fence at every later write: who answers for an old cart changes
nothing. `due_at` is when somebody has to look at the row again; the sweep finds rows by it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from bson import ObjectId
from pymongo import IndexModel, ReturnDocument
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.read_preferences import ReadPreference

from payments.database_clock import DatabaseClock
from payments.errors import GuardMissing, OperationConflict
from payments.page_times import ShownPage, end_of
from payments.redacting import same_words

Document = dict[str, Any]

#: How far the sweep pushes a row it has enqueued, so that a lost message is enqueued again soon but not every time.
ENQUEUED_FOR = timedelta(seconds=20)


#: Among so many of the newest operations a reference is looked for that may be asked about.
_LATEST = 100


class Status(StrEnum):
    """How far an operation came."""

    NEW = "new"
    SENDING = "sending"
    PENDING = "pending"
    UNKNOWN = "unknown"
    SUCCEEDED = "succeeded"
    REFUSED = "refused"
    FAILED = "failed"
    REVIEW = "review"


#: How the row of a page ends whose time was over, PayTabs having said that nobody pays it.
PAGE_ENDED = "page_ended"

#: Rows of which nobody knows whether PayTabs executed them.
DOUBTFUL = [Status.UNKNOWN, Status.REVIEW]

#: What leads a payer to a page, whose link nobody here may know any more.
_LEADING = frozenset({"create_page", "create_invoice"})

#: Rows that only a human ends; while one is open its payment takes no other operation.
IN_REVIEW = {"status": Status.REVIEW, "open": True}

#: What keeps a payment's second open operation out, whoever asks at the same moment: without it no money is sent.
ONE_OPEN: Final = IndexModel("payment_id", unique=True, partialFilterExpression={"open": True}, name="one_open")


@dataclass(frozen=True)
class Send:
    """One send of an operation under a cart of its own."""

    cart_id: str
    sent_at: datetime
    retired_at: datetime | None = None


@dataclass(frozen=True)
class Operation:
    """One row of the ledger; times are aware UTC.

    `page_expires_at` and `page_ended_at` are the database's: when the page that the row led to is over, as far as that
    is known, and when it was found to have ended. So is `page_unknown_since`: when PayTabs had not heard of the page
    that the CMS's old code names. `updated_at` is when its end, or its state, was last written. `recalled` is the
    ledger's epoch up to which PayTabs was asked for sends that were forgotten, `nothing` the carts under which it has
    nothing; `forgotten` tells that its last send was found so, and taken over.
    """

    operation_id: str
    payment_id: str
    kind: str
    params: Document
    status: Status
    open: bool
    sends: tuple[Send, ...]
    due_at: datetime | None
    lease_until: datetime | None
    attempts: int
    tran_ref: str | None
    redirect_url: str | None
    error: str | None
    correlation_id: str
    requested_by: str | None
    created_at: datetime
    poll_from: datetime
    invoice_id: int | None = None
    page_expires_at: datetime | None = None
    page_ended_at: datetime | None = None
    page_unknown_since: datetime | None = None
    updated_at: datetime | None = None
    recalled: int = 0
    nothing: frozenset[str] = frozenset()
    forgotten: bool = False

    @property
    def is_page(self) -> bool:
        """Return whether a payer may hold its link: it was answered with one, or the CMS's old code was."""
        held = self.redirect_url is not None or self.kind == "adopt" or (self.forgotten and self.kind in _LEADING)
        return self.open and self.status is Status.PENDING and held

    @property
    def has_ended(self) -> bool:
        """Return whether it is a page that was found to have ended, of which nothing has come since."""
        return self.status is Status.FAILED and self.error == PAGE_ENDED

    def shown(self, now: datetime) -> ShownPage | None:
        """Return what is shown of its page at a moment of the database's clock; None when it has none."""
        if not self.is_page:
            return None
        is_over = self.page_expires_at is not None and now >= self.page_expires_at
        return ShownPage(None if is_over else self.redirect_url, self.page_expires_at, is_over)

    @property
    def cart_id(self) -> str | None:
        """Return the cart of the last send."""
        return self.sends[-1].cart_id if self.sends else None

    @property
    def retired_carts(self) -> tuple[str, ...]:
        """Return the carts that were given up and are only watched."""
        return tuple(send.cart_id for send in self.sends if send.retired_at)


class OperationsLedger:
    """Reads and writes `payment_operations`."""

    #: The one that keeps a payment's second operation out; what is due; and by what else rows are found.
    INDEXES: Final = (
        ONE_OPEN,
        IndexModel([("payment_id", 1), ("created_at", 1)]),
        IndexModel("due_at", partialFilterExpression={"due_at": {"$type": "date"}}, name="due"),
        IndexModel("sends.cart_id", sparse=True),
        IndexModel("acts.id", sparse=True),
        IndexModel("updated_at", partialFilterExpression=IN_REVIEW, name="in_review"),
        IndexModel("created_at"),
        IndexModel("params.card_id", sparse=True, name="card"),
        IndexModel("created_at", partialFilterExpression={"params.title": {"$exists": True}}, name="words"),
    )

    def __init__(
        self, database: Database[Document], *, lease: timedelta, now: Callable[[], datetime] | None = None
    ) -> None:
        """Use a database whose writes are acknowledged by a majority; `now` is its clock, unless a test has another."""
        self.rows = database.get_collection("payment_operations", read_preference=ReadPreference.PRIMARY)
        self.lease = lease
        self.now = now or DatabaseClock(database)

    def ensure_indexes(self) -> None:
        """Create the indexes the promises lean on; harmless when they are there."""
        self.rows.create_indexes(list(self.INDEXES))

    def keeps_one_open(self) -> bool:
        """Tell whether the index is there that keeps a second open operation of a payment out.

        It is looked at anew each time: somebody may have dropped it, with a restore or an import, at any moment.
        """
        wanted = {name: value for name, value in ONE_OPEN.document.items() if name not in ("name", "key")}
        keys = dict(ONE_OPEN.document["key"])
        return any(
            dict(found["key"]) == keys and all(found.get(name) == value for name, value in wanted.items())
            for found in self.rows.list_indexes()
        )

    def get(self, operation_id: str, session: ClientSession | None = None) -> Operation | None:
        """Return one operation."""
        found = self.rows.find_one({"_id": operation_id}, session=session)
        return _read(found) if found else None

    def open_of(self, payment_id: str, session: ClientSession | None = None) -> Operation | None:
        """Return a payment's open operation, if it has one."""
        found = self.rows.find_one({"payment_id": ObjectId(payment_id), "open": True}, session=session)
        return _read(found) if found else None

    def open_pages(self, payment_ids: Sequence[ObjectId]) -> dict[ObjectId, ShownPage | None]:
        """Return what is shown now of the pages that the open operations of some payments lead to."""
        wanted = {"payment_id": {"$in": list(payment_ids)}, "open": True}
        found = self.rows.find(wanted) if payment_ids else ()
        return {row["payment_id"]: _read(row).shown(self.now()) for row in found}

    def of_payment(self, payment_id: str, session: ClientSession | None = None) -> list[Operation]:
        """Return all operations of a payment, oldest first."""
        found = self.rows.find({"payment_id": ObjectId(payment_id)}, session=session).sort("created_at", 1)
        return [_read(row) for row in found]

    def instalments(self, card_id: str, session: ClientSession | None = None) -> list[Operation]:
        """Return the charges of a card that were accepted as instalments of its agreement."""
        counted = {"params.card_id": card_id, "params.counter": {"$exists": True}}
        return [_read(row) for row in self.rows.find(counted, session=session)]

    def note_unexplained(self, row: Operation, code: int) -> None:
        """Note with which code PayTabs refused an operation that is in doubt since."""
        self.rows.update_one({"_id": row.operation_id}, {"$set": {"unexplained": code}})

    def unexplained(self, kind: str) -> list[str]:
        """Return operations of a kind that are in doubt over such a refusal, the first few."""
        in_doubt = {"open": True, "kind": kind, "unexplained": {"$exists": True}, "status": {"$in": DOUBTFUL}}
        return [str(row["_id"]) for row in self.rows.find(in_doubt, {"_id": 1}).limit(10)]

    def last_attempt_of(self, payment_id: str) -> Operation | None:
        """Return the last page, charge or invoice of a payment, if there was one."""
        attempts = {"payment_id": ObjectId(payment_id), "params.on": {"$exists": False}}
        found = self.rows.find_one(attempts, sort=[("created_at", -1)])
        return _read(found) if found else None

    def payments_in_review(self) -> list[str]:
        """Return the payments that an operation in review keeps others out of, the longest standing first."""
        found = self.rows.find(IN_REVIEW, {"payment_id": 1}).sort("updated_at", 1)
        return [str(row["payment_id"]) for row in found]

    def latest_tran_ref(self) -> str | None:
        """Return a reference that PayTabs has given lately, if one of the last operations has one."""
        latest = self.rows.find({}, {"result.tran_ref": 1}).sort("created_at", -1).limit(_LATEST)
        return next((row["result"]["tran_ref"] for row in latest if row["result"]["tran_ref"]), None)

    def in_doubt(self, kind: str) -> Iterator[Operation]:
        """Give the operations of a kind of which nobody knows whether PayTabs executed them; each is due some time."""
        wanted = {"due_at": {"$type": "date"}, "status": Status.UNKNOWN, "kind": kind}
        yield from map(_read, self.rows.find(wanted))

    def by_cart(self, cart_id: str) -> Operation | None:
        """Return the operation that was sent under a cart."""
        found = self.rows.find_one({"sends.cart_id": cart_id})
        return _read(found) if found else None

    def accept(self, row: Operation, session: ClientSession) -> None:
        """Insert a row.

        Raises:
            DuplicateKeyError: the id is taken or another operation of the payment is open; the transaction is lost.
            GuardMissing: nothing would keep a second one out.
        """
        if not self.keeps_one_open():
            raise GuardMissing(ONE_OPEN.document["name"])
        self.rows.insert_one(_write(row), session=session)

    def start(self, row: Operation, cart_id: str, owner: str, now: datetime, session: ClientSession) -> bool:
        """Mark a `new` row as being sent under a fresh cart; False when it is not `new` any more.

        A token to charge stands in the row until then only: who sends has it, and nobody else needs it.
        """
        result = self.rows.update_one(
            {"_id": row.operation_id, "status": Status.NEW},
            {
                "$set": {
                    "status": Status.SENDING, "lease": {"owner": owner, "until": now + self.lease},
                    "due_at": now + self.lease, "poll_from": now, "updated_at": now,
                },
                "$push": {"sends": {"cart_id": cart_id, "sent_at": now, "retired_at": None}},
                "$inc": {"attempts": 1},
                "$unset": {"params.secret": ""},
            },
            session=session,
        )  # fmt: skip
        return result.modified_count == 1

    def note_nothing(self, row: Operation, cart_id: str) -> None:
        """Note that PayTabs has nothing under a cart that a forgotten send may have had."""
        self.rows.update_one({"_id": row.operation_id}, {"$addToSet": {"recall.nothing": cart_id}})

    def note_recalled(self, row: Operation, epoch: int) -> None:
        """Note that no send of a row is forgotten that was made before an epoch of the ledger."""
        done = {"$set": {"recall.epoch": epoch}, "$unset": {"recall.nothing": True}}
        self.rows.update_one({"_id": row.operation_id}, done)

    def take_over(self, row: Operation, carts: Sequence[Send], changes: Document, session: ClientSession) -> bool:
        """Add sends that were forgotten to a row that was not sent since it was read; False when it was."""
        result = self.rows.update_one(
            {"_id": row.operation_id, "status": row.status, "sends": {"$size": len(row.sends)}},
            {
                "$push": {"sends": {"$each": [send.__dict__ for send in carts]}},
                "$set": {**changes, "recall.forgotten": True, "lease": None},
                "$unset": {"params.secret": "", "recall.nothing": ""},
            },
            session=session,
        )
        return result.modified_count == 1

    def settle(self, row: Operation, cart_id: str, now: datetime, changes: Document, session: ClientSession) -> bool:
        """Write how a send ended, fenced by its cart; False when the row has moved on without this send."""
        result = self.rows.update_one(
            {
                "_id": row.operation_id,
                "status": {"$in": [Status.SENDING, Status.UNKNOWN]},
                "$expr": {"$eq": [{"$last": "$sends.cart_id"}, cart_id]},
            },
            {"$set": {**changes, "lease": None, "updated_at": now}},
            session=session,
        )
        return result.modified_count == 1

    def retire(self, row: Operation, cart_id: str, now: datetime, session: ClientSession) -> bool:
        """Give a cart up and make the row ready to be sent under another one; the old cart stays watched."""
        result = self.rows.update_one(
            {"_id": row.operation_id, "status": {"$in": [Status.SENDING, Status.UNKNOWN]}, "sends.cart_id": cart_id},
            {
                "$set": {
                    "sends.$.retired_at": now, "status": Status.NEW, "lease": None, "due_at": now, "updated_at": now,
                }
            },
            session=session,
        )  # fmt: skip
        return result.modified_count == 1

    def give_up(self, row: Operation, error: str, now: datetime, session: ClientSession) -> None:
        """Close an operation in doubt by a human's word; its last cart stays watched. The session has read the row."""
        carts = [*row.sends[:-1], *(replace(send, retired_at=now) for send in row.sends[-1:])]
        changes = {
            "status": Status.FAILED, "open": False, "lease": None, "error": error, "updated_at": now,
            "sends": [send.__dict__ for send in carts], "poll_from": now,
        }  # fmt: skip
        self.rows.update_one({"_id": row.operation_id}, {"$set": changes}, session=session)

    def end_waiting(self, row: Operation, changes: Document, now: datetime, session: ClientSession) -> bool:
        """End a row that waits to be sent again; False when it has been sent since, or has ended."""
        result = self.rows.update_one(
            {
                "_id": row.operation_id,
                "status": Status.NEW,
                "$expr": {"$eq": [{"$last": "$sends.cart_id"}, row.cart_id]},
            },
            {"$set": {**changes, "lease": None, "updated_at": now}, "$unset": {"params.secret": ""}},
            session=session,
        )
        return result.modified_count == 1

    def note_waiting(self, row: Operation, why: str) -> None:
        """Note why a row waits to be sent again; nothing when it has been sent since, or has ended."""
        last = {"$expr": {"$eq": [{"$last": "$sends.cart_id"}, row.cart_id]}}
        self.rows.update_one({"_id": row.operation_id, "status": Status.NEW, **last}, {"$set": {"error": why}})

    def withdraw(self, row: Operation, changes: Document, now: datetime, session: ClientSession) -> None:
        """Close a row that must not be sent any more; nothing when it is not `new` any more."""
        unsent = {"_id": row.operation_id, "status": Status.NEW}
        written = {"$set": {**changes, "updated_at": now}, "$unset": {"params.secret": ""}}
        self.rows.update_one(unsent, written, session=session)

    def follow(self, row: Operation, changes: Document, session: ClientSession) -> None:
        """Set the end, or the state, that a row's payment has come to; the session has read the row."""
        self.rows.update_one({"_id": row.operation_id}, {"$set": changes}, session=session)

    def reschedule(self, row: Operation, due_at: datetime | None, *, poll_from: datetime | None = None) -> None:
        """Set when to look again, and where the ladder begins; nothing when the row has moved on since it was read."""
        self.rows.update_one(
            {"_id": row.operation_id, "status": row.status, "open": row.open, "sends": {"$size": len(row.sends)}},
            {"$set": {"due_at": due_at, "poll_from": poll_from or row.poll_from}},
        )

    def claim_due(self, now: datetime, limit: int) -> list[Operation]:
        """Return rows that are due and push them forward, so that one row is enqueued once per interval."""
        claimed: list[Operation] = []
        while len(claimed) < limit:
            found = self.rows.find_one_and_update(
                due_by(now),
                {"$set": {"due_at": now + ENQUEUED_FOR}},
                sort=[("due_at", 1)],
                return_document=ReturnDocument.BEFORE,
            )
            if found is None:
                break
            claimed.append(_read(found))
        return claimed


def due_by(now: datetime) -> Document:
    """Return the query for rows that are due; without the type the planner would not use the partial index."""
    return {"due_at": {"$type": "date", "$lte": now}}


def check_same(row: Operation, kind: str, payment_id: str, params: Document) -> None:
    """Check that an operation id is not used again for something else.

    Raises:
        OperationConflict: the first difference, named.
    """
    asked = {"kind": kind, "payment_id": payment_id, **params}
    stands = {"kind": row.kind, "payment_id": row.payment_id, **row.params}
    for name in sorted(asked.keys() | stands.keys()):
        if not same_words(asked.get(name), stands.get(name)):
            raise OperationConflict(name, f"{stands.get(name)!r}, as operation {row.operation_id} was first asked")


def _write(row: Operation) -> Document:
    return {
        "_id": row.operation_id, "payment_id": ObjectId(row.payment_id), "kind": row.kind, "params": row.params,
        "status": row.status, "open": row.open, "sends": [send.__dict__ for send in row.sends], "due_at": row.due_at,
        "lease": None, "attempts": row.attempts, "result": {"tran_ref": row.tran_ref, "redirect_url": row.redirect_url},
        "error": row.error, "correlation_id": row.correlation_id, "requested_by": row.requested_by,
        "created_at": row.created_at, "updated_at": row.created_at, "poll_from": row.poll_from,
        **({"page": _page(row)} if row.page_expires_at else {}),
    }  # fmt: skip


def _page(row: Operation) -> Document:
    unknown = {"unknown_since": row.page_unknown_since} if row.page_unknown_since else {}
    return page_member(row.cart_id, row.page_expires_at) | unknown


def page_member(cart_id: str | None, expires_at: datetime | None) -> Document:
    """Return what a row keeps of the page that one of its sends was answered with."""
    return {"cart_id": cart_id, "expires_at": expires_at}


def _page_end(found: Document) -> datetime | None:
    """Return when the page of a row's last send is over; of a row that an earlier version wrote, as it was sent."""
    page, sends = found.get("page") or {}, found["sends"]
    if "expires_at" in page and page["cart_id"] == (sends[-1]["cart_id"] if sends else None):
        end: datetime | None = page["expires_at"]
        return end
    # That version told PayTabs nothing about how long the page was to live.
    params = {name: value for name, value in found["params"].items() if name != "paypage_ttl"}
    return end_of(found["kind"], params, sends[-1]["sent_at"] if sends else found["created_at"])


def _read(found: Document) -> Operation:
    sends: Sequence[Document] = found["sends"]
    return Operation(
        operation_id=found["_id"],
        payment_id=str(found["payment_id"]),
        kind=found["kind"],
        params=found["params"],
        status=Status(found["status"]),
        open=found["open"],
        sends=tuple(Send(one["cart_id"], one["sent_at"], one["retired_at"]) for one in sends),
        due_at=found["due_at"],
        lease_until=(found["lease"] or {}).get("until"),
        attempts=found["attempts"],
        tran_ref=found["result"]["tran_ref"],
        redirect_url=found["result"]["redirect_url"],
        error=found["error"],
        correlation_id=found["correlation_id"],
        requested_by=found["requested_by"],
        created_at=found["created_at"],
        poll_from=found["poll_from"],
        invoice_id=found["result"].get("invoice_id"),
        page_expires_at=_page_end(found),
        page_ended_at=(found.get("page") or {}).get("ended_at"),
        page_unknown_since=(found.get("page") or {}).get("unknown_since"),
        updated_at=found["updated_at"],
        recalled=found.get("recall", {}).get("epoch", 0),
        nothing=frozenset(found.get("recall", {}).get("nothing", ())),
        forgotten=found.get("recall", {}).get("forgotten", False),
    )
