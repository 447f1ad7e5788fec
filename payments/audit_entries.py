"""What operators did: one entry when an action begins and one when it has ended, chained by hash like events.

Entries are numbered without gaps, so that the newest one's number and hash stand for all of them: seals have both.
"""

import random
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final

from pymongo import IndexModel
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError
from pymongo.read_preferences import ReadPreference

from payments.errors import StreamContended
from payments.events import GENESIS_HASH, content_hash, timestamp
from payments.findings import Finding, of_entry
from payments.paging import in_order

Document = dict[str, Any]

#: The collection.
COLLECTION = "audit_entries"

#: The command by which an operator accepts an event that came late.
ACCEPT = "audit accept"

#: How often a writer that lost a race tries again, and its longest pause in between.
MAX_RACES, RACE_PAUSE_SECONDS = 60, 0.05


class AuditEntries:
    """Reads and writes `audit_entries`; each `_id` is the entry's number."""

    #: The entries of a payment, and those of an act.
    INDEXES: Final = (IndexModel("arguments.payment_id", sparse=True), IndexModel("act_id", sparse=True))

    def __init__(self, database: Database[Document]) -> None:
        """Use a database whose writes are acknowledged by a majority."""
        self.rows = database.get_collection(COLLECTION, read_preference=ReadPreference.PRIMARY)

    def ensure_indexes(self) -> None:
        """Create the indexes by which a payment's entries and an act's are found; harmless when they are there."""
        self.rows.create_indexes(list(self.INDEXES))

    def append(self, members: Document, now: datetime) -> int:
        """Write the next entry and return its number.

        Args:
            members: What it says; plain JSON values.
            now: When.

        Raises:
            StreamContended: other writers won every race.
        """
        for _ in range(MAX_RACES):
            number, prev_hash = self.newest()
            content = {"n": number + 1, "at": timestamp(now), **members, "prev_hash": prev_hash}
            try:
                self.rows.insert_one({"_id": number + 1, **content, "hash": content_hash(content)})
            except DuplicateKeyError:
                time.sleep(random.uniform(0, RACE_PAUSE_SECONDS))  # noqa: S311 - jitter, not a secret
            else:
                return number + 1
        raise StreamContended(COLLECTION)

    def open_act(self, act_id: str) -> int | None:
        """Return the number of the entry with which an act began that has not ended; None when there is none."""
        found = self.rows.find_one({"act_id": act_id}, {"phase": True}, sort=[("_id", -1)])
        return int(found["_id"]) if found and found.get("phase") == "begun" else None

    def newest(self, session: ClientSession | None = None) -> tuple[int, str]:
        """Return the number and the hash of the newest entry; 0 and the genesis hash when there is none."""
        found = self.rows.find_one({"_id": {"$type": "number"}}, {"hash": True}, sort=[("_id", -1)], session=session)
        return (int(found["_id"]), str(found.get("hash"))) if found else (0, GENESIS_HASH)

    def last(self, limit: int) -> list[Document]:
        """List entries, newest first."""
        return list(self.rows.find().sort("_id", -1).limit(limit))

    def of_payment(self, payment_id: str) -> list[Document]:
        """List the entries of actions that were given a payment's id, oldest first."""
        return list(self.rows.find({"arguments.payment_id": payment_id}).sort("_id", 1))

    def all(self) -> Iterator[Document]:
        """Give every entry in order."""
        yield from in_order(self.rows, ("_id",), "_id_")


class EntryChain:
    """Follows the chain of entries.

    Attributes:
        hashes: Each entry's hash by its number.
        accepted: Who accepted an event that came late, and why, by the event's mark.
    """

    def __init__(self) -> None:
        """Begin before the first entry."""
        self.hashes: dict[int, str] = {}
        self.accepted: dict[str, str] = {}

    def findings(self, entries: Iterable[Document]) -> Iterator[Finding]:
        """Give a finding for each entry that does not follow from the one before; they come in order."""
        number, prev_hash = 0, GENESIS_HASH
        for entry in entries:
            if (words := _why_it_does_not_follow(entry, number, prev_hash)) is not None:
                yield of_entry(number + 1, words)
            elif entry.get("command") == ACCEPT and entry.get("phase") == "ended" and entry.get("outcome") == "done":
                given = entry.get("arguments")
                mark = given.get("mark") if isinstance(given, dict) else None
                self.accepted[str(mark)] = f"{entry.get('by')} accepted it: {entry.get('reason')}"
            number = entry["_id"] if isinstance(entry["_id"], int) else number + 1
            prev_hash = str(entry.get("hash"))
            self.hashes[number] = prev_hash


def _why_it_does_not_follow(entry: Document, number: int, prev_hash: str) -> str | None:
    content = {name: value for name, value in entry.items() if name not in ("_id", "hash")}
    if (entry["_id"], entry.get("n")) != (number + 1, number + 1):
        return f"is missing; entry {entry['_id']} stands in its place"
    if entry.get("prev_hash") != prev_hash:
        return f"was made upon another entry {number} than the one that stands there"
    try:
        whole = content_hash(content) == entry.get("hash")
    except (TypeError, ValueError):
        whole = False
    return None if whole else "its content does not give its hash: it was changed after it was written"
