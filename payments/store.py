"""The only writer of `payment_events`: one transaction holds the facts, the operation rows and the CMS's fields.

Writers of one payment race for its next version; the loser reads again and decides again. What must happen together
with the facts registers as a companion and runs in the same transaction.

A writer that tries again reads only what has been added since: on a busy payment it would lose race after race over
reading the whole history each time. What the process remembers of a payment need not be read at all: see `remembered`.
"""

import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, Protocol, TypeVar, runtime_checkable

import pymongo
from bson import ObjectId
from pymongo import IndexModel, MongoClient
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import BulkWriteError, DuplicateKeyError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from payments import events
from payments.assessment import Assessment, assess
from payments.beginnings import began, decided, operation_of
from payments.cms_compare import Standing
from payments.errors import PaymentsError, StreamContended
from payments.events import Context, Event
from payments.facts import Fact
from payments.milestones import milestone
from payments.operations import Operation
from payments.payment import Payment, fold
from payments.remembered import NOTHING, Known, Reading, Remembered
from paytabs.transactions import Transaction

Document = dict[str, Any]
Clock = Callable[[], datetime]
T = TypeVar("T")

#: How often a writer that lost a race decides again before it reports contention.
MAX_RACES = 60

#: The longest pause between two races; waits are jittered so that losers do not meet again.
RACE_PAUSE_SECONDS = 0.05


#: MongoDB's code for a key that is taken.
DUPLICATE_KEY = 11_000

#: How every transaction reads and is acknowledged.
_SNAPSHOT, _MAJORITY = ReadConcern("snapshot"), WriteConcern("majority", j=True)


class NothingToProve(Exception):
    """Raised to end a transaction that was decided upon what is only remembered and that appends nothing."""


class Change:
    """One payment under change inside one transaction: what is known, and what is being added."""

    def __init__(self, payment_id: str, known: Known, now: datetime, session: ClientSession) -> None:
        """Start from a payment's stored history."""
        self.payment_id = payment_id
        self.now = now
        self.history = list(known.history)
        self.new_facts: list[Fact] = []
        #: The events that this change adds, known once its facts are.
        self.appended: list[Event] = []
        #: What is told to others once the transaction has committed; forgotten when it has not.
        self.after_commit: list[Callable[[], None]] = []
        #: Cards that PayTabs has told of, by their ids, with the transactions that hold their tokens; never stored so.
        self.cards_seen: list[tuple[str, Transaction]] = []
        self.payment: Payment = known.payment
        self.before: Assessment = known.verdict
        #: Whether somebody has asked for the session, and may have written with it.
        self.session_lent = False
        #: The payment's operations as they stand after this change, once a companion has read them.
        self.rows: Sequence[Operation] | None = None
        #: The CMS's document as it was found and what stood there before, once somebody has looked.
        self.standing: Standing | None = None
        #: Whether the document is to be written although nothing has happened: somebody else has written there, or what
        #: had happened before never got there.
        self.rewrite = False
        #: Whether somebody has looked for the document and there is none.
        self.missing = False
        self._session = session
        self._after, self._judged = self.before, self.payment
        self._looks: list[Callable[[Change, ClientSession], None]] = []

    @property
    def known(self) -> Known:
        """Return what is known of the payment once this change is committed."""
        return Known((*self.history, *self.appended), self.payment, self.after)

    @property
    def session(self) -> ClientSession:
        """Return the transaction's session, for whatever is to be read or written in it."""
        self.session_lent = True
        return self._session

    def look(self) -> None:
        """Look at the CMS's document, once, and record what it gives rise to."""
        looks, self._looks = self._looks, []
        for one in looks:
            one(self, self._session)

    def watched_by(self, looks: Sequence["Preparing"]) -> None:
        """Say who looks at the CMS's document."""
        self._looks = [one.prepare for one in looks]

    @property
    def after(self) -> Assessment:
        """Return the verdict with the new facts counted."""
        if self._judged is not self.payment:
            self._after, self._judged = assess(self.payment), self.payment
        return self._after

    def record(self, *new: Fact) -> None:
        """Add facts; an observation or claim that is already known adds nothing."""
        for fact in new:
            grown = fold([fact], self.payment)
            if grown != self.payment:
                self.payment = grown
                self.new_facts.append(fact)


