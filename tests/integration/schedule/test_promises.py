"""Promises of the schedule that hold whatever a clock does and whenever an entry was new."""

from datetime import UTC, datetime, timedelta

import pytest

from tasks.slots import Slots
from tasks.standings import OVERDUE, look, standings
from tests.integration.schedule.conftest import ENTRIES, Desk


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

    @pytest.mark.parametrize("days", [-8, 8])
    def test_kept(self, desk: Desk, days: int) -> None:
        """A slot's row is kept from when the database made it, or from its due time if that is later."""
        desk.now = datetime.now(UTC) + timedelta(days=days)
        desk.tick("once")
        (row,) = desk.slots("once")
        assert row["kept_from"] >= max(row["due"], datetime.now(UTC) - timedelta(minutes=5))


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
