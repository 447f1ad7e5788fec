"""Builds the declared indexes that are missing; what is the CMS's is never dropped, and ours only when told to.

One collection's indexes are built together, in one pass over its documents. When one of them cannot be built, they are
tried one by one, so that a single bad one costs only itself.
"""

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from pymongo import IndexModel
from pymongo.database import Database
from pymongo.errors import OperationFailure, PyMongoError

from aggregations.index_facts import Existing
from aggregations.index_refusals import why
from aggregations.index_standing import IndexPlan, Standing, State
from aggregations.indexes import Index

Document = dict[str, Any]

#: How often a build that is under way is looked at, in seconds.
LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Progress:
    """How far a build is.

    Attributes:
        collection: where it is built.
        phase: what the server does, in its words.
        done: how many documents or keys are done, of `total`.
    """

    collection: str
    phase: str
    done: int
    total: int


@dataclass
class SyncReport:
    """What became of it.

    Attributes:
        built: the names of those that were built, with the seconds that it took.
        dropped: ours that were dropped.
        building: those that the server is building already.
        waiting: those whose collection does not exist yet.
        refused: those that could not be built, with a sentence each.
        left: those that were not begun, for want of time.
    """

    built: dict[str, float] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)
    building: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)


class IndexBuilder:
    """Makes a database's indexes those of a plan."""

    def __init__(
        self,
        database: Database[Document],
        *,
        on_progress: Callable[[Progress], None] = lambda _: None,
        look_seconds: float = LOOK_SECONDS,
        seconds: float = math.inf,
    ) -> None:
        """Build in a database, through a client that is patient enough for the longest build.

        After `seconds` nothing further is begun or watched; the server goes on with what it has begun.
        """
        self._db = database
        self._tell = on_progress
        self._look_seconds = look_seconds
        self._ends_at = time.monotonic() + seconds
        self._unwatched: set[str] = set()

    @property
    def under_way(self) -> bool:
        """Return whether a build goes on that is not watched any more."""
        return bool(self._unwatched)

    @property
    def database(self) -> Database[Document]:
        """Return the database in which it builds."""
        return self._db

    @property
    def database_name(self) -> str:
        """Return where it builds."""
        return self._db.name

    def sync(self, plan: IndexPlan, *, create_collections: bool = False, drop_undeclared: bool = False) -> SyncReport:
        """Build what is missing.

        Args:
            plan: made of this database.
            create_collections: make collections that do not exist yet, for a database that nobody else fills.
            drop_undeclared: drop ours that are declared no longer, those in the way of a declared one included.
        """
        report = SyncReport(building=plan.building)
        if drop_undeclared:
            for unwanted in plan.undeclared:
                self._drop(unwanted, report)
        wanted = [one.index for one in plan.to_build if self._may_build(one, report, make_room=create_collections)]
        for collection, together in groupby(sorted(wanted, key=_place), key=lambda index: index.collection):
            self._build(collection, list(together), report)
        return report

    def _may_build(self, standing: Standing, report: SyncReport, *, make_room: bool) -> bool:
        """Tell whether to try; else the report says why not."""
        index = standing.index
        if standing.state is State.NO_COLLECTION and not make_room:
            report.waiting.append(index.name)
            return False
        if standing.obstacle and standing.by not in report.dropped:
            report.refused[index.name] = f"{index.collection}: {index.name} was not built: {standing.obstacle}."
            return False
        return True

    def _drop(self, index: Existing, report: SyncReport) -> None:
        try:
            self._db[index.collection].drop_index(index.name)
        except OperationFailure as error:
            report.refused[index.name] = why(error, index.collection, index.name, act="dropped")
            return
        report.dropped.append(index.name)

    def _build(self, collection: str, together: Sequence[Index], report: SyncReport) -> None:
        began, names = time.monotonic(), [index.name for index in together]
        if self.under_way or began >= self._ends_at:
            report.left += names
            return
        error = self._create(collection, together)
        if collection in self._unwatched:
            report.building = [*report.building, *names]
        elif error is None:
            report.built |= dict.fromkeys((index.name for index in together), time.monotonic() - began)
        elif len(together) == 1:
            report.refused[together[0].name] = why(error, collection, together[0].name, together[0].keys)
        else:
            for index in together:
                self._build(collection, [index], report)

    def _create(self, collection: str, together: Sequence[Index]) -> OperationFailure | None:
        """Have the server build, and watch it meanwhile, as long as there is time; give its refusal, if it refuses."""
        models = [IndexModel(list(index.keys), name=index.name) for index in together]
        ended: list[PyMongoError | None] = []

        def build() -> None:
            try:
                self._db[collection].create_indexes(models)
            except PyMongoError as error:
                ended.append(error)
            else:
                ended.append(None)

        # A daemon, so that Ctrl-C ends the command; the server goes on with what it has begun.
        building = threading.Thread(target=build, name=f"index build on {collection}", daemon=True)
        building.start()
        while building.is_alive():
            building.join(self._look_seconds)
            if building.is_alive():
                self._look(collection)
                if time.monotonic() >= self._ends_at:
                    self._unwatched.add(collection)
                    return None
        [error] = ended
        if error is not None and not isinstance(error, OperationFailure):
            raise error
        return error

    def _look(self, collection: str) -> None:
        """Tell how far the server is; one that does not let us ask builds all the same."""
        asked = {"command.createIndexes": collection, "command.$db": self._db.name, "progress.total": {"$gt": 0}}
        pipeline: list[Document] = [{"$currentOp": {"allUsers": True}}, {"$match": asked}]
        try:
            for running in self._db.client.admin.aggregate(pipeline):
                counted = running["progress"]
                phase = str(running.get("msg", "")).partition(": ")[2].partition(" Index Build")[0]
                total = int(counted["total"])
                # The server's total is what it expected at first: documents that came since are done beside it.
                self._tell(Progress(collection, phase, min(int(counted["done"]), total), total))
        except OperationFailure:
            return


def _place(index: Index) -> tuple[str, str]:
    return index.collection, index.name