class Companion(Protocol):
    """What runs in the transaction of every change, after the facts are known."""

    def __call__(self, change: Change, version: int) -> None:
        """Write what belongs to the change; `version` is the stream's after it."""


@runtime_checkable
class Preparing(Protocol):
    """A companion that looks at what there is before the facts are known, and may add some."""

    def prepare(self, change: Change, session: ClientSession) -> None:
        """Look, and record what follows."""


class PaymentStore:
    """Loads payments and changes them."""

    #: Versions are unique; what names a transaction; and what was recorded within a span of time, in one order: seals
    #: and whoever verifies them read by it.
    INDEXES: Final = (
        IndexModel([("payment_id", 1), ("version", 1)], unique=True),
        IndexModel("data.tran_ref", sparse=True),
        IndexModel([("recorded_at", 1), ("payment_id", 1), ("version", 1)], name="recorded"),
    )

    def __init__(
        self,
        client: MongoClient[Document],
        database: Database[Document],
        *,
        clock: Clock,
        companions: Sequence[Companion] = (),
    ) -> None:
        """Use a client whose writes are acknowledged by a majority."""
        self._client = client
        self._clock = clock
        self._remembered = Remembered()
        self._companions = tuple(companions)
        self.events = database.get_collection("payment_events", read_preference=ReadPreference.PRIMARY)

    def ensure_indexes(self) -> None:
        """Create the index that makes versions unique and those that are read by; harmless when they are there."""
        self.events.create_indexes(list(self.INDEXES))

    def load(self, payment_id: str, session: ClientSession | None = None) -> list[Event]:
        """Return a payment's history in order; empty when we never had to do with it."""
        query = {"payment_id": ObjectId(payment_id)}
        return [events.from_document(found) for found in self.events.find(query, session=session).sort("version", 1)]

    def payment(self, payment_id: str) -> Payment:
        """Return what is known of a payment, not yet judged."""
        return fold(event.fact for event in self.load(payment_id))

    def event(self, event_id: str) -> Event | None:
        """Return one event by its id."""
        found = self.events.find_one({"_id": event_id})
        return events.from_document(found) if found else None

    def find_by_tran_ref(self, tran_ref: str) -> str | None:
        """Return the id of the payment in whose history a transaction reference stands."""
        found = self.events.find_one({"data.tran_ref": tran_ref}, {"payment_id": 1})
        return str(found["payment_id"]) if found else None

    def change(self, payment_id: str, context: Context, work: Callable[[Change], T]) -> T:
        """Run `work` on a payment and commit what it recorded, together with every companion's writes.

        Args:
            payment_id: 24 hexadecimal digits.
            context: who asked; stored with every new event.
            work: decides and records; it may run several times and must only write through the change's session.

        Returns:
            What `work` returned in the run that was committed.

        Raises:
            StreamContended: other writers won every race.
        """
        reading = Reading(self._remembered.take(payment_id))
        if not reading.due:
            with suppress(DuplicateKeyError, PaymentsError, NothingToProve):
                return self._transaction(payment_id, context, work, reading)
        for _ in range(MAX_RACES):
            with suppress(DuplicateKeyError):
                return self._transaction(payment_id, context, work, reading)
            time.sleep(random.uniform(0, RACE_PAUSE_SECONDS))  # noqa: S311 - jitter, not a secret
        raise StreamContended(payment_id)

    def _transaction(self, payment_id: str, context: Context, work: Callable[[Change], T], reading: Reading) -> T:
        def body(session: ClientSession) -> tuple[T, Change]:
            unread, reading.due = not reading.due, True
            if unread:
                self._require_there(payment_id, reading.known, session)
            else:
                reading.known = self._caught_up(payment_id, reading.known, session)
            change = Change(payment_id, reading.known, self._clock(), session)
            change.watched_by([one for one in self._companions if isinstance(one, Preparing)])
            result = work(change)
            if change.new_facts:
                change.look()
            if unread and not change.new_facts:
                raise NothingToProve
            version = self._append(change, context, session)
            for companion in self._companions:
                companion(change, version)
            return result, change

        # Without an end of its own, a transaction is tried for two minutes: longer than any task may run.
        with pymongo.timeout(self._client.options.timeout), self._client.start_session() as session:
            result, committed = session.with_transaction(
                body, read_concern=_SNAPSHOT, write_concern=_MAJORITY, read_preference=ReadPreference.PRIMARY
            )
        self._remembered.keep(payment_id, committed.known)
        for tell in committed.after_commit:
            tell()
        return result

    def _require_there(self, payment_id: str, known: Known, session: ClientSession) -> None:
        """Read the last event that is remembered: in a database that was restored meanwhile it is gone.

        Raises:
            NothingToProve: it is.
        """
        last = known.history[-1] if known.history else None
        wanted = {"payment_id": ObjectId(payment_id), "version": last.version if last else 1}
        if last and not self.events.find_one({**wanted, "hash": last.hash}, {"_id": True}, session=session):
            raise NothingToProve

    def _caught_up(self, payment_id: str, known: Known, session: ClientSession) -> Known:
        """Read what has been added to what is known.

        An earlier try of this change may have read what was rolled back since. So the last event that is known is read
        once more: its hash stands for everything before it.
        """
        last = known.history[-1] if known.history else None
        query = {"payment_id": ObjectId(payment_id), "version": {"$gte": last.version if last else 1}}
        found = [events.from_document(one) for one in self.events.find(query, session=session).sort("version", 1)]
        if last and not (found and found[0].hash == last.hash):
            return self._caught_up(payment_id, NOTHING, session)
        return known.plus(found[1:] if last else found)

    def _append(self, change: Change, context: Context, session: ClientSession) -> int:
        previous = change.history[-1] if change.history else None
        chain: list[Event] = []
        for fact, told_under in _contexts(change, context):
            previous = events.seal(change.payment_id, previous, fact, change.now, told_under)
            chain.append(previous)
        change.appended = chain
        self._insert([event.to_document() for event in chain], session)
        return previous.version if previous else 0

    def _insert(self, documents: list[Document], session: ClientSession) -> None:
        """Insert events.

        Raises:
            DuplicateKeyError: the payment has events that were not known.
        """
        if len(documents) == 1:
            self.events.insert_one(documents[0], session=session)
        elif documents:
            try:
                self.events.insert_many(documents, session=session)
            except BulkWriteError as error:
                if any(one["code"] != DUPLICATE_KEY for one in error.details["writeErrors"]):
                    raise  # a validator's word, for example: no race that was lost
                raise DuplicateKeyError(str(error), details=error.details) from error


def _contexts(change: Change, context: Context) -> list[tuple[Fact, Context]]:
    """Return what is to be appended, each with the context that it is stored under.

    A fact carries the id of whoever began the operation it is about, but what a person decides is that person's. A
    milestone is about what the last fact before it is about; where none is about anything of ours, about the
    transaction that decides the state.
    """
    known, payment = began(change.history), change.payment
    found: list[tuple[Fact, str | None]] = [(fact, operation_of(fact, payment)) for fact in change.new_facts]
    about = [operation_id for _, operation_id in found if operation_id]
    reached = milestone(change.before, change.after, payment)
    found += [(fact, about[-1] if about else operation_of(fact, payment)) for fact in reached]
    begun = [(fact, None if decided(fact) else known.get(operation_id or "")) for fact, operation_id in found]
    return [(fact, replace(context, correlation_id=one) if one else context) for fact, one in begun]
