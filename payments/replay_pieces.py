"""What a replay finds, piece by piece, and what a projection has to offer to be replayed."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

import pymongo
from bson import ObjectId
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from payments.operations import OperationsLedger
from payments.replay_scan import Span

Document = dict[str, Any]

#: How long one document may take to be looked at and mended, in seconds: who is changing it goes first.
LOOK_SECONDS = 3.0


class Found(StrEnum):
    """How a document was found to be on a closer look."""

    SAME = "same"
    DIFFERING = "differing"
    MENDED = "mended"
    OUTDATED = "outdated"  # lacks only what earlier versions did not write yet: completed, and nobody's fault
    MISSING = "missing"  # there is no document: none is made
    LEFT = "left"  # somebody else has written there, and a person has to settle it: left alone
    NEWER = "newer"  # it claims to know of more events than there are: left alone
    UNREADABLE = "unreadable"  # an event of a kind that this version does not know: left alone
    BUSY = "busy"  # being changed all the time: looked at again at the end


#: What is nothing to tell, and what is told at the end.
_NOT_COUNTED = frozenset({Found.SAME, Found.BUSY})


@dataclass(frozen=True)
class Difference:
    """One document on a closer look, and each member that differs: what was found, what was expected."""

    payment_id: ObjectId
    document_id: ObjectId
    found: Found
    fields: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Piece:
    """A part of a replay.

    Attributes:
        position: The payment up to which, by ascending id, everything was looked at.
        payments: How many payments were looked at.
        events: How many events they have.
        found: What was looked at more closely.
        once_more: The payments that were asked for by their ids.
    """

    position: ObjectId
    payments: int
    events: int
    found: tuple[Difference, ...]
    once_more: tuple[ObjectId, ...] = ()

    @property
    def counts(self) -> Counter[str]:
        """Return how many payments and events there were, and how many documents were found how."""
        found = Counter(str(one.found) for one in self.found if one.found not in _NOT_COUNTED)
        return found + Counter(payments=self.payments, events=self.events)

    @property
    def differing(self) -> Iterator[Difference]:
        """Give what differed."""
        return (one for one in self.found if one.fields)

    @property
    def busy(self) -> Iterator[ObjectId]:
        """Give the payments that have to be looked at again."""
        return (one.payment_id for one in self.found if one.found is Found.BUSY)


@dataclass(frozen=True)
class Survey:
    """What a survey found: the last payment it came to, how much it looked at, and the payments to look at again."""

    last: ObjectId | None
    payments: int
    events: int
    suspects: tuple[ObjectId, ...]


class Helping(Protocol):
    """Makes surveys for a replay."""

    def surveys(self, queries: Iterable[Document], left_out: Span) -> Iterator[Survey]:
        """Give a survey of the payments that each query finds, in the order of the queries."""


@dataclass(frozen=True)
class ReplayParts:
    """What a projection needs: the CMS's database, written with a majority, the ledger, and aware UTC time.

    Without helpers, surveys are made in this process.
    """

    database: Database[Document]
    ledger: OperationsLedger
    clock: Callable[[], datetime]
    helpers: Helping | None = None


class Projection(Protocol):
    """What is computed from events and can be computed again."""

    def total(self, span: Span) -> int:
        """Return about how many events there are to go through."""

    def pieces(self, span: Span, after: ObjectId | None, *, young: Span, dry_run: bool) -> Iterator[Piece]:
        """Go through every payment with an event in a span, by ascending id, beginning after one id.

        Those with an event in `young` are left for the end: some of theirs may not be committed yet.
        """

    def touched(self, span: Span, after: ObjectId | None) -> Iterator[ObjectId]:
        """Give the payments with an event in a span, by ascending id, those after one id."""

    def again(self, span: Span, payment_ids: Sequence[ObjectId], *, dry_run: bool) -> Piece:
        """Look at some payments, whatever their age, if they have an event in a span."""


def looked_at(parts: ReplayParts, busy: Difference, look: Callable[[ClientSession], Difference]) -> Difference:
    """Look at one document within a snapshot transaction of its own.

    Args:
        parts: Where.
        busy: The answer when others keep changing the document.
        look: Compares and mends within a session; may run several times.
    """
    client = parts.database.client
    try:
        with pymongo.timeout(LOOK_SECONDS), client.start_session() as session:
            return session.with_transaction(
                look,
                read_concern=ReadConcern("snapshot"),
                write_concern=WriteConcern("majority", j=True),
                read_preference=ReadPreference.PRIMARY,
            )
    except PyMongoError as error:
        if error.timeout or error.has_error_label("TransientTransactionError"):
            return busy
        raise


def differing_members(found: Iterable[Difference]) -> Counter[str]:
    """Count how often each member differed."""
    return Counter(name for one in found for name in one.fields)
