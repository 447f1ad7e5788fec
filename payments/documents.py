"""Looking at what the CMS has changed: what a payment's document says that is not ours, and what contracts come to.

Most changes are our own and are told apart in bulk, by what was noted when we wrote.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bson import ObjectId
from pymongo.database import Database
from pymongo.read_preferences import ReadPreference

from payments.cms_rows import READ, CmsRows, Written, gateway_mark, mark
from payments.cms_word import read_id
from payments.contracts import Contracts
from payments.document_marks import CONTRACT, PAYMENT, DocumentMarks, Mark
from payments.errors import StreamContended
from payments.events import Context
from payments.owed import Kind, OwedDocuments
from payments.projections import RaiseAlert
from payments.store import Clock, PaymentStore

Document = dict[str, Any]

#: How many documents one step looks at.
STEP = 200

#: The alert about documents that cannot be looked at; its key is their kind.
FAILS = "cms_document_fails"


@dataclass(frozen=True)
class DocumentParts:
    """What looking needs."""

    database: Database[Document]
    store: PaymentStore
    marks: DocumentMarks
    contracts: Contracts
    clock: Clock
    alert: RaiseAlert
    owed: OwedDocuments


class Documents:
    """Looks at documents."""

    def __init__(self, parts: DocumentParts) -> None:
        """Keep what looking needs."""
        self._parts, self._rows = parts, CmsRows(parts.database)
        self._payments = parts.database.get_collection("payments", read_preference=ReadPreference.PRIMARY)

    def ensure_indexes(self) -> None:
        """Create the index that finds what is due; harmless when it is there."""
        self._parts.marks.ensure_indexes()
        self._parts.owed.ensure_indexes()

    def any_failed(self, kind: str) -> bool:
        """Tell whether a document of a kind could not be looked at and still waits."""
        return self._parts.marks.any_failed(kind)

    def look(self, payment_id: str, context: Context) -> None:
        """Look at one payment's document, and do what follows.

        Raises:
            StreamContended: other writers won every race.
        """
        self._parts.store.change(payment_id, context, lambda change: change.look())

    def recount(self, contract_id: ObjectId) -> bool:
        """Count a contract anew if its status is not what its payments make of it; tell whether it was not."""
        due = self._parts.contracts.recount_if_due(contract_id, self._parts.clock())
        owed = self._parts.owed
        if owed.find(Kind.CONTRACTS, contract_id) and owed.is_there(Kind.CONTRACTS, contract_id):
            owed.stands(Kind.CONTRACTS, contract_id)
        return due

    def step(self, context: Context) -> dict[str, int]:
        """Look at what was noted, as much as one step may.

        Returns:
            How many documents were `looked` at, how many payments were `foreign`, how many contracts were `recounted`,
            and whether there is more (`left`).
        """
        self._parts.marks.begin()
        due = self._parts.marks.due(self._parts.clock(), STEP)
        foreign = set(self._foreign([one.one for one in due if one.kind == PAYMENT]))
        counts = {"looked": len(due), "foreign": 0, "recounted": 0, "left": int(len(due) == STEP)}
        for one in due:
            self._one(one, foreign, counts, context)
        return self._everything(counts)

    def _one(self, one: Mark, foreign: set[ObjectId], counts: dict[str, int], context: Context) -> None:
        """Do what a row asks for; one that fails is told of and left for later, and stops no other."""
        try:
            if one.kind == CONTRACT:
                counts["recounted"] += self.recount(one.one)
            elif one.one in foreign:
                counts["foreign"] += 1
                self.look(str(one.one), context)
        except (ValueError, KeyError, TypeError, StreamContended) as error:
            told = f"{one.one} cannot be looked at: {type(error).__name__}"
            self._parts.alert(FAILS, one.kind, told, subject=str(one.one))
            self._parts.marks.failed(one, self._parts.clock())
            return
        self._parts.marks.done(one)

    def _everything(self, counts: dict[str, int]) -> dict[str, int]:
        """Go on with a look at all documents, if there is one: what changed while nobody followed is not noted."""
        under_way = self._parts.marks.everything()
        if under_way is None:
            return counts
        after, times = under_way
        found = self._after(after)
        ids = [one["_id"] for one in found]
        known = (read_id(one.get("contractId")) for one in found if one.get("gateway") is not None)
        contracts = {ObjectId(one) for one in known if one}
        self._parts.marks.note(self._foreign(ids), contracts, self._parts.clock())
        self._parts.marks.went_on(ids[-1] if len(found) == STEP else None, times)
        return counts | {"looked": counts["looked"] + len(found), "left": 1}

    def _after(self, after: ObjectId | None) -> list[Document]:
        """Return the next payments' documents by ascending id, those with an id that a payment can have."""
        wanted: Document = {"_id": {"$type": "objectId"} | ({"$gt": after} if after else {})}
        return list(self._payments.find(wanted, {**READ, "contractId": 1}).sort("_id", 1).limit(STEP))

    def _foreign(self, payment_ids: Sequence[ObjectId]) -> list[ObjectId]:
        """Return the payments with a history whose documents are not as they were when we wrote them last.

        One that is owed something has come back as it was, perhaps, and lacks what has happened since.
        """
        rows = self._rows.of(list(payment_ids))
        found = {one["_id"]: one for one in self._payments.find({"_id": {"$in": list(payment_ids)}}, READ)}
        owed = self._parts.owed.among(Kind.PAYMENTS, list(found))
        changed = [one for one, document in found.items() if one in owed or not _as_written(document, rows.get(one))]
        known = self._parts.store.events.distinct("payment_id", {"payment_id": {"$in": changed}}) if changed else []
        return [one for one in changed if one in known]


def _as_written(document: Mapping[str, Any], row: Written | None) -> bool:
    if row is None:
        return False
    stands = (mark(document.get("status")), mark(document.get("transR")), gateway_mark(document.get("gateway")))
    return stands == (row.status, row.reference, row.gateway)
