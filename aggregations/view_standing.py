"""Which views do not get on: nobody would see it otherwise, since the pipelines answer in their place."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from bson import Timestamp

from aggregations.view_marks import Marks
from aggregations.view_state import ViewState
from aggregations.views import VIEWS

#: How far a change's mark may be behind what the watcher has followed, in seconds: a refresh takes one or two.
OLDEST_MARK_SECONDS = 600

#: How long a rebuild may take, the first one of a view included.
LONGEST_REBUILD = timedelta(hours=1)


def stuck(state: ViewState, marks: Marks, now: datetime) -> dict[str, str]:
    """Return the views that have not got on for long, each with a sentence."""
    position = state.position()
    generation = position.generation if position.ready else 0
    waiting = marks.older(position.at, OLDEST_MARK_SECONDS) if position.at is not None else {}
    told: dict[str, str] = {}
    for row in state.rows.find({"_id": {"$in": [*VIEWS]}}):
        name = row["_id"]
        reasons = [*_reasons(row, generation, now), *([_waits(waiting[name])] if name in waiting else [])]
        if reasons:
            told[name] = "; ".join(reasons)
    return told


def rebuilt_since(state: ViewState) -> datetime | None:
    """Return the time after which every view was read anew as a whole; None while one never was."""
    found = state.rows.find(
        {"_id": {"$in": [*VIEWS]}, "last_rebuild.started_at": {"$type": "date"}}, {"last_rebuild": 1}
    )
    began = [row["last_rebuild"]["started_at"] for row in found]
    return min(began) if len(began) == len(VIEWS) else None


def _reasons(row: Mapping[str, Any], generation: int, now: datetime) -> Iterator[str]:
    rebuild = row.get("rebuild")
    if rebuild is None or rebuild["started_at"] > now - LONGEST_REBUILD:
        return
    built = row.get("built") == generation
    yield f"its rebuild goes on since {rebuild['started_at']:%Y-%m-%d %H:%M} UTC ({rebuild['phase']})"
    if not built:
        yield "it is not built, and the pipeline answers"


def _waits(since: Timestamp) -> str:
    return f"a change of {since.as_datetime():%Y-%m-%d %H:%M} UTC waits for its refresh"
