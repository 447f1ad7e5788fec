"""The collections of the views: a document per group, replaced whole, so that no reader ever sees half of one."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from pymongo import DeleteOne, ReplaceOne
from pymongo.client_session import ClientSession
from pymongo.database import Database

from aggregations.aggregation import Document, Stage
from aggregations.view_groups import fingerprint
from aggregations.view_keys import Group
from aggregations.views import View


class ViewStore:
    """Reads and writes one view.

    Args:
        database: the CMS's.
        view: the view.
    """

    def __init__(self, database: Database[Document], view: View) -> None:
        self.rows, self._view = database[view.name], view

    def ensure_indexes(self) -> None:
        """Create the index that finds what is folded into something; harmless when it is there."""
        self.rows.create_index([("of", 1)], name="folded", sparse=True)

    def stored(self, groups: Sequence[Group]) -> dict[Group, list[Document]]:
        """Return what is stored of groups."""
        return {row["_id"]: row["rows"] for row in self.rows.find({"_id": {"$in": [*groups]}}, {"rows": 1})}

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
        self.rows.bulk_write(writes, ordered=False, session=session)
        if self._view.folded:
            self._fold(sorted({self._view.folded(group) for group in groups}), as_of, session)

    def crooked(self, groups: Sequence[Group]) -> list[str]:
        """Return what groups are folded into that is not what its groups come to."""
        if self._view.folded is None:
            return []
        names = sorted({self._view.folded(group) for group in groups})
        right, found = self._folded(names, None), self.stored(names)
        return [name for name in names if fingerprint(right.get(name)) != fingerprint(found.get(name))]

    def groups_after(self, last: Group | None, limit: int) -> list[Group]:
        """Return the next groups that are stored, in their order, each folded row as the first that it may be of."""
        after = {"_id": {"$gt": last}} if last is not None else {}
        found = self.rows.find(after, {"_id": 1}).sort("_id", 1).limit(limit)
        return [row["_id"] for row in found]

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
        found = self.rows.aggregate([{"$match": {"of": {"$in": [*names]}}}, *FOLDING], session=session)
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
