"""A world whose clock the test moves, and a few entries of a schedule with a task that notes its runs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery
from pymongo.database import Database

from config.queues import SCHEDULE_HEADER
from config.settings import Settings
from payments.events import Context
from schedules import table
from schedules.entries import Entry
from tasks.arguments import Arguments
from tasks.base import domain_task
from tasks.slots import Slots
from tasks.wiring import World, build_world, use_world
from tests.support.system import serving

#: The time at which every test begins: later than now, so that the database does not forget the slots meanwhile.
START = datetime(2099, 6, 1, 12, tzinfo=UTC)

TASK = "maintenance.tests_note"

ENTRIES = {
    "skip": Entry("skip", TASK, 60, missed="skip"),
    "once": Entry("once", TASK, 60, missed="once"),
    "level": Entry("level", TASK, 60, missed="level"),
    "nightly": Entry("nightly", TASK, at="02:30", missed="skip", late_seconds=3600),
    "another task's": Entry("another task's", "maintenance.redact", 60, missed="skip"),
    "nightly-once": Entry("nightly-once", TASK, at="02:30", missed="once", late_seconds=3600),
}

#: What the task does when it runs, besides noting that it did.
_does: list[Callable[[], None]] = []
_runs: list[datetime] = []


@domain_task(TASK, Arguments)
def note(world: World, asked: Arguments, context: Context) -> dict[str, Any]:
    """Note that it ran."""
    del asked, context
    for one in _does:
        one()
    _runs.append(world.clock())
    return {"ran": True}


@dataclass
class Desk:
    """A clock, and beats that tick."""

    world: World
    runs: list[datetime] = field(default_factory=lambda: _runs)
    now: datetime = START

    def tick(self, entry: str, *, throw: bool = True) -> Any:
        """Do what a worker does with a tick of beat."""
        return note.apply(headers={SCHEDULE_HEADER: entry}, throw=throw).get(propagate=throw)

    def forward(self, seconds: float) -> None:
        """Move the clock."""
        self.now += timedelta(seconds=seconds)

    def does(self, what: Callable[[], None]) -> None:
        """Have the task do something from now on."""
        _does[:] = [what]

    def slots(self, entry: str) -> list[dict[str, Any]]:
        """List an entry's rows by their due time."""
        return list(self.world.slots.rows.find({"entry": entry, "due": {"$ne": None}}).sort("due", 1))


@pytest.fixture
def desk(settings: Settings, database: Database[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A desk with an empty schedule of the test's own."""
    assert database.name == settings.mongo_database
    monkeypatch.setattr(table, "ENTRIES", tuple(ENTRIES.values()))
    _runs.clear()
    _does.clear()
    with serving(settings) as app:
        assert isinstance(app, Celery)
        made: list[Desk] = []
        built = build_world(settings, clock=lambda: made[0].now if made else START)
        built.slots.ensure_indexes()
        built.alerts.ensure_indexes()
        use_world(built)
        made.append(Desk(built))
        yield made[0]
        use_world(None)


@pytest.fixture
def short(desk: Desk) -> Slots:
    """Claims on the desk's rows whose lease is short, as if made by a worker that is about to be killed."""
    return Slots(desk.world.db, clock=lambda: desk.now, lease=timedelta(seconds=0.2))
