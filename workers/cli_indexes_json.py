"""What is known of indexes, as JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from aggregations.catalogue import CATALOGUE
from aggregations.index_facts import Keys
from aggregations.index_standing import IndexPlan, Judged, Standing
from aggregations.index_usage import NodeUsage
from aggregations.indexes import PLANNED

Json = dict[str, Any]


def plan_json(found: IndexPlan) -> Json:
    """Write a plan."""
    return {
        "declared": [_declared(one) for one in found.declared],
        "on_the_server": [_on_the_server(one) for one in found.others],
        "planned_once": [asdict(one) for one in PLANNED],
    }


def usage_json(nodes: Sequence[NodeUsage]) -> list[Json]:
    """Write each node's use; `indexes` is null for one that has not answered."""
    return [
        {
            "node": node.node,
            "indexes": None if node.used is None else [
                {"collection": collection, "name": name, "ops": use.ops, "since": use.since.isoformat(),
                 "building": use.building}
                for (collection, name), use in sorted(node.used.items())
            ],
        }
        for node in nodes
    ]  # fmt: skip


def leaning(name: str) -> list[str]:
    """Name the aggregations that lean on a declared index."""
    return [row.name for row in CATALOGUE.values() if name in row.indexes]


def written(keys: Keys) -> str:
    """Write keys as people do: ascending ones by name alone."""
    return ", ".join(name if way == 1 else f"{name}: {way}" for name, way in keys)


def remarks(one: Judged) -> list[str]:
    """List what is to be said of an index on the server."""
    said = ["redundant: " + one.redundant] if one.redundant else []
    if one.unused and one.use is not None:
        said.append(f"unused since {one.use.since:%Y-%m-%d %H:%M}")
    if one.undeclared:
        said.append("ours, declared no longer")
    elif not one.declared:
        said.append("the CMS's")
    return said


def _declared(one: Standing) -> Json:
    index = one.index
    return {
        "name": index.name, "collection": index.collection, "keys": written(index.keys), "state": str(one.state),
        "by": one.by, "obstacle": one.obstacle, "serves": index.serves, "aggregations": leaning(index.name),
    }  # fmt: skip


def _on_the_server(one: Judged) -> Json:
    return {
        "name": one.index.name, "collection": one.index.collection, "keys": written(one.index.keys),
        "options": sorted(one.index.options), "declared": one.declared, "ours": one.index.ours,
        "redundant": one.redundant, "unused": one.unused, "uses": one.use and one.use.ops,
    }  # fmt: skip
