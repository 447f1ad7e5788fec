"""How far watcher and views are: the rows of `mv_meta`, and the leases that keep two processes out of each other's way.

A lease ends by the database's clock, since the machines' clocks may differ. It is a courtesy only: what makes two
holders harmless is the fence, a number that every write under the lease has to find unchanged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import Timestamp
from pymongo import ReturnDocument
from pymongo.client_session import ClientSession
from pymongo.database import Database

from aggregations.errors import LeaseLost

Document = dict[str, Any]

#: Where the rows are.
META = "mv_meta"

#: The watcher's row; the others are named after their views.
WATCHER = "watcher"


@dataclass(frozen=True)
class Position:
    """How far the watcher is: every change up to `at` has its marks; the map and all views are of `generation`.

    `owes` counts how often the map went ahead of the tags that were sent, and `paid` up to which of these they are.
    """

    generation: int
    at: Timestamp | None
    token: Document | None
    ready: bool
    owes: int = 0
    paid: int = 0

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Position":
        """Read the watcher's row."""
        generation, owes, paid = (int(row.get(name) or 0) for name in ("generation", "owes", "paid"))
        return cls(generation, row.get("at"), row.get("token"), bool(row.get("ready")), owes, paid)


class ViewState:
    """Reads and writes `mv_meta`.

    Args:
        database: the CMS's.
        holder: who this process is.
    """

    def __init__(self, database: Database[Document], holder: str) -> None:
        self.rows, self._holder = database[META], holder

    def take(self, name: str, seconds: float) -> int | None:
        """Take or keep a lease; return its fence, or None while another has it."""
        row = self.taken(name, seconds)
        return int(row["fence"]) if row else None

    def taken(self, name: str, seconds: float) -> Document | None:
        """Take or keep a lease; return its row, or None while another has it."""
        same = {"$eq": ["$holder", self._holder]}
        free = {"$or": [same, {"$not": ["$holder"]}, {"$lt": ["$until", "$$NOW"]}]}
        fence = {"$ifNull": ["$fence", 0]}
        taken = {
            "holder": self._holder,
            "until": {"$add": ["$$NOW", int(seconds * 1000)]},
            "fence": {"$cond": [same, fence, {"$add": [fence, 1]}]},
        }
        filter_, changed = {"_id": name, "$expr": free}, [{"$set": taken}]
        row = self.rows.find_one_and_update(filter_, changed, return_document=ReturnDocument.AFTER)
        if row is None and self._made(name):
            return self.taken(name, seconds)
        return row

    def _made(self, name: str) -> bool:
        """Make a row that there is not; tell whether there was none."""
        return self.rows.update_one({"_id": name}, {"$setOnInsert": {"fence": 0}}, upsert=True).upserted_id is not None

    def release(self, name: str) -> None:
        """Give a lease back; nothing when it is another's by now."""
        self.rows.update_one({"_id": name, "holder": self._holder}, {"$set": {"holder": None}})

    def write(
        self,
        name: str,
        fence: int,
        change: Mapping[str, Any],
        session: ClientSession | None = None,
        *,
        at_least: Mapping[str, Any] | None = None,
    ) -> None:
        """Change a leased row, by fields; those of `at_least` only if that makes them larger.

        Raises:
            LeaseLost: it is another's by now.
        """
        larger = {"$max": dict(at_least)} if at_least else {}
        found = self.rows.update_one(
            {"_id": name, "fence": fence}, {"$set": dict(change), "$inc": {"writes": 1}, **larger}, session=session
        )
        if not found.matched_count:
            raise LeaseLost(name)

    def owe(self, fence: int | None = None) -> int:
        """Count once more that the map is ahead of the tags that were sent; without a fence whoever watches by now.

        Raises:
            LeaseLost: the lease is another's by now.
        """
        fenced = {} if fence is None else {"fence": fence}
        row = self.rows.find_one_and_update(
            {"_id": WATCHER, **fenced}, {"$inc": {"owes": 1}}, return_document=ReturnDocument.AFTER
        )
        if row is None:
            raise LeaseLost(WATCHER)
        return int(row["owes"])

    def row(self, name: str) -> Document:
        """Return a row, empty when there is none."""
        return self.rows.find_one({"_id": name}) or {}

    def rows_now(self, names: Sequence[str], session: ClientSession | None = None) -> dict[str, Document]:
        """Return rows by name, each with the database's time as `now`: the machines' clocks may differ."""
        stages: list[Document] = [{"$match": {"_id": {"$in": [*names]}}}, {"$set": {"now": "$$NOW"}}]
        return {row["_id"]: row for row in self.rows.aggregate(stages, session=session)}

    def position(self) -> Position:
        """Return how far the watcher is."""
        return Position.of(self.row(WATCHER))

    def generation(self) -> int:
        """Return the generation that every view has to be of; 0 while nobody watches yet."""
        position = self.position()
        return position.generation if position.ready else 0


def seconds_behind(position: Position, now: datetime) -> float | None:
    """Return how old the state is that the views can vouch for, in seconds; None when they vouch for nothing."""
    if not position.ready or position.at is None:
        return None
    return (now - position.at.as_datetime()).total_seconds()
