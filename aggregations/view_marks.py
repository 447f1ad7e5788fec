"""Which groups of which views are out of date: one row per view and group in `mv_dirty`.

A mark has a sequence that every change raises; it is cleared only if that is unchanged since it was read, so that a
change during a refresh of the same group is not lost. Its cluster time is the latest change's: nothing older may be
read for it. What the nightly rebuild marks is told apart (`changed` is false), or drift could not be seen; a group that
could not be read counts as changed, so that no answer is given without it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bson import Timestamp
from pymongo import DeleteOne, IndexModel, UpdateOne
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from aggregations.view_keys import Group

Document = dict[str, Any]

#: The server's code for a second document of the same key: two have upserted at once.
DUPLICATE = 11_000


@dataclass(frozen=True)
class Mark:
    """One mark; `told` while operators have been told that its group cannot be read."""

    view: str
    group: Group
    sequence: int
    at: Timestamp
    changed: bool
    told: bool = False

    @classmethod
    def of(cls, row: Document) -> "Mark":
        """Read a row."""
        flags = bool(row.get("changed")), bool(row.get("told"))
        return cls(row["view"], row["_id"]["g"], row["seq"], row["at"], *flags)


class Marks:
    """Reads and writes `mv_dirty`."""

    #: A view's marks, changes first.
    INDEXES: Final = (IndexModel([("view", 1), ("changed", -1), ("_id", 1)], name="pending"),)

    def __init__(self, database: Database[Document]) -> None:
        """Use the CMS's database."""
        self.rows = database["mv_dirty"]

    def ensure_indexes(self) -> None:
        """Create the index that finds a view's marks, changes first; harmless when it is there."""
        self.rows.create_indexes(list(self.INDEXES))

    def change(self, touched: Iterable[tuple[str, Group, Timestamp]]) -> None:
        """Mark groups whose documents have changed at a time."""
        writes = [
            UpdateOne(
                {"_id": {"v": view, "g": group}},
                {"$set": {"view": view, "changed": True}, "$inc": {"seq": 1}, "$max": {"at": at}},
                upsert=True,
            )
            for view, group, at in touched
        ]
        self._write(writes)

    def suspect(self, view: str, groups: Iterable[Group], at: Timestamp) -> None:
        """Mark groups for the rebuild; a mark that is there already stays as it is."""
        row = {"view": view, "changed": False, "seq": 1, "at": at}
        self._write(
            [UpdateOne({"_id": {"v": view, "g": group}}, {"$setOnInsert": row}, upsert=True) for group in groups]
        )

    def hold(self, mark: Mark, *, told: bool) -> None:
        """Have a group that could not be read waited for as one that has changed: no answer may do without it.

        Args:
            mark: the group's mark, which stays.
            told: whether operators are told of it.
        """
        self.rows.update_one(
            {"_id": {"v": mark.view, "g": mark.group}}, {"$set": {"changed": True, **({"told": True} if told else {})}}
        )

    def pending(
        self, view: str, limit: int, without: Iterable[Group] = (), session: ClientSession | None = None
    ) -> list[Mark]:
        """Return a view's marks, those of changes first."""
        left = {"_id": {"$nin": [{"v": view, "g": group} for group in without]}} if without else {}
        found = (
            self.rows.find({"view": view, **left}, session=session)
            .sort([("view", 1), ("changed", -1), ("_id", 1)])
            .limit(limit)
        )
        return [Mark.of(row) for row in found]

    def again(self, marks: Sequence[Mark], session: ClientSession | None = None) -> dict[Group, Mark]:
        """Return how marks stand now, by group."""
        keys = [{"v": mark.view, "g": mark.group} for mark in marks]
        found = self.rows.find({"_id": {"$in": keys}}, session=session)
        return {mark.group: mark for mark in map(Mark.of, found)}

    def clear(self, marks: Iterable[Mark], session: ClientSession | None = None) -> None:
        """Clear those marks that are as they were."""
        writes = [DeleteOne({"_id": {"v": mark.view, "g": mark.group}, "seq": mark.sequence}) for mark in marks]
        if writes:
            self.rows.bulk_write(writes, ordered=False, session=session)

    def told(self, view: str) -> list[Group]:
        """Return the groups of a view that cannot be read and of which operators were told."""
        return [row["_id"]["g"] for row in self.rows.find({"view": view, "changed": True, "told": True}, {"_id": 1})]

    def waiting(self) -> list[str]:
        """Return the views that have marks."""
        return [str(name) for name in self.rows.distinct("view")]

    def older(self, at: Timestamp, seconds: int) -> dict[str, Timestamp]:
        """Return the views that have marks of changes from so long before a time, each with its oldest one's."""
        old = {"changed": True, "at": {"$lt": Timestamp(max(at.time - seconds, 0), 0)}}
        stages: list[Document] = [{"$match": old}, {"$group": {"_id": "$view", "at": {"$min": "$at"}}}]
        return {row["_id"]: row["at"] for row in self.rows.aggregate(stages)}

    def count(self, view: str, most: int | None = None) -> int:
        """Return how many marks a view has; no more of them are counted than `most`."""
        limited: dict[str, Any] = {} if most is None else {"limit": most}
        return self.rows.count_documents({"view": view}, **limited)

    def _write(self, writes: list[UpdateOne]) -> None:
        while writes:
            try:
                self.rows.bulk_write(writes, ordered=False)
            except BulkWriteError as error:
                # Two have upserted the same mark at once: for the one who came second it is there now.
                told = error.details["writeErrors"]
                if any(one["code"] != DUPLICATE for one in told):
                    raise
                writes = [writes[one["index"]] for one in told]
            else:
                return
