"""The indexes of this system's own collections: which should be there, and which are.

They are made when a process starts. One that is dropped afterwards, by a restore or an import, is noticed within half a
minute; `indexes sync` makes it again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from pymongo import IndexModel
from pymongo.database import Database
from pymongo.errors import OperationFailure

from aggregations.index_facts import Existing, from_description
from aggregations.index_refusals import why
from aggregations.index_standing import State
from aggregations.view_marks import Marks
from aggregations.view_members import Members
from aggregations.view_store import ViewStore
from aggregations.views import VIEWS
from observability.alerts import Alerts
from observability.dead_letters import COLLECTION as LETTERS
from observability.dead_letters import DeadLetters
from payments.audit_entries import COLLECTION as ENTRIES
from payments.audit_entries import AuditEntries
from payments.document_marks import COLLECTION as CHANGES
from payments.document_marks import DocumentMarks
from payments.inbox import COLLECTION as INBOX
from payments.inbox import Inbox
from payments.operations import OperationsLedger
from payments.outbox import COLLECTION as OUTBOX
from payments.outbox import Outbox
from payments.owed import COLLECTION as OWED
from payments.owed import OwedDocuments
from payments.seal_store import COLLECTION as SEALS
from payments.seal_store import SealStore
from payments.sent_elsewhere import COLLECTION as FORGOTTEN
from payments.sent_elsewhere import SentElsewhere
from payments.store import PaymentStore
from payments.stored_cards import COLLECTION as CARDS
from payments.stored_cards import CardStore
from tasks.later_rows import COLLECTION as LATER
from tasks.later_rows import LaterRows
from tasks.owed_results import COLLECTION as RESULTS
from tasks.owed_results import OwedResults
from tasks.slots import Slots

Document = dict[str, Any]

#: Answers to a build that another try does not change: no right to, an index of that name or of those keys stands in
#: the way, or documents that break it.
UNBUILDABLE: Final = frozenset({13, 67, 85, 86, 11000})

#: What should be there, by collection.
OWN: Final[Mapping[str, tuple[IndexModel, ...]]] = {
    "payment_events": PaymentStore.INDEXES,
    "payment_operations": OperationsLedger.INDEXES,
    INBOX: Inbox.INDEXES,
    CARDS: CardStore.INDEXES,
    "alerts": Alerts.INDEXES,
    OUTBOX: Outbox.INDEXES,
    CHANGES: DocumentMarks.INDEXES,
    SEALS: SealStore.INDEXES,
    ENTRIES: AuditEntries.INDEXES,
    "schedule_slots": Slots.INDEXES,
    LETTERS: DeadLetters.INDEXES,
    OWED: OwedDocuments.INDEXES,
    LATER: LaterRows.INDEXES,
    FORGOTTEN: SentElsewhere.INDEXES,
    RESULTS: OwedResults.INDEXES,
    "mv_dirty": Marks.INDEXES,
    "mv_members": Members.INDEXES,
    **{view.name: ViewStore.INDEXES for view in VIEWS.values()},
}


#: One of these is there as soon as a process of ours has run in a database; an operator's command alone makes none.
LIVED_IN: Final = frozenset({"payment_events", "payment_operations", INBOX, "schedule_slots"})


@dataclass(frozen=True)
class OwnIndex:
    """One index of a collection of ours, and how it stands.

    Attributes:
        collection: where it is, or should be.
        name: what it is called.
        keys: its fields in order.
        state: present, missing, or differing: its name stands for another one, or it is hidden from reads.
    """

    collection: str
    name: str
    keys: tuple[tuple[str, object], ...]
    state: State

    @property
    def full_name(self) -> str:
        """Return its collection and its name."""
        return f"{self.collection}.{self.name}"


def standing_of(db: Database[Document], collections: Iterable[str] = tuple(OWN)) -> list[OwnIndex]:
    """Return how the indexes of some collections of ours stand at the primary.

    In a database in which no process of ours has ever run, a new one or the wrong one, nothing is missing yet.
    """
    if LIVED_IN.isdisjoint(db.list_collection_names()):
        waiting = [_standing(name, model, []) for name in collections for model in OWN[name]]
        return [replace(one, state=State.NO_COLLECTION) for one in waiting]
    found = []
    for name in collections:
        there = [from_description(name, one) for one in db[name].list_indexes()]
        found += [_standing(name, model, there) for model in OWN[name]]
    return found


def missing(db: Database[Document], collections: Iterable[str] = tuple(OWN)) -> list[OwnIndex]:
    """Return the indexes of our collections that are not there as they should be."""
    return [one for one in standing_of(db, collections) if one.state not in (State.PRESENT, State.NO_COLLECTION)]


def make(db: Database[Document], wanted: Iterable[OwnIndex]) -> dict[str, str]:
    """Build indexes of ours.

    Returns:
        Why one could not be built, by its full name; empty when all are there.
    """
    refused = {}
    for one in wanted:
        models = [model for model in OWN[one.collection] if model.document["name"] == one.name]
        try:
            db[one.collection].create_indexes(models)
        except OperationFailure as error:
            refused[one.full_name] = why(error, one.collection, one.name)
    return refused


def _standing(collection: str, model: IndexModel, there: list[Existing]) -> OwnIndex:
    wanted = from_description(collection, model.document)
    same = [one for one in there if (one.keys, dict(one.options)) == (wanted.keys, dict(wanted.options))]
    named = any(one.name == wanted.name for one in there)
    state = State.PRESENT if same else State.DIFFERING if named else State.MISSING
    return OwnIndex(collection, wanted.name, wanted.keys, state)
