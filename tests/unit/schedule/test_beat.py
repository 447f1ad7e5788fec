from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from freezegun import freeze_time
from freezegun.api import FrozenDateTimeFactory
from redis.exceptions import MasterDownError, OutOfMemoryError

from config.celeryconfig import celery_config
from config.settings import Settings
from tests.support.sandbox import SERVER_KEY
from workers.beat import SteadyScheduler
from workers.schedule import beat_schedule

#: When the tests begin; the sweeps are ticked every ten seconds, the seal every thirty.
START = "2026-12-01T12:00:00Z"


class Beat:
    """A scheduler with its file, whose messages are noted instead of sent."""

    def __init__(self, directory: Path) -> None:
        settings = Settings(
            _env_file=None, paytabs_profile=1, paytabs_serverk=SERVER_KEY, paytabs_region="SAU",
            redis_url="redis://127.0.0.1:1/0", local_dir=directory,
        )  # fmt: skip
        self.app = Celery("tests-beat", set_as_current=False)
        self.app.conf.update(celery_config(settings), broker_url="memory://", beat_schedule=beat_schedule(settings))
        self.scheduler = SteadyScheduler(self.app, schedule_filename=str(directory / "schedule"), lazy=False)
        self.sent: list[str] = []

        def note(entry: Any, producer: object = None) -> None:
            assert producer
            self.sent.append(entry.name)

        self.scheduler.apply_entry = note  # type: ignore[method-assign] # the broker is no subject here

    def turn(self, frozen: FrozenDateTimeFactory, seconds: int) -> list[str]:
        """Let time pass as beat does, a second at a time, and list what was sent meanwhile."""
        self.sent.clear()
        for _ in range(seconds):
            frozen.tick(timedelta(seconds=1))
            for _ in range(4 * len(self.scheduler.schedule)):
                if self.scheduler.tick() > 0:
                    break
        return list(self.sent)


@pytest.fixture
def frozen() -> Iterator[FrozenDateTimeFactory]:
    """A clock that stands."""
    with freeze_time(START) as clock:
        assert isinstance(clock, FrozenDateTimeFactory)
        yield clock


@pytest.fixture
def beat(tmp_path: Path, frozen: FrozenDateTimeFactory) -> Iterator[Beat]:
    """A beat that has just been started."""
    assert frozen
    made = Beat(tmp_path)
    yield made
    made.scheduler.close()
    made.app.close()


class TestSteadily:
    """A clock that jumps does not silence beat."""

    def test_plain(self, beat: Beat, frozen: FrozenDateTimeFactory) -> None:
        """It sends each entry once a tick."""
        sent = beat.turn(frozen, 60)
        expected = {"sweep-operations": 6, "dispatch-events": 6, "seal-events": 2, "redact": 2, "rebuild-views": 1}
        assert {name: sent.count(name) for name in expected} == expected

    @pytest.mark.parametrize("hours", [1, 24 * 365])
    def test_put_back(self, beat: Beat, frozen: FrozenDateTimeFactory, hours: int) -> None:
        """Put back by an hour, or a year, it goes on as if nothing were: every entry of it."""
        before = beat.turn(frozen, 60)
        frozen.tick(timedelta(hours=-hours))
        after = beat.turn(frozen, 62)
        assert {name: after.count(name) for name in before} == {name: before.count(name) for name in before}

    def test_put_forward(self, beat: Beat, frozen: FrozenDateTimeFactory) -> None:
        """Put forward by a day, it sends each entry once more, not a day's worth."""
        beat.turn(frozen, 60)
        frozen.tick(timedelta(days=1))
        sent = beat.turn(frozen, 2)
        assert sorted(sent) == sorted(set(sent)) == sorted(beat.scheduler.schedule)

    def test_file_of_the_future(self, beat: Beat, frozen: FrozenDateTimeFactory, tmp_path: Path) -> None:
        """Started again with a file written by a clock that was ahead, it is not silent until then."""
        frozen.tick(timedelta(days=30))
        beat.turn(frozen, 60)
        beat.scheduler.close()
        frozen.tick(timedelta(days=-30))
        again = Beat(tmp_path)
        assert again.turn(frozen, 62).count("sweep-operations") == 6
        again.scheduler.close()
        again.app.close()


class TestBrokerTrouble:
    """No error of the broker ends beat."""

    @pytest.mark.parametrize("error", [MasterDownError("MASTERDOWN"), OutOfMemoryError("OOM"), AttributeError("gone")])
    def test_goes_on(self, beat: Beat, frozen: FrozenDateTimeFactory, error: Exception) -> None:
        """Whatever is raised while an entry is sent, the next look sends what is due."""
        tried: list[str] = []

        def fail(entry: Any, producer: object = None) -> None:
            assert producer
            tried.append(entry.name)
            raise error

        beat.turn(frozen, 5)
        note = beat.scheduler.apply_entry
        beat.scheduler.apply_entry = fail  # type: ignore[method-assign] # as above
        beat.turn(frozen, 30)
        beat.scheduler.apply_entry = note  # type: ignore[method-assign] # as above
        assert len(tried) > 10
        assert len(beat.turn(frozen, 30)) > 10
