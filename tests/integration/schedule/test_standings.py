import pytest

from tasks.standings import OVERDUE, look
from tests.integration.schedule.conftest import Desk
from tests.support.waiting import eventually
from workers.lookout import Lookout


def overdue(desk: Desk) -> list[str]:
    """Look, and list what the open alerts are about."""
    look(desk.world.slots, desk.world.alerts, desk.world.settings, lambda: desk.now)
    return sorted(desk.world.alerts.open_keys(OVERDUE))


class TestOverdue:
    """Somebody is told when an entry has not run for longer than its policy explains."""

    def test_nothing_yet(self, desk: Desk) -> None:
        """Before an entry was first seen nothing was due."""
        assert overdue(desk) == []

    @pytest.mark.parametrize(("entry", "seconds"), [("level", 180), ("skip", 180), ("once", 180)])
    def test_minutely(self, desk: Desk, entry: str, seconds: int) -> None:
        """An alert is open from the third minute without a success until there is one."""
        overdue(desk)
        desk.tick(entry)
        desk.forward(seconds - 1)
        assert entry not in overdue(desk)
        desk.forward(2)
        assert entry in overdue(desk)
        desk.tick(entry)
        assert entry not in overdue(desk)
        (row,) = desk.world.alerts.rows.find({"name": OVERDUE, "key": entry})
        assert row["closed_at"] == desk.now

    @pytest.mark.parametrize("entry", ["nightly", "nightly-once"])
    def test_nightly(self, desk: Desk, entry: str) -> None:
        """A night's slot is overdue when its hour, and a run's time, have passed."""
        desk.tick("nightly-once")
        overdue(desk)
        desk.forward(14.5 * 3600 + 3600 + 59)
        assert entry not in overdue(desk)
        desk.forward(2)
        assert entry in overdue(desk)

    def test_says_why(self, desk: Desk) -> None:
        """The alert names the task, when it last succeeded, and what it failed with since."""

        def broken() -> None:
            raise KeyError("a mistake of ours")

        overdue(desk)
        desk.tick("level")
        desk.does(broken)
        desk.forward(181)
        desk.tick("level", throw=False)
        assert "level" in overdue(desk)
        (row,) = desk.world.alerts.rows.find({"name": OVERDUE, "key": "level"})
        assert (
            "maintenance.tests_note last succeeded at 2099-06-01T12:00:00.000Z; it failed with KeyError"
            in row["detail"]
        )

    def test_no_beat(self, desk: Desk) -> None:
        """It is found out although nothing ticks at all: by a thread of the worker's."""
        desk.world.slots.rows.insert_one(
            {"entry": "level", "due": None, "since": desk.world.clock().replace(year=2020)}
        )
        lookout = Lookout(desk.world.settings, every_seconds=0.05).start()
        eventually(lambda: "level" in desk.world.alerts.open_keys(OVERDUE), what="the alert")
        lookout.stop()

    def test_goes_on(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        """A look that fails, with whatever, is not the last one."""
        looks: list[object] = []

        def broken(*told: object) -> None:
            looks.append(told)
            raise KeyError("a mistake of ours")

        monkeypatch.setattr("workers.lookout.look", broken)
        lookout = Lookout(desk.world.settings, every_seconds=0.05).start()
        eventually(lambda: len(looks) > 1, what="the next look")
        lookout.stop()
