import math
from typing import Any

from celery import Celery

from tasks.base import DomainTask
from tasks.timekeeping import seconds_left


class TestSecondsLeft:
    """A task knows how long it may still run."""

    def test_within_and_after(self) -> None:
        """It has its own soft limit from its beginning, and what runs after it has no limit."""
        app = Celery("tests-clock", set_as_current=False, broker="memory://")

        @app.task(base=DomainTask, name="tests.look", bind=True, soft_time_limit=20, typing=False)
        def look(_: DomainTask) -> float:
            return seconds_left()

        task: Any = look
        assert 15 < task.apply().get() <= 20
        assert seconds_left() == math.inf

    def test_without_limit(self) -> None:
        """A task without a limit has all the time there is."""
        app = Celery("tests-clock", set_as_current=False, broker="memory://")
        task: Any = app.task(base=DomainTask, name="tests.look", bind=True, typing=False)(lambda _: seconds_left())
        assert task.apply().get() == math.inf
