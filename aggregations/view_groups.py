"""Reads groups of a view from its sources, by the catalogue's own pipelines, not before a time of the database."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import bson
import pymongo
from bson import ObjectId, Timestamp
from pymongo import ReadPreference
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from aggregations.aggregation import Document, Stage
from aggregations.view_keys import FIRST_MOMENT, LAST_MOMENT, OUTSIDE, UNDATED, Group, days_of
from aggregations.views import View

#: How long one look at the sources may take, in seconds.
READ_SECONDS = 30.0


@dataclass(frozen=True)
class Groups:
    """What groups hold; one that is missing has nothing. No change after `reached` is in it."""

    rows: Mapping[Group, list[Document]]
    reached: Timestamp


class GroupReader:
    """Reads groups from the primary."""

    def __init__(self, database: Database[Document]) -> None:
        """Read from the CMS's database."""
        self._db = database

    def read(self, view: View, groups: Sequence[Group], after: Timestamp) -> Groups:
        """Return what groups hold, read at a time of the database or after it.

        Args:
            view: the view.
            groups: at least one.
            after: the time.
        """
        first, *others = (_one(view, group) for group in groups)
        unions = [{"$unionWith": {"coll": view.collection, "pipeline": stages}} for stages in others]
        with self._session(after) as session:
            found = self._source(view).aggregate([*first, *unions], session=session, comment=f"views.{view.name}")
            return Groups({row["_id"]: row["rows"] for row in found}, _reached(session))

    def days(self, view: View) -> tuple[list[Group], Timestamp]:
        """Return the days that there is something of, and a time from before which none is missing.

        Of what is no day both groups are told, whether there is something of them or not.
        """
        # Only times lie between these two.
        dated = {"$and": [{"$gte": ["$createdAt", FIRST_MOMENT]}, {"$lte": ["$createdAt", LAST_MOMENT]}]}
        day = {"$cond": [dated, {"$dateTrunc": {"date": "$createdAt", "unit": "day"}}, None]}
        with self._session(None) as session:
            found = list(self._source(view).aggregate([{"$group": {"_id": day}}], session=session))
            days: list[Group] = [group for row in found for group in days_of(row["_id"])]
            return [*days, OUTSIDE] if UNDATED in days else days, _reached(session)

    def ids(self, view: View, after: ObjectId | None, limit: int) -> tuple[list[Group], Timestamp]:
        """Return the next ids of what a view is about, in their order."""
        with self._session(None) as session:
            found = next_ids(self._source(view), after, limit, session)
            return found, _reached(session)

    def _source(self, view: View) -> Collection[Document]:
        majority = ReadConcern("majority")
        return self._db.get_collection(view.collection, read_preference=ReadPreference.PRIMARY, read_concern=majority)

    @contextmanager
    def _session(self, after: Timestamp | None) -> Iterator[ClientSession]:
        with pymongo.timeout(READ_SECONDS), self._db.client.start_session(causal_consistency=True) as session:
            if after is not None:
                session.advance_operation_time(after)
            yield session


def next_ids(
    rows: Collection[Document], after: ObjectId | None, limit: int, session: ClientSession | None = None
) -> list[Group]:
    """Return the next ids of a collection, in their order; ids of other types than MongoDB's own are left out."""
    begin = after or ObjectId("0" * 24)
    found = rows.find({"_id": {"$gte" if after is None else "$gt": begin}}, {"_id": 1}, session=session)
    return [row["_id"] for row in found.sort("_id", 1).limit(limit)]


def fingerprint(rows: Any) -> str:  # noqa: ANN401 - rows, None for no group, or what somebody has written there
    """Return what two equal groups have in common, whatever the order of their lists."""
    return _sorted([] if rows is None else rows)


def _sorted(value: Any) -> str:  # noqa: ANN401 - whatever a row is made of
    if isinstance(value, dict):
        return "{" + ",".join(f"{name}:{_sorted(one)}" for name, one in sorted(value.items())) + "}"
    if isinstance(value, list):
        return "[" + ",".join(sorted(map(_sorted, value))) + "]"
    return bson.encode({"": int(value) if isinstance(value, int) else value}).hex()


def _one(view: View, group: Group) -> list[Stage]:
    return [*view.pipeline(group), {"$group": {"_id": {"$literal": group}, "rows": {"$push": "$$ROOT"}}}]


def _reached(session: ClientSession) -> Timestamp:
    reached: Timestamp | None = session.operation_time
    if reached is None:
        raise PyMongoError("the database keeps no time of its own: views need a replica set")
    return reached
