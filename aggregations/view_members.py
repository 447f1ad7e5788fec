"""The map `mv_members`: for each source document where it belonged after the last change that was followed.

An entry is only replaced by one of the same change or a later one, so that a watcher that was frozen and wakes up does
no harm. The change's time is not enough for that: all of a transaction have one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bson import Timestamp
from pymongo import DeleteOne, IndexModel, UpdateOne
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from aggregations.changes import LENIENT, Key
from aggregations.view_marks import DUPLICATE

Document = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """Where a document belongs: its kept fields, what it lists, and since which change; `gone` once it is deleted."""

    fields: Mapping[str, Any]
    listed: frozenset[Key]
    at: Timestamp
    gone: bool = False
    order: str = ""


class Members:
    """Reads and writes the map."""

    #: Who lists a document.
    INDEXES: Final = (IndexModel([("r", 1)], name="listed", sparse=True),)

    def __init__(self, database: Database[Document]) -> None:
        """Use the CMS's database."""
        self.rows = database.get_collection("mv_members", codec_options=LENIENT)

    def ensure_indexes(self) -> None:
        """Create the index that finds who lists a document; harmless when it is there."""
        self.rows.create_indexes(list(self.INDEXES))

    def load(self, keys: Iterable[Key]) -> dict[Key, Entry]:
        """Return the entries of documents, as far as there are any."""
        found = self.rows.find({"_id": {"$in": [key.stored for key in keys]}})
        return {_key(row["_id"]): _entry(row) for row in found}

    def listing(self, keys: Iterable[Key]) -> dict[Key, set[Key]]:
        """Return who lists documents."""
        wanted = {*keys}
        holders: dict[Key, set[Key]] = {}
        for row in self.rows.find({"r": {"$in": [key.stored for key in wanted]}}) if wanted else ():
            for one in wanted.intersection(map(_key, row["r"])):
                holders.setdefault(one, set()).add(_key(row["_id"]))
        return holders

    def save(self, entries: Mapping[Key, Entry]) -> None:
        """Write entries, and remove those that are gone, unless the map has later ones."""
        if not entries:
            return
        try:
            self.rows.bulk_write([_write(key, entry) for key, entry in entries.items()], ordered=False)
        except BulkWriteError as error:
            _duplicates(error)

    def add(self, entries: Mapping[Key, Entry]) -> None:
        """Write entries that are most likely new, which is much faster; the others are saved."""
        rows = [{"_id": key.stored, **_row(entry)} for key, entry in entries.items()]
        try:
            if rows:
                self.rows.insert_many(rows, ordered=False)
        except BulkWriteError as error:
            keys = list(entries)
            self.save({keys[place]: entries[keys[place]] for place in _duplicates(error)})

    def forget_before(self, at: Timestamp) -> None:
        """Remove what was not written since a time: what is left of documents that are gone."""
        self.rows.delete_many({"at": {"$lt": at}})


def _write(key: Key, entry: Entry) -> UpdateOne | DeleteOne:
    not_later = {"_id": key.stored, "o": {"$not": {"$gt": entry.order}}}
    if entry.gone:
        return DeleteOne(not_later)
    gone = {} if entry.listed else {"$unset": {"r": ""}}
    return UpdateOne(not_later, {"$set": _row(entry), **gone}, upsert=True)


def _row(entry: Entry) -> Document:
    listed = {"r": [one.stored for one in entry.listed]} if entry.listed else {}
    return {"f": dict(entry.fields), "at": entry.at, "o": entry.order, **listed}


def _duplicates(error: BulkWriteError) -> list[int]:
    """Return which writes found a later entry, or one that they thought was not there; raise for any other error."""
    told = error.details["writeErrors"]
    if any(one["code"] != DUPLICATE for one in told) or error.details.get("writeConcernErrors"):
        raise error
    return [int(one["index"]) for one in told]


def _key(stored: Mapping[str, Any]) -> Key:
    return Key.of(stored["c"], stored["d"])


def _entry(row: Mapping[str, Any]) -> Entry:
    return Entry(row["f"], frozenset(map(_key, row.get("r", ()))), row["at"], order=row.get("o", ""))
