"""The collections of the views: a document per group, replaced whole, so that no reader ever sees half of one."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from pymongo import DeleteOne, IndexModel, ReplaceOne
from pymongo.client_session import ClientSession
from pymongo.database import Database

from aggregations.aggregation import Document, Stage
from aggregations.view_groups import fingerprint
from aggregations.view_keys import Group
from aggregations.views import View

#: Stands for rows that are not there: not even the same as none.
DAMAGED = "no rows"


class ViewStore:
    """Reads and writes one view.

    Args:
        database: the CMS's.
        view: the view.
    """

    #: What is folded into something.
    INDEXES: Final = (IndexModel([("of", 1)], name="folded", sparse=True),)

    def __init__(self, database: Database[Document], view: View) -> None:
        self.rows, self._view = database[view.name], view

    def ensure_indexes(self) -> None:
        """Create the index that finds what is folded into something; harmless when it is there."""
        self.rows.create_indexes(list(self.INDEXES))

    def stored(self, groups: Sequence[Group]) -> dict[Group, Any]:
        """Return what is stored of groups: rows, unless somebody has written something else."""
        found = self.rows.find({"_id": {"$in": [*groups]}}, {"rows": 1})
        return {row["_id"]: DAMAGED if row.get("rows") is None else row["rows"] for row in found}

    def replace(
        self,
        groups: Sequence[Group],
        rows: Mapping[Group, list[Document]],
        as_of: datetime,
        session: ClientSession,
    ) -> None:
        """Store what groups hold, and remove those that hold nothing any more.

        Args:
            groups: the groups.
            rows: what they hold.
            as_of: nothing older was read.
            session: the transaction.
        """
        writes: list[ReplaceOne[Document] | DeleteOne] = []
        for group in groups:
            if group in rows:
                folded = {"of": self._view.folded(group)} if self._view.folded else {}
                new = {"_id": group, "rows": rows[group], "as_of": as_of, **folded}
                writes.append(ReplaceOne({"_id": group}, new, upsert=True))
            else:
                writes.append(DeleteOne({"_id": group}))
        names = self._into(groups, session)
        self.rows.bulk_write(writes, ordered=False, session=session)
        if names:
            self._fold(names, as_of, session)

    def crooked(self, groups: Sequence[Group]) -> list[str]:
        """Return what groups are folded into that is not what its groups come to."""
        names = self._into(groups, None)
        right, found = self._folded(names, None), self.stored(names)
        return [name for name in names if fingerprint(right.get(name)) != fingerprint(found.get(name))]

    def groups_after(self, last: Group | None, limit: int) -> list[Group]:
        """Return the next ids that are stored, in their order."""
        after = {"_id": {"$gt": last}} if last is not None else {}
        found = self.rows.find(after, {"_id": 1}).sort("_id", 1).limit(limit)
        return [row["_id"] for row in found]

    def remove_strange(self) -> list[str]:
        """Remove what has an id of a type that no group of this view has; return their ids."""
        strange = {"_id": {"$not": {"$type": "string" if self._view.dated else "objectId"}}}
        found = [str(row["_id"]) for row in self.rows.find(strange, {"_id": 1})]
        if found:
            self.rows.delete_many(strange)
        return found

    def _into(self, groups: Sequence[Group], session: ClientSession | None) -> list[str]:
        """Return what groups are folded into, and what they say they are."""
        if self._view.folded is None:
            return []
        said = self.rows.find({"_id": {"$in": [*groups]}, "of": {"$type": "string"}}, {"of": 1}, session=session)
        return sorted({self._view.folded(group) for group in groups} | {row["of"] for row in said})

    def _fold(self, names: Sequence[str], as_of: datetime, session: ClientSession) -> None:
        right = self._folded(names, session)
        writes: list[ReplaceOne[Document] | DeleteOne] = [
            ReplaceOne({"_id": name}, {"_id": name, "rows": right[name], "as_of": as_of}, upsert=True)
            if name in right
            else DeleteOne({"_id": name})
            for name in names
        ]
        self.rows.bulk_write(writes, ordered=False, session=session)

    def _folded(self, names: Sequence[str], session: ClientSession | None) -> dict[Group, list[Document]]:
        parts = {"of": {"$in": [*names]}, "_id": {"$nin": [*names]}}
        found = self.rows.aggregate([{"$match": parts}, *FOLDING], session=session)
        return {row["_id"]: row["rows"] for row in found}


#: What groups with the same `of` come to: rows with the same key are added up.
FOLDING: tuple[Stage, ...] = (
    {"$unwind": "$rows"},
    {
        "$group": {
            "_id": {"of": "$of", "key": "$rows._id"},
            "amount": {"$sum": "$rows.amount"},
            "payments": {"$sum": "$rows.payments"},
            "lost": {"$sum": "$rows.lost"},
        }
    },
    {"$sort": {"_id": 1}},
    {
        "$group": {
            "_id": "$_id.of",
            "rows": {"$push": {"_id": "$_id.key", "amount": "$amount", "payments": "$payments", "lost": "$lost"}},
        }
    },
)
