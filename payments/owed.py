"""Which documents of the CMS still have to be shown what stands: a row per payment or contract that was not found.

A document that is away for a moment must not lose what we write there. A row is written in the transaction that found
none, is tried again on a ladder, and goes when the document is written, or stays as a person's word that it is gone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from bson import ObjectId
from pymongo import IndexModel
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.read_preferences import ReadPreference

Document = dict[str, Any]

#: The collection.
COLLECTION: Final = "cms_owed"

#: The alert that is open exactly while something is owed to documents of a kind; its key is the kind.
MISSING: Final = "projection_missing"

#: How long after each try the next one is made, in seconds; after the last step it stays so.
LADDER_SECONDS: Final = (5, 10, 10, 30, 60, 300, 900, 3600)


class Kind(StrEnum):
    """Which of the CMS's collections a document is missing from; the value is the collection's name."""

    PAYMENTS = "payments"
    CONTRACTS = "contracts"


@dataclass(frozen=True)
class Owed:
    """A document that has to be written once it is there.

    Attributes:
        kind: Which collection it is of.
        one: Its id.
        since: When it was not found for the first time.
        tries: How often it was looked for since.
        due_at: When it is looked for next; None once a person has said that it is gone.
        gone_by: Who has said that it is gone, if somebody has.
    """

    kind: Kind
    one: ObjectId
    since: datetime
    tries: int
    due_at: datetime | None
    gone_by: str | None = None


class OwedDocuments:
    """Reads and writes the rows."""

    #: What is due.
    INDEXES: Final = (IndexModel("due_at", partialFilterExpression={"due_at": {"$type": "date"}}, name="due"),)

    def __init__(self, database: Database[Document], now: Callable[[], datetime]) -> None:
        """Use the CMS's database, whose writes are acknowledged by a majority; `now` is its clock."""
        self._database, self._now = database.with_options(read_preference=ReadPreference.PRIMARY), now
        self._rows = database.get_collection(COLLECTION, read_preference=ReadPreference.PRIMARY)

    def ensure_indexes(self) -> None:
        """Create the index that finds what is due; harmless when it is there."""
        self._rows.create_indexes(list(self.INDEXES))

    def owe(self, kind: Kind, one: ObjectId, session: ClientSession) -> bool:
        """Note that a document was not found, inside the transaction that looked for it.

        Returns:
            Whether that is news: False when it is owed already, or a person has said that it is gone.
        """
        now = self._now()
        row = {"kind": kind, "one": one, "since": now, "tries": 0, "due_at": _after(now, 0), "gone": None}
        noted = self._rows.update_one({"_id": _name(kind, one)}, {"$setOnInsert": row}, upsert=True, session=session)
        return noted.upserted_id is not None

    def find(self, kind: Kind, one: ObjectId, session: ClientSession | None = None) -> Owed | None:
        """Return what is owed to a document, one that is said to be gone included; None when nothing is."""
        found = self._rows.find_one({"_id": _name(kind, one)}, session=session)
        return _read(found) if found else None

    def is_there(self, kind: Kind, one: ObjectId) -> bool:
        """Tell whether the CMS has a document."""
        return self._database[kind].find_one({"_id": one}, {"_id": 1}) is not None

    def among(self, kind: Kind, ids: Sequence[ObjectId]) -> set[ObjectId]:
        """Return the documents among some to which something is owed, those said to be gone included."""
        found = self._rows.find({"_id": {"$in": [_name(kind, one) for one in ids]}}, {"one": 1})
        return {row["one"] for row in found}

    def due(self, limit: int) -> list[Owed]:
        """Return what has to be tried again, the longest waiting first."""
        wanted = {"due_at": {"$type": "date", "$lte": self._now()}}
        return [_read(row) for row in self._rows.find(wanted).sort("due_at", 1).limit(limit)]

    def oldest(self, kind: Kind) -> Owed | None:
        """Return the document of a kind that has been looked for longest; None when none is."""
        found = self._rows.find_one({"kind": kind, "due_at": {"$type": "date"}}, sort=[("since", 1)])
        return _read(found) if found else None

    def later(self, owed: Owed) -> None:
        """Wait for the next step of the ladder, unless somebody else has tried meanwhile."""
        tried = {"_id": _name(owed.kind, owed.one), "due_at": owed.due_at}
        step = {"$set": {"due_at": _after(self._now(), owed.tries + 1)}, "$inc": {"tries": 1}}
        self._rows.update_one(tried, step)

    def stands(self, kind: Kind, one: ObjectId, session: ClientSession | None = None) -> None:
        """Remove a row whose document is as it should be."""
        self._rows.delete_one({"_id": _name(kind, one)}, session=session)

    def gone(self, owed: Owed, *, by: str, why: str) -> None:
        """Note a person's word that a document is gone for good: nothing is tried until it is there all the same."""
        said = {"gone": {"by": by, "why": why, "at": self._now()}, "due_at": None}
        self._rows.update_one({"_id": _name(owed.kind, owed.one)}, {"$set": said})


def told_of(kind: Kind, one: ObjectId) -> str:
    """Say what has happened and what to type."""
    what = "payment" if kind is Kind.PAYMENTS else "contract"
    return (
        f"the CMS's document of this {what} is not there; the history stands, and the document is written once it is "
        f"there again. If the CMS meant to delete it: nestcms-workers review document-gone {one} --note WHY"
    )


def _after(now: datetime, tries: int) -> datetime:
    return now + timedelta(seconds=LADDER_SECONDS[min(tries, len(LADDER_SECONDS) - 1)])


def _name(kind: Kind, one: ObjectId) -> str:
    return f"{kind}:{one}"


def _read(found: Document) -> Owed:
    gone = found.get("gone") or {}
    return Owed(
        Kind(found["kind"]), found["one"], found["since"], found["tries"], found["due_at"], gone.get("by"),
    )  # fmt: skip
