"""A change as the database tells it, and what it makes of the fields that are kept.

A document that is looked up for an update is as it is now, perhaps several changes later; which groups it went through
would be lost. So the kept fields are taken from what the update itself says, one change after the other; of a list it
may say only which places of it are new, and those are put into the list that was kept.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from decimal import Context, Decimal
from typing import Any

import bson
from bson import Binary, CodecOptions, Decimal128, ObjectId, Timestamp
from bson.codec_options import DatetimeConversion

from aggregations.view_keys import references
from aggregations.view_sources import KEPT, REFERENCES, SHOWN, TOLD, WATCHED, kept, plain

Document = dict[str, Any]

#: No document may stop the watcher: neither a time that Python has no room for nor a text that is not UTF-8.
LENIENT: CodecOptions[Document] = CodecOptions(
    tz_aware=True,
    tzinfo=UTC,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    unicode_decode_error_handler="replace",
)

#: How many documents of one kind an entry of the map lists at most, or it would be too large for the database.
MOST_LISTED = 50_000

#: Every number that the database may hold has room in it: a double has up to 767 digits.
EXACT = Context(prec=1_100, Emin=-99_999, Emax=99_999)

#: The subtype of the bytes that stand for a number in a key; the database has none of it.
NUMBER = 200

#: How much of a token says which change is the later one: its time, and its place within its transaction.
ORDER_DIGITS = 48

#: Kinds of changes to one document.
OF_DOCUMENTS = frozenset({"insert", "update", "replace", "delete"})

#: Kinds of changes after which a collection is not what the map and the views were made of.
OF_COLLECTIONS = frozenset({"drop", "rename", "dropDatabase", "invalidate"})


@dataclass(frozen=True)
class Key:
    """A source document: its collection, and its id as bytes, since an id may be of any type."""

    collection: str
    encoded: bytes
    one: Any = field(compare=False, repr=False)

    @classmethod
    def of(cls, collection: str, one: object) -> "Key":
        """Return the key of a document by its id; ids that are equal to the database have equal keys."""
        return cls(collection, bson.encode({"": one if isinstance(one, ObjectId) else comparable(one)}), one)

    @property
    def stored(self) -> Document:
        """How it stands in the map."""
        return {"c": self.collection, "d": self.one}


def comparable(one: Any) -> Any:  # noqa: ANN401 - an id may be anything
    """Return a value in the form that all numbers have that are equal to it for the database, also within it."""
    if isinstance(one, Mapping):
        return {name: comparable(inner) for name, inner in one.items()}
    if isinstance(one, list):
        return [comparable(inner) for inner in one]
    if isinstance(one, bool) or not isinstance(one, int | float | Decimal128):
        return one
    number = one.to_decimal() if isinstance(one, Decimal128) else Decimal(one)
    written = "NaN" if number.is_nan() else str(EXACT.normalize(number) if number else 0)
    return Binary(written.encode(), NUMBER)


@dataclass(frozen=True)
class Change:
    """One change.

    Attributes:
        kind: `insert`, `update`, `replace`, `delete`, or one of `OF_COLLECTIONS`.
        key: the document; its id is None when it is about a collection.
        at: the database's time of the change.
        document: its shown fields after an insert or a replace; after an update as they are now, None if it is gone.
        updated: what an update has set.
        removed: what an update has taken away.
        parts: what an update has set within fields: `contractId.1` and what stands there now.
        cut: how many elements are left of a list that an update has shortened, by field.
        order: the larger, the later; those of one transaction have one time, but each its own order.
    """

    kind: str
    key: Key
    at: Timestamp
    document: Document | None = None
    updated: Mapping[str, Any] = field(default_factory=dict)
    removed: Sequence[str] = ()
    parts: Sequence[tuple[str, Any]] = ()
    cut: Mapping[str, int] = field(default_factory=dict)
    order: str = ""

    @classmethod
    def of(cls, event: Document) -> "Change":
        """Read an event of the change stream."""
        told = event.get("updateDescription") or {}
        return cls(
            kind=event["operationType"],
            key=Key.of(event.get("ns", {}).get("coll", ""), event.get("documentKey", {}).get("_id")),
            at=event["clusterTime"],
            document=event.get("fullDocument"),
            updated=told.get("updatedFields") or {},
            removed=told.get("removedFields") or (),
            parts=[(one["k"], one["v"]) for one in told.get("parts") or ()],
            cut={one["field"]: one["newSize"] for one in told.get("truncatedArrays") or ()},
            order=order_of(event["_id"]),
        )


def order_of(token: Document) -> str:
    """Return what tells whether a token is later than another."""
    return str(token.get("_data", ""))[:ORDER_DIGITS]


def fields_after(change: Change, before: Mapping[str, Any] | None) -> Document:
    """Return the kept fields after a change to a document, from those before it."""
    collection = change.key.collection
    if change.kind != "update" or before is None:
        return _with_added(change, kept(collection, change.document or change.updated))
    names = KEPT.get(collection, ())
    after = {name: before[name] for name in names if name in before and name not in change.removed}
    return _with_parts(change, after | kept(collection, change.updated))


def _with_parts(change: Change, fields: Document) -> Document:
    """Put the places that an update has set into the lists that were kept; what is no list has no places."""
    for name, size in change.cut.items():
        if isinstance(held := fields.get(name), list):
            fields[name] = held[:size]
    for name, place, value in _places(change):
        if isinstance(held := fields.get(name), list):
            fields[name] = plain([*held[:place], *[None] * (place - len(held)), value, *held[place + 1 :]])
    return fields


def _with_added(change: Change, fields: Document) -> Document:
    """Add what an update has set within lists to those of the document as it is by now, which may not have it."""
    for name, _, value in _places(change):
        held = fields.get(name)
        fields[name] = plain([*(held if isinstance(held, list) else [held]), value])
    return fields


def _places(change: Change) -> Iterator[tuple[str, int, Any]]:
    """Return the kept fields' lists' places that an update has set; what lies deeper is no reference."""
    for key, value in change.parts:
        name, _, place = key.partition(".")
        if place.isdecimal() and name in KEPT.get(change.key.collection, ()):
            yield name, int(place), value


def listed_in(collection: str, document: Mapping[str, Any]) -> frozenset[Key]:
    """Return the documents that a document lists; of each kind the first ones, if there are too many."""
    listed = _listed(collection, document)
    return frozenset(Key.of(source, one) for source, found in listed for one in found[:MOST_LISTED])


def lists_too_many(collection: str, document: Mapping[str, Any]) -> bool:
    """Tell whether a document lists more than the map keeps."""
    return any(len(found) > MOST_LISTED for _, found in _listed(collection, document))


def _listed(collection: str, document: Mapping[str, Any]) -> list[tuple[str, tuple[Any, ...]]]:
    return [(source, references(document.get(name))) for name, source in REFERENCES.get(collection, {}).items()]


def stream_pipeline() -> list[Document]:
    """Return the stages of the change stream: what is watched, without what nobody needs to see."""
    structural = {"operationType": {"$in": ["dropDatabase", "invalidate"]}}
    shown = {f"fullDocument.{name}": 1 for name in SHOWN}
    told: Document = {f"updateDescription.updatedFields.{name}": 1 for name in TOLD}
    told |= {"updateDescription.removedFields": 1, "updateDescription.truncatedArrays": 1}
    told["updateDescription.parts"] = {
        "$filter": {
            "input": {"$objectToArray": "$updateDescription.updatedFields"},
            "cond": {"$regexMatch": {"input": "$$this.k", "regex": f"^({'|'.join(TOLD)})\\."}},
        }
    }
    always = dict.fromkeys(("operationType", "ns", "documentKey", "clusterTime", "txnNumber"), 1)
    return [
        {"$match": {"$or": [{"ns.coll": {"$in": [*WATCHED]}}, {"to.coll": {"$in": [*WATCHED]}}, structural]}},
        {"$project": {**always, **told, **shown}},
    ]
