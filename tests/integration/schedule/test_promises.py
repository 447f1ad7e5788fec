"""Promises of the schedule that hold whatever a clock does and whenever an entry was new."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tasks.slots import Slots
from tasks.standings import OVERDUE, look, standings
from tests.integration.schedule.conftest import ENTRIES, Desk
from tests.support.waiting import eventually


def overdue(desk: Desk) -> list[str]:
    """Look, and list what the open alerts are about."""
    look(desk.world.slots, desk.world.alerts, desk.world.settings, lambda: desk.now)
    return sorted(desk.world.alerts.open_keys(OVERDUE))


def broken() -> None:
    """Fail."""
    raise KeyError("a mistake of ours")


class TestNewEntry:
    """An entry that has never succeeded is overdue as well."""

    @pytest.mark.parametrize("entry", ["level", "skip"])
    def test_fails_from_the_start(self, desk: Desk, entry: str) -> None:
        """A new entry whose first tick fails before anybody has looked is overdue all the same after an hour."""
        desk.does(broken)
        desk.tick(entry, throw=False)
        overdue(desk)
        desk.forward(3600)
        desk.tick(entry, throw=False)
        assert entry in overdue(desk)


class TestClockAhead:
    """A clock that was ahead for a moment blinds nobody."""

    @pytest.mark.parametrize("entry", ["level", "skip"])
    def test_noticed(self, desk: Desk, entry: str) -> None:
        """After one run by a clock that was a day ahead, an entry that nobody ticks any more is overdue in an hour."""
        overdue(desk)
        desk.tick(entry)
        desk.forward(86_400)
        desk.tick(entry)
        desk.forward(-86_400 + 3_600)
        assert entry in overdue(desk)


class TestClockBehind:
    """A worker whose clock is behind does no slot's work twice."""

    @pytest.fixture
    def forgetful(self, desk: Desk) -> Iterator[Desk]:
        """A database that removes what is to be forgotten every second."""
        admin = desk.world.client.admin
        was = admin.command("getParameter", 1, ttlMonitorSleepSecs=1)["ttlMonitorSleepSecs"]
        admin.command("setParameter", 1, ttlMonitorSleepSecs=1)
        yield desk
        admin.command("setParameter", 1, ttlMonitorSleepSecs=was)

    def test_once(self, forgetful: Desk) -> None:
        """With a clock that is more than a week behind, a slot that was done is still known to be done."""
        forgetful.now = datetime.now(UTC) - timedelta(days=8)
        forgetful.tick("nightly-once")
        ran = []

        def again() -> bool:
            ran.append("ran" in forgetful.tick("nightly-once"))
            return any(ran) or len(ran) > 75

        eventually(again, within_seconds=100, every_seconds=1, what="the database's forgetting")
        assert not any(ran)


class TestNote:
    """What becomes of a slot when its end cannot be noted."""

    def test_between_the_notes(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        """A worker that is killed between its two notes does not make a night that was done look overdue."""
        overdue(desk)
        desk.forward(14.5 * 3600)
        monkeypatch.setattr(Slots, "succeeded", lambda *_: None)
        desk.tick("nightly-once")
        desk.forward(2 * 3600)
        (one,) = standings(desk.world.slots, desk.world.settings, desk.now, [ENTRIES["nightly-once"]])
        assert one.overdue_since is None
        assert one.last_success is not None
