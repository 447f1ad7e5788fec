"""Keeps the views: refreshes what is marked, and builds a view anew, in slices that end within a task's time.

A rebuild marks every group, those of the sources and those that only the view has, and mends through the same path as
a refresh; how far it is stands in `mv_meta`, so that any process goes on with it. A view that is not of the watcher's
generation is rebuilt by itself; the rebuild of one that is finds drift.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import structlog
from pymongo.database import Database

from aggregations.aggregation import Document
from aggregations.errors import LeaseLost
from aggregations.view_groups import GroupReader
from aggregations.view_keys import NO_DAYS, Group, is_day
from aggregations.view_marks import Marks
from aggregations.view_members import Members
from aggregations.view_refresh import JUDGE_SECONDS, Outcome, Refresher
from aggregations.view_standing import rebuilt_since, stuck
from aggregations.view_state import WATCHER, Position, ViewState, seconds_behind
from aggregations.view_store import ViewStore
from aggregations.view_turn import Turn, turn_of
from aggregations.views import VIEWS, View
from observability.alerts import RaiseAlert, ResolveAlert
from observability.metrics import VIEW_DRIFT, VIEW_GROUPS

log = structlog.get_logger(__name__)

#: How many groups are marked at once.
MARKED = 2_000

#: How many drifted groups are named.
NAMED = 20


@dataclass(frozen=True)
class Report:
    """What one slice has done: how many groups, how many of them had drifted so far, and whether there is more.

    `taken` says that another is at the view; while nobody watches yet, nothing is done at all.
    """

    view: str
    groups: int = 0
    drift: int = 0
    left: bool = False
    taken: bool = False
    rebuilding: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return asdict(self)


class ViewDesk:
    """Keeps the views of one database.

    Args:
        database: the CMS's.
        holder: who this process is.
        clock: aware UTC time.
        alert: raises an alert: a name, what it is about, a sentence.
        resolve: closes one, by name and what it is about.
        judge_seconds: how long the watcher has to follow before a difference is judged.
    """

    def __init__(
        self,
        database: Database[Document],
        *,
        holder: str,
        clock: Callable[[], datetime],
        alert: RaiseAlert,
        resolve: ResolveAlert,
        judge_seconds: float = JUDGE_SECONDS,
    ) -> None:
        self._db, self._clock, self._alert, self._resolve = database, clock, alert, resolve
        self.state, self.marks, self._reader = ViewState(database, holder), Marks(database), GroupReader(database)
        self._holder = holder
        self._refresher = Refresher(
            database, self.state, clock=clock, alert=alert, resolve=resolve, judge_seconds=judge_seconds
        )

    def ensure_indexes(self) -> None:
        """Create collections and indexes; harmless when they are there."""
        self.marks.ensure_indexes()
        Members(self._db).ensure_indexes()
        for view in VIEWS.values():
            ViewStore(self._db, view).ensure_indexes()

    def begin_rebuild(self, view: View) -> None:
        """Have a view rebuilt, unless it is being rebuilt already."""
        begun: Document = {"phase": "source", "after": None, "drift": [], "count": 0, "groups": 0, "unjudged": 0}
        begun |= {"started_at": self._clock(), "generation": self.state.generation()}
        self.state.rows.update_one({"_id": view.name}, {"$setOnInsert": {"fence": 0}}, upsert=True)
        self.state.rows.update_one({"_id": view.name, "rebuild": None}, {"$set": {"rebuild": begun}})

    def due(self) -> list[str]:
        """Return the views that have something to do."""
        generation = self.state.generation()
        if not generation:
            return []
        marked = {*self.marks.waiting()}
        rows = {row["_id"]: row for row in self.state.rows.find({"_id": {"$in": [*VIEWS]}})}

        def waits(name: str) -> bool:
            row = rows.get(name, {})
            return name in marked or row.get("rebuild") is not None or row.get("built") != generation

        return [name for name in VIEWS if waits(name)]

    def overdue(self, older_than: timedelta) -> list[str]:
        """Return the views whose last rebuild was finished longer ago."""
        limit = self._clock() - older_than
        recent = {"_id": {"$in": [*VIEWS]}, "last_rebuild.finished_at": {"$gte": limit}}
        return sorted(VIEWS.keys() - {row["_id"] for row in self.state.rows.find(recent, {"_id": 1})})

    def stuck(self) -> dict[str, str]:
        """Return the views that have not got on for long, each with a sentence."""
        return stuck(self.state, self.marks, self._clock())

    def rebuilt_since(self) -> datetime | None:
        """Return the time after which every view was read anew as a whole; None while one never was."""
        return rebuilt_since(self.state)

    def seconds_behind(self) -> float | None:
        """Return how far the watcher is behind; None while there is none."""
        row = self.state.rows_now([WATCHER]).get(WATCHER)
        return seconds_behind(Position.of(row), row["now"]) if row else None

    def go_on(self, view: View, seconds: float) -> Report:
        """Do what a view has to have done, for so many seconds at most."""
        ends_at = time.monotonic() + seconds
        # Each run is a holder of its own, so that two runs of one process are two.
        lease = ViewState(self._db, f"{self._holder}-{uuid4().hex}")
        generation = self.state.generation()
        if not generation:
            return Report(view.name)
        with turn_of(lease, view.name) as turn, suppress(LeaseLost):
            if turn is not None:
                return self._slice(view, turn, self._rebuild_of(view, generation, turn), ends_at)
        return Report(view.name, taken=True)

    def _rebuild_of(self, view: View, generation: int, turn: Turn) -> Document | None:
        """Return the rebuild that is under way, after beginning the one that the generation needs."""
        row = self.state.row(view.name)
        rebuild: Document | None = row.get("rebuild")
        outdated = rebuild is not None and rebuild["generation"] != generation
        if outdated or (rebuild is None and row.get("built") != generation):
            turn.write({"rebuild": None})
            self.begin_rebuild(view)
            rebuild = self.state.row(view.name)["rebuild"]
        return rebuild

    def _slice(self, view: View, turn: Turn, rebuild: Mapping[str, Any] | None, ends_at: float) -> Report:
        while rebuild is not None and rebuild["phase"] != "mend":
            rebuild = self._mark_some(view, rebuild)
            turn.write({"rebuild": rebuild})
            if time.monotonic() >= ends_at:
                return Report(view.name, left=True, rebuilding=True)
        judge = rebuild is not None and self.state.row(view.name).get("built") == rebuild["generation"]
        outcome = self._refresher.refresh(view, turn, ends_at, judge=judge)
        VIEW_GROUPS.labels(view=view.name).inc(outcome.groups)
        if rebuild is None:
            return Report(view.name, groups=outcome.groups, left=outcome.left)
        return self._account(view, turn, dict(rebuild), outcome)

    def _mark_some(self, view: View, rebuild: Mapping[str, Any]) -> dict[str, Any]:
        """Mark the next groups; return how far the rebuild is then."""
        after = rebuild["after"]
        if rebuild["phase"] == "view":
            store = ViewStore(self._db, view)
            rebuild = _with_drift(rebuild, store.remove_strange() if after is None else [])
            found = store.groups_after(after, MARKED)
            _, at = self._reader.ids(view, None, 1)
            groups = [_of_source(group) for group in found]
        elif view.dated:
            groups, at = self._reader.days(view)
            found = []
        else:
            found, at = self._reader.ids(view, after, MARKED)
            groups = found
        self.marks.suspect(view.name, groups, at)
        if len(found) == MARKED:
            return {**rebuild, "after": found[-1]}
        return {**rebuild, "after": None, "phase": "view" if rebuild["phase"] == "source" else "mend"}

    def _account(self, view: View, turn: Turn, rebuild: dict[str, Any], outcome: Outcome) -> Report:
        """Note what a slice of the mending has found; end the rebuild with its last group."""
        first = self.state.row(view.name).get("built") != rebuild["generation"]
        if not first:
            rebuild = _with_drift(rebuild, outcome.drifted)
            rebuild["unjudged"] += outcome.unjudged
        rebuild["groups"] += outcome.groups
        done = Report(view.name, outcome.groups, rebuild["count"], left=outcome.left, rebuilding=True)
        if outcome.left:
            turn.write({"rebuild": rebuild})
            return done
        ended = {**rebuild, "finished_at": self._clock(), "first": first}
        del ended["phase"], ended["after"]
        turn.write({"rebuild": None, "built": rebuild["generation"], "last_rebuild": ended})
        self._tell(view, rebuild)
        return done

    def _tell(self, view: View, rebuild: Mapping[str, Any]) -> None:
        log.info("view_rebuilt", view=view.name, groups=rebuild["groups"], drift=rebuild["count"])
        VIEW_DRIFT.labels(view=view.name).inc(rebuild["count"])
        if rebuild["count"]:
            told = f"{rebuild['count']} groups had changed without a mark, such as {', '.join(rebuild['drift'][:3])}"
            self._alert("view_drift", view.name, f"{told}; they are mended")
        else:
            self._resolve("view_drift", view.name, why="the last rebuild found none")


def _with_drift(rebuild: Mapping[str, Any], drifted: Sequence[str]) -> dict[str, Any]:
    named = [*rebuild["drift"], *drifted][:NAMED]
    return {**rebuild, "count": rebuild["count"] + len(drifted), "drift": named}


def _of_source(group: Group) -> Group:
    """Return a group that is folded into this, itself if it is none: a month that nothing can be folded into too."""
    if not isinstance(group, str) or not group.startswith("month:"):
        return group
    month = group.removeprefix("month:")
    day = month if month in NO_DAYS else f"{month}-01"
    return day if month in NO_DAYS or is_day(day) else group
