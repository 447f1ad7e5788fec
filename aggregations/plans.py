"""What the database's explanation of an aggregation says in one line, without a value of anybody's in it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]

#: Ways to join that read a whole collection.
SCANNING_JOINS = frozenset({"HashJoin", "NestedLoopJoin"})

#: Parts of an explanation that tell of something else than the plan that ran.
_ELSEWHERE = frozenset({"rejectedPlans", "executionStats", "slotBasedPlan", "parsedQuery", "command", "serverInfo"})


@dataclass(frozen=True)
class Plan:
    """How the database did it.

    Attributes:
        steps: each step with the index it used, such as `IXSCAN nw_notes_on`.
        examined: the documents it looked at; None when it was not run.
        scans: whether it read a whole collection somewhere.
    """

    steps: tuple[str, ...]
    examined: int | None
    scans: bool


def summary(explained: Document) -> Plan:
    """Return what an explanation of an aggregation says."""
    parts = list(_parts(explained))
    examined = [number for part in parts if (number := _examined(part)) is not None]
    steps = tuple(step for part in parts if (step := _step(part)))
    return Plan(steps, sum(examined) if examined else None, any(map(_scans, parts)))


def _parts(node: object) -> Iterator[Document]:
    """List every document of an explanation that tells of the plan, the first to run first."""
    if isinstance(node, list):
        for member in node:
            yield from _parts(member)
    elif isinstance(node, dict):
        for name, member in node.items():
            if name not in _ELSEWHERE:
                yield from _parts(member)
        yield node


def _step(part: Document) -> str:
    if "stage" in part:
        return " ".join([str(part["stage"]), *(str(part[name]) for name in ("strategy", "indexName") if name in part)])
    if isinstance(joined := part.get("$lookup"), dict):
        return " ".join(["$lookup", str(joined.get("from")), *map(str, part.get("indexesUsed", ()))])
    return ""


def _examined(part: Document) -> int | None:
    stats = part.get("executionStats")
    found = stats.get("totalDocsExamined") if isinstance(stats, dict) else None
    if isinstance(part.get("$lookup"), dict):
        found = part.get("totalDocsExamined")
    return None if found is None else int(found)


def _scans(part: Document) -> bool:
    return (
        part.get("stage") == "COLLSCAN"
        or part.get("strategy") in SCANNING_JOINS
        or ("$lookup" in part and int(part.get("collectionScans", 0)) > 0)
    )
