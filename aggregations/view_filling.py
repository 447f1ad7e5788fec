"""Makes the map from what the collections hold, document by document, in the order of their ids."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from bson import Timestamp
from pymongo import ReadPreference
from pymongo.database import Database
from pymongo.read_concern import ReadConcern

from aggregations.change_stream import Document
from aggregations.changes import LENIENT, Key, listed_in, lists_too_many
from aggregations.view_members import Entry, Members
from aggregations.view_sources import KEPT, REFERENCES, is_kept, kept

#: How many entries are written at once.
CHUNK = 2_000

#: How often whoever fills looks up from it, in seconds.
PAUSE_SECONDS = 0.5


@dataclass(frozen=True)
class Filling:
    """How the map is made.

    Attributes:
        at: a time of the database from before the reading.
        order: the same as changes are ordered.
        look_up: called from time to time.
        tell_cut: told of documents that list more than the map keeps.
    """

    at: Timestamp
    order: str
    look_up: Callable[[], object]
    tell_cut: Callable[[Iterable[Key]], object]


def fill(database: Database[Document], members: Members, how: Filling) -> None:
    """Write an entry for every document there is."""
    last = time.monotonic()
    for collection in {*KEPT, *REFERENCES}:
        if not is_kept(collection):
            continue
        documents = _documents(database, collection, how.at)
        while part := list(islice(documents, CHUNK)):
            members.add(dict(_entry(collection, document, how) for document in part))
            how.tell_cut(Key.of(collection, one["_id"]) for one in part if lists_too_many(collection, one))
            if time.monotonic() >= last + PAUSE_SECONDS:
                how.look_up()
                last = time.monotonic()


def _documents(database: Database[Document], collection: str, at: Timestamp) -> Iterator[Document]:
    """Return what a majority has of the documents, at that time or later: nothing that could be taken back."""
    shown = dict.fromkeys([*KEPT.get(collection, ()), *REFERENCES.get(collection, ())], 1)
    majority = ReadConcern("majority")
    rows = database.get_collection(
        collection, codec_options=LENIENT, read_concern=majority, read_preference=ReadPreference.PRIMARY
    )
    # A cursor of its own time limit would end in the midst of a million documents; each batch has one.
    with database.client.start_session(causal_consistency=True) as session:
        session.advance_operation_time(at)
        yield from rows.find({}, {"_id": 1, **shown}, batch_size=CHUNK, hint=[("_id", 1)], session=session)


def _entry(collection: str, document: Document, how: Filling) -> tuple[Key, Entry]:
    fields = kept(collection, document)
    listed = listed_in(collection, document)
    return Key.of(collection, document["_id"]), Entry(fields, listed, how.at, order=how.order)
