import math
from typing import Any

from celery import Celery

from tasks.base import DomainTask
from tasks.timekeeping import limit_of, seconds_left


def look(**options: Any) -> float:
    """Run a task that tells how much time it has."""
    app = Celery("tests-clock", set_as_current=False, broker="memory://")

    @app.task(base=DomainTask, name="tests.look", bind=True, typing=False, shared=False, **options)
    def asked(_: DomainTask) -> float:
        return seconds_left()

    task: Any = asked
    return float(task.apply().get())


class TestSecondsLeft:
    """A task knows how long it may still run."""

    def test_within_and_after(self) -> None:
        """It has its own soft limit from its beginning, and what runs after it has no limit."""
        assert 15 < look(soft_time_limit=20) <= 20
        assert seconds_left() == math.inf

    def test_without_limit(self) -> None:
        """A task without a limit has all the time there is."""
        assert look() == math.inf


def test_limit_of_a_caller() -> None:
    """The shortest of its own limit and those that its caller has set is when a task is stopped."""
    rows = {None: 20.0, (None, None): 20.0, (9.0, None): 9.0, (None, 5.0): 5.0, (9.0, 5.0): 5.0, (99.0, 99.0): 20.0}
    assert {given: limit_of(given, 20.0) for given in rows} == rows
    assert limit_of(None, None) is None
