from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import Settings
from schedules.entries import Entry
from schedules.table import ENTRIES
from tasks import events
from tasks.due_times import slot_at
from tests.support.sandbox import SERVER_KEY
from workers.cli_enqueue import known_tasks
from workers.schedule import beat_schedule

SETTINGS = Settings(_env_file=None, paytabs_profile=1, paytabs_serverk=SERVER_KEY, paytabs_region="SAU")

HOURLY = Entry("hourly", "views.refresh", 3600, missed="once", why="a test's")

NIGHTLY = Entry("nightly", "views.refresh", at="02:30", missed="skip", late_seconds=3600, why="a test's")


class TestBeat:
    """Beat's entries are data about tasks that exist."""

    def test_entries(self) -> None:
        """Each names a registered task, is named in its header, expires and leaves no result."""
        schedule = beat_schedule(SETTINGS)
        assert len(schedule) == len(ENTRIES) > 0
        for name, entry in schedule.items():
            assert entry["task"] in known_tasks()
            assert entry["options"]["ignore_result"] is True
            assert entry["options"]["headers"] == {"x-schedule-entry": name}
            assert 300 <= entry["options"]["expires"] <= 600  # two machines' clocks may be a minute apart

    def test_sweeps(self) -> None:
        """Sweeps run every sweep period, claim nothing, and an old tick expires after five minutes."""
        looks = [beat_schedule(SETTINGS)[entry.name] for entry in ENTRIES if entry.every == "sweep_seconds"]
        assert {entry.missed for entry in ENTRIES if entry.every == "sweep_seconds"} == {"level"}
        assert {one["schedule"] for one in looks} == {SETTINGS.sweep_seconds}
        assert {one["options"]["expires"] for one in looks} == {300}
        assert {events.dispatch.name, "maintenance.sweep_operations"} < {one["task"] for one in looks}

    def test_slots_are_ticked(self) -> None:
        """An entry with slots is ticked at least twice in each, and at least every minute."""
        slots = {entry.name: beat_schedule(SETTINGS)[entry.name] for entry in ENTRIES if entry.missed != "level"}
        assert slots["seal-events"]["schedule"] == 30
        assert slots["redact"]["schedule"] == 30
        assert beat_schedule(SETTINGS, [HOURLY])["hourly"]["schedule"] == 60
        assert beat_schedule(SETTINGS, [NIGHTLY])["nightly"]["schedule"] == 60

    def test_each_says_why(self) -> None:
        """Each says what would go wrong without it."""
        assert all(len(entry.why) > 20 for entry in ENTRIES)

    @pytest.mark.parametrize(
        "wrong", [{}, {"every": 60, "at": "02:30", "missed": "skip"}, {"at": "02:30", "missed": "level"}]
    )
    def test_no_schedule(self, wrong: dict[str, Any]) -> None:
        """An entry is every so many seconds or at a time of the day, and one with a time has slots."""
        with pytest.raises(ValueError, match=r"^nightly: expected"):
            Entry("nightly", "views.refresh", why="a test's", **wrong)


class TestSlots:
    """A moment is in exactly one slot of an entry."""

    @given(
        now=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - bounds
        every=st.sampled_from([1, 7, 60, 3600, 86_400]),
    )
    def test_every(self, now: datetime, every: int) -> None:
        """It began not more than a period ago, at a multiple of the period, and the next one follows it at once."""
        entry = Entry("e", "t", every, missed="once")
        slot = slot_at(entry, SETTINGS, now)
        assert slot.due <= now < slot.ends == slot.due + timedelta(seconds=every)
        assert slot.due.timestamp() % every == 0
        assert slot_at(entry, SETTINGS, slot.ends).due == slot.ends

    @pytest.mark.parametrize(
        ("now", "due"), [("03T02:30", "03T02:30"), ("03T02:29", "02T02:30"), ("03T23:59", "03T02:30")]
    )
    def test_at(self, now: str, due: str) -> None:
        """A slot with a time of the day lasts until that time of the next day."""
        slot = slot_at(NIGHTLY, SETTINGS, datetime.fromisoformat(f"2026-12-{now}:00Z"))
        assert slot.due == datetime.fromisoformat(f"2026-12-{due}:00Z")
        assert slot.ends - slot.due == timedelta(days=1)
        assert slot.begin_by - slot.due == timedelta(hours=1)

    def test_setting(self) -> None:
        """A period may be a setting's."""
        entry = Entry("e", "t", "sweep_seconds", missed="skip")
        assert slot_at(entry, SETTINGS, datetime(2026, 12, 1, 0, 0, 19, tzinfo=UTC)).due.second == 10
