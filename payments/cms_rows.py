"""What stood in the CMS's document after we wrote it last: one row per payment, outside the document.

By it a change that is not ours is told from one that is. The row is written in the transaction of the document, and
holds digests only, except of texts as short as a status or a reference.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import bson
from bson import ObjectId
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.read_preferences import ReadPreference

Document = dict[str, Any]

#: The collection.
COLLECTION = "cms_written"

#: What is read of a document of the CMS.
READ = {"status": 1, "transR": 1, "gateway": 1}

#: The longest text that is kept as it is.
LONGEST = 64


@dataclass(frozen=True)
class Written:
    """What stood in a document, each value as `mark` has it."""

    version: float | None
    status: str
    reference: str
    gateway: str


def mark(value: object) -> str:
    """Return what tells a value from every other one: a short text itself, else a digest."""
    if value is None:
        return "-"
    if isinstance(value, str) and len(value) <= LONGEST:
        return f"={value}"
    return hashlib.sha256(bson.encode({"": value})).hexdigest()


def gateway_mark(gateway: object) -> str:
    """Return the mark of a `gateway`, whatever the order of its members."""
    return mark(dict(sorted(gateway.items())) if isinstance(gateway, Mapping) else gateway)


def version_of(document: Mapping[str, Any]) -> float | None:
    """Return the version that a document says it was written at, a number of whatever type; None when it does not."""
    gateway = document.get("gateway")
    version = gateway.get("version") if isinstance(gateway, Mapping) else None
    return version if isinstance(version, int | float) and not isinstance(version, bool) else None


class CmsRows:
    """Reads and writes the rows."""

    def __init__(self, database: Database[Document]) -> None:
        """Use the CMS's database."""
        self._rows = database.get_collection(COLLECTION, read_preference=ReadPreference.PRIMARY)

    def find(self, payment_id: ObjectId, session: ClientSession | None = None) -> Written | None:
        """Return the row of a payment; None of one that this version has never written."""
        found = self._rows.find_one({"_id": payment_id}, session=session)
        return _read(found) if found else None

    def of(self, payment_ids: list[ObjectId]) -> dict[ObjectId, Written]:
        """Return the rows of some payments."""
        return {found["_id"]: _read(found) for found in self._rows.find({"_id": {"$in": payment_ids}})}

    def write(
        self, payment_id: ObjectId, document: Mapping[str, Any], *, now: datetime, session: ClientSession
    ) -> None:
        """Note what stands in a document now."""
        row = {
            "version": version_of(document), "status": mark(document.get("status")),
            "reference": mark(document.get("transR")), "gateway": gateway_mark(document.get("gateway")),
            "at": now,
        }  # fmt: skip
        self._rows.replace_one({"_id": payment_id}, row, upsert=True, session=session)

    def grown(self, payment_id: ObjectId, before: object, members: Mapping[str, Any], session: ClientSession) -> None:
        """Note that members of a `gateway` were written by themselves; nothing where it was not ours before."""
        if isinstance(before, Mapping):
            ours = {"_id": payment_id, "gateway": gateway_mark(before)}
            self._rows.update_one(ours, {"$set": {"gateway": gateway_mark({**before, **members})}}, session=session)


def _read(found: Document) -> Written:
    return Written(found["version"], found["status"], found["reference"], found["gateway"])
