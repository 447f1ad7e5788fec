"""A database with a watcher and the keeper of its views, in this process, one step at a time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event, Thread
from typing import Any
from uuid import uuid4

from bson import Timestamp
from pymongo import MongoClient
from pymongo.database import Database

from aggregations.catalogue import find
from aggregations.errors import NotFound
from aggregations.parameters import Parameters
from aggregations.view_desk import ViewDesk
from aggregations.view_reads import ViewReads
from aggregations.views import VIEWS
from aggregations.watching import Outside, Watcher

Json = dict[str, Any]


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


@dataclass
class Told:
    """What the watcher has told others."""

    tags: set[str] = field(default_factory=set)
    times: list[Timestamp] = field(default_factory=list)
    alerts: list[tuple[str, str]] = field(default_factory=list)
    subjects: list[str] = field(default_factory=list)
    refreshes: list[str] = field(default_factory=list)
    forgotten: int = 0

    def invalidate(self, tags: Sequence[str], at: Timestamp) -> None:
        """Note tags."""
        self.tags.update(tags)
        self.times.append(at)

    def forget(self) -> None:
        """Note that everything is out of date."""
        self.forgotten += 1

    def alert(self, name: str, key: str, detail: str, *, subject: str = "") -> None:
        """Note an alert, and what it counts if it counts anything."""
        assert detail
        self.alerts.append((name, key))
        self.subjects.append(subject)

    def resolve(self, name: str, key: str, *, why: str = "") -> None:
        """Note that an alert is closed."""
        assert why
        self.alerts = [one for one in self.alerts if one != (name, key)]

    def refresh(self, name: str) -> None:
        """Note a request."""
        self.refreshes.append(name)


class Views:
    """The views of a database.

    Args:
        database: the CMS's.
        streaming: a client whose operations have no time limit.
    """

    def __init__(self, database: Database[Json], streaming: MongoClient[Json]) -> None:
        self.db, self._streaming, self.told = database, streaming, Told()
        self.desk = ViewDesk(
            database, holder="desk", clock=utc_now, alert=self.told.alert, resolve=self.told.resolve, judge_seconds=0.2
        )
        self.desk.ensure_indexes()
        self.reads = ViewReads(database)
        self.watcher = self.another_watcher()

    def another_watcher(self, lease_seconds: float = 5.0, **changes: Any) -> Watcher:
        """Return a watcher as another process would be."""
        told = self.told
        parts = {
            "invalidate": told.invalidate,
            "forget": told.forget,
            "outages": (ConnectionError,),
            "ask_refresh": told.refresh,
            "alert": told.alert,
        }
        outside = Outside(**{**parts, **changes})
        streaming = self._streaming[self.db.name]
        return Watcher(self.db, streaming, holder=uuid4().hex, outside=outside, lease_seconds=lease_seconds)

    def now(self) -> Timestamp:
        """Return the database's time."""
        told: Timestamp = self.db.command("ping")["operationTime"]
        return told

    def follow(self) -> None:
        """Have the watcher follow everything that has happened."""
        until = self.now()
        while True:
            assert self.watcher.step(20)
            at = self.desk.state.position().at
            if at is not None and at >= until:
                return

    def refresh(self, seconds: float = 30.0) -> None:
        """Refresh what is due."""
        while names := self.desk.due():
            for name in names:
                assert not self.desk.go_on(VIEWS[name], seconds).taken

    def settle(self) -> None:
        """Follow and refresh."""
        self.follow()
        self.refresh()

    def rebuild(self) -> dict[str, int]:
        """Build every view anew; return the drift that was found."""
        for view in VIEWS.values():
            self.desk.begin_rebuild(view)
        with self.watching():
            self.refresh()
        found = {name: self.desk.state.row(name)["last_rebuild"] for name in VIEWS}
        assert all(not row["unjudged"] for row in found.values())
        return {name: row["count"] for name, row in found.items()}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Have the watcher at work in a thread of its own: only so it is known that no change is pending."""
        ended = Event()

        def work() -> None:
            while not ended.is_set():
                self.watcher.step(5)

        thread = Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def by_pipeline(self, name: str, parameters: Parameters, now: datetime) -> Any:
        """Return an aggregation's answer from the sources."""
        row = find(name)
        return answered(name, list(self.db[row.collections[0]].aggregate(row.build(parameters, now))))

    def by_view(self, name: str, parameters: Parameters, now: datetime) -> Any:
        """Return an aggregation's answer from its view, None when the view gives none."""
        given = self.reads.from_view(find(name), parameters, now)
        return None if given is None else answered(name, given.documents)


def answered(name: str, documents: list[Json]) -> Any:
    """Return what a caller gets of documents; of a subject that does not exist, that it does not."""
    try:
        return find(name).answer(documents)
    except NotFound:
        return "not found"
