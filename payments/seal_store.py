"""The seals in the database; each `_id` is the seal's number, so that no two seals have the same one."""

from collections.abc import Iterator
from typing import Any, Final

from pydantic import ValidationError
from pymongo import IndexModel
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError
from pymongo.read_preferences import ReadPreference

from payments.errors import SealsDiffer
from payments.marks import Mark
from payments.seals import Seal

Document = dict[str, Any]

#: The collection.
COLLECTION = "audit_seals"

#: What a row says of itself beside its seal: its number, and whether it has yet to be posted.
OWN = frozenset({"_id", "unposted"})

#: Only numbers are seals' numbers.
NUMBERED: Document = {"_id": {"$type": "number"}}


class SealStore:
    """Reads and writes `audit_seals`."""

    #: The seals that were not posted yet.
    INDEXES: Final = (IndexModel("unposted", sparse=True),)

    def __init__(self, database: Database[Document]) -> None:
        """Use a database whose writes are acknowledged by a majority."""
        self.rows = database.get_collection(COLLECTION, read_preference=ReadPreference.PRIMARY)

    def ensure_indexes(self) -> None:
        """Create the index by which seals are found that were not posted yet; harmless when it is there."""
        self.rows.create_indexes(list(self.INDEXES))

    def insert(self, seal: Seal, *, unposted: bool) -> bool:
        """Write a seal; False when another one has its number."""
        own = {"_id": seal.n, "unposted": True} if unposted else {"_id": seal.n}
        try:
            self.rows.insert_one({**own, **seal.model_dump()})
        except DuplicateKeyError:
            return False
        return True

    def last(self, session: ClientSession | None = None) -> Seal | None:
        """Return the newest seal.

        Raises:
            SealsDiffer: what stands there is none.
        """
        found = self.rows.find_one(NUMBERED, sort=[("_id", -1)], session=session)
        return read(found) if found else None

    def get(self, number: int) -> Seal | None:
        """Return a seal by its number."""
        found = self.rows.find_one({"_id": number})
        return read(found) if found else None

    def back_to(self, moment: str, session: ClientSession | None = None) -> list[Seal]:
        """Return the newest seals, newest first, as far back as one covers a moment."""
        tail: list[Seal] = []
        for found in self.rows.find(NUMBERED, session=session).sort("_id", -1):
            tail.append(read(found))
            if tail[-1].since is None or tail[-1].since < moment:
                break
        return tail

    def after(self, number: int) -> Iterator[Seal]:
        """Give the seals after a number in order."""
        for found in self.rows.find({"_id": {"$gt": number}}).sort("_id", 1):
            yield read(found)

    def late(self, event_id: str) -> Mark | None:
        """Return the mark of an event that a seal names as late; None when none does."""
        found = self.rows.find_one({"late": {"$regex": f"^{event_id} "}})
        return read(found).late_marks[event_id] if found else None

    def newest(self, limit: int) -> list[Document]:
        """List seals as they stand, newest first."""
        return list(self.rows.find(NUMBERED).sort("_id", -1).limit(limit))

    def unposted(self, limit: int) -> list[Seal]:
        """Return the oldest seals that have yet to be posted."""
        return [read(found) for found in self.rows.find({"unposted": True}).sort("_id", 1).limit(limit)]

    def note_posted(self, number: int) -> None:
        """Note that a seal was posted."""
        self.rows.update_one({"_id": number}, {"$unset": {"unposted": True}})


def read(found: Document) -> Seal:
    """Read a row.

    Raises:
        SealsDiffer: it is no seal.
    """
    try:
        seal = Seal.model_validate({name: value for name, value in found.items() if name not in OWN})
    except ValidationError as error:
        raise SealsDiffer(f"seal {found['_id']} in the database cannot be read") from error
    if seal.n != found["_id"]:
        raise SealsDiffer(f"seal {seal.n} in the database is stored as {found['_id']}")
    return seal
