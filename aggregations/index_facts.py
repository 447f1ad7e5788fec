"""What a server says of its indexes, as facts that can be compared; read here, judged in `index_plan`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pymongo.database import Database
from pymongo.errors import OperationFailure

from aggregations.indexes import PREFIX

Document = dict[str, Any]
Keys = tuple[tuple[str, object], ...]

#: The CMS's collections: indexes of others are looked at here and nowhere else.
CMS_COLLECTIONS = (
    "users", "contracts", "payments", "projects", "designs", "projectsteps", "projectworkers", "notes", "permissions",
    "projectearnings", "orgzearnings", "orgzs", "salaries", "commissions", "offers",
)  # fmt: skip

#: The index that every collection has.
BY_ID = "_id_"

#: Members of an index's description that are no options.
NO_OPTIONS = frozenset({"v", "key", "name", "ns", "background"})


@dataclass(frozen=True)
class Existing:
    """An index on the server.

    Attributes:
        collection: where it is.
        name: what it is called there.
        keys: its fields in order; 1 and -1, or a kind such as `text`.
        options: what else was said when it was made, such as `unique` or `partialFilterExpression`.
    """

    collection: str
    name: str
    keys: Keys
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ours(self) -> bool:
        """Whether this system made it."""
        return self.name.startswith(PREFIX)


@dataclass(frozen=True)
class Use:
    """How often a node has used an index since it began to count."""

    ops: int
    since: datetime
    building: bool = False


@dataclass(frozen=True)
class Found:
    """The indexes of one database.

    Attributes:
        indexes: those of each collection that exists.
        views: names that stand for views, which have none.
    """

    indexes: Mapping[str, tuple[Existing, ...]]
    views: frozenset[str] = frozenset()


def read_indexes(database: Database[Document], collections: Iterable[str]) -> Found:
    """Read the indexes of those collections that exist."""
    kinds = {one["name"]: one["type"] for one in database.list_collections()}
    wanted = [name for name in collections if name in kinds]
    views = frozenset(name for name in wanted if kinds[name] == "view")
    indexes = {
        name: tuple(from_description(name, one) for one in database[name].list_indexes())
        for name in wanted
        if name not in views
    }
    return Found(indexes, views)


def read_usage(database: Database[Document], collections: Iterable[str]) -> dict[tuple[str, str], Use] | None:
    """Read how often the node that answers has used each index; None when it does not let us ask."""
    used: dict[tuple[str, str], Use] = {}
    try:
        for name in collections:
            for row in database[name].aggregate([{"$indexStats": {}}]):
                since = row["accesses"]["since"]
                aware = since if since.tzinfo else since.replace(tzinfo=UTC)
                told = Use(int(row["accesses"]["ops"]), aware, bool(row.get("building")))
                used[name, row["name"]] = added(used.get((name, row["name"])), told)
    except OperationFailure:
        return None
    return used


def added(one: Use | None, other: Use) -> Use:
    """Add up what two nodes, or two shards, say of one index; counted from the later beginning."""
    if one is None:
        return other
    return Use(one.ops + other.ops, max(one.since, other.since), one.building or other.building)


def from_description(collection: str, described: Mapping[str, Any]) -> Existing:
    """Return what `listIndexes` says of an index; numbers of any kind become 1 and -1."""
    keys = tuple((name, _direction(value)) for name, value in described["key"].items())
    options = {name: value for name, value in described.items() if name not in NO_OPTIONS}
    return Existing(collection, str(described["name"]), keys, options)


def _direction(value: object) -> object:
    return (1 if value > 0 else -1) if isinstance(value, int | float) else value
