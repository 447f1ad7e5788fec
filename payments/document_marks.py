"""What of the CMS's own has to be looked at because it was changed: a row per payment or contract, until that is done.

Whoever follows the CMS's changes writes them before it says how far it is; so a change is looked at even if both die.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from bson import ObjectId
from pymongo import IndexModel, UpdateOne
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.read_preferences import ReadPreference

Document = dict[str, Any]

#: The collection.
COLLECTION = "cms_changes"

#: The kinds of rows: one document, how far a look at every document is, and a request that is on its way.
PAYMENT, CONTRACT, EVERYTHING, ASKED = "payment", "contract", "everything", "asked"

#: After so long a request that nobody has begun is made again.
ASKED_FOR = timedelta(seconds=10)

#: What could not be looked at is left alone for so long.
FAILED_FOR = timedelta(seconds=60)


@dataclass(frozen=True)
class Mark:
    """A document to be looked at; `times` tells whether it was changed again since, `failed` that a look has failed."""

    kind: str
    one: ObjectId
    times: int
    failed: bool


class DocumentMarks:
    """Reads and writes the rows."""

    #: What is due.
    INDEXES: Final = (IndexModel("due_at", partialFilterExpression={"due_at": {"$type": "date"}}, name="due"),)

    def __init__(self, database: Database[Document]) -> None:
        """Use the CMS's database."""
        self._rows = database.get_collection(COLLECTION, read_preference=ReadPreference.PRIMARY)

    def ensure_indexes(self) -> None:
        """Create the index that finds what is due; harmless when it is there."""
        self._rows.create_indexes(list(self.INDEXES))

    def note(
        self, payments: Iterable[ObjectId], contracts: Iterable[ObjectId], now: datetime,
        session: ClientSession | None = None,
    ) -> None:  # fmt: skip
        """Note what was changed."""
        changed = [(PAYMENT, one) for one in payments] + [(CONTRACT, one) for one in contracts]
        if changed:
            self._rows.bulk_write([_noted(kind, one, now) for kind, one in changed], ordered=False, session=session)

    def note_everything(self, now: datetime) -> None:
        """Note that changes were missed: every document has to be looked at."""
        anew = {"$set": {"kind": EVERYTHING, "after": None, "at": now}, "$inc": {"times": 1}}
        self._rows.update_one({"_id": EVERYTHING}, anew, upsert=True)

    def ask(self, now: datetime) -> bool:
        """Tell whether somebody has to be asked to look: not while a request is on its way."""
        found = self._rows.find_one_and_update(
            {"_id": ASKED}, {"$set": {"kind": ASKED, "at": now}}, upsert=True, projection={"at": 1}
        )
        return found is None or found["at"] <= now - ASKED_FOR

    def begin(self) -> None:
        """Say that the request has arrived: what is changed from now on is asked for again."""
        self._rows.delete_one({"_id": ASKED})

    def due(self, now: datetime, limit: int) -> list[Mark]:
        """Return what has to be looked at, the longest waiting first."""
        wanted = {"due_at": {"$type": "date", "$lte": now}}
        found = self._rows.find(wanted).sort("due_at", 1).limit(limit)
        return [Mark(row["kind"], row["one"], row["times"], row.get("failed", False)) for row in found]

    def done(self, mark: Mark) -> None:
        """Remove a row, unless its document was changed again."""
        self._rows.delete_one({"_id": _name(mark.kind, mark.one), "times": mark.times})

    def failed(self, mark: Mark, now: datetime) -> None:
        """Leave a document alone for a while."""
        later = {"$set": {"failed": True, "due_at": now + FAILED_FOR}}
        self._rows.update_one({"_id": _name(mark.kind, mark.one)}, later)

    def any_failed(self, kind: str) -> bool:
        """Tell whether a document of a kind could not be looked at and still waits."""
        return self._rows.find_one({"kind": kind, "failed": True}, {"_id": 1}) is not None

    def everything(self) -> tuple[ObjectId | None, int] | None:
        """Return after which document a look at all of them goes on, and which look it is; None when there is none."""
        found = self._rows.find_one({"_id": EVERYTHING})
        return (found["after"], found["times"]) if found else None

    def went_on(self, after: ObjectId | None, times: int) -> None:
        """Note how far a look at everything is; None ends it. One that was begun anew meanwhile is left alone."""
        mine = {"_id": EVERYTHING, "times": times}
        if after is None:
            self._rows.delete_one(mine)
        else:
            self._rows.update_one(mine, {"$set": {"after": after}})


def _noted(kind: str, one: ObjectId, now: datetime) -> UpdateOne:
    first = {"kind": kind, "one": one, "due_at": now}
    return UpdateOne({"_id": _name(kind, one)}, {"$setOnInsert": first, "$inc": {"times": 1}}, upsert=True)


def _name(kind: str, one: ObjectId) -> str:
    return f"{kind}:{one}"
