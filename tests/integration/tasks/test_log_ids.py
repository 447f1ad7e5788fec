from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from celery.app.trace import build_tracer
from structlog.contextvars import bind_contextvars, clear_contextvars, get_contextvars

from config.queues import CORRELATION_HEADER
from config.settings import Settings
from payments.events import Context
from tasks.arguments import OfPayment
from tasks.base import domain_task
from tasks.wiring import World, build_world, use_world
from tests.support.system import serving

PAYMENT_ID = "0" * 24

#: What the lines of the last run carried while its body ran.
SEEN: dict[str, Any] = {}


@domain_task("tests.log_ids", OfPayment)
def looking(world: World, asked: OfPayment, context: Context) -> str:
    """Look at what this run's lines carry; fail when asked by somebody."""
    del world, context
    SEEN.update(get_contextvars())
    if asked.requested_by:
        raise ZeroDivisionError
    return "done"


@pytest.fixture
def app(settings: Settings) -> Iterator[Celery]:
    """An application with a world, and nothing on the log lines before or after."""
    SEEN.clear()
    clear_contextvars()
    with serving(settings) as made:
        use_world(build_world(settings))
        yield made
        use_world(None)
    clear_contextvars()


def traced(app: Celery, task_id: str, **arguments: Any) -> str:
    """Run the task as a worker's child does, from the signal before it to the one after it; give its state."""
    task = app.tasks[looking.name]
    request = {
        "id": task_id,
        "delivery_info": {"exchange": "", "routing_key": "payments"},
        "headers": {CORRELATION_HEADER: f"c-{task_id}"},
        "called_directly": False,
        "is_eager": False,
        "retries": 0,
        "ignore_result": True,
    }
    _, info, _, _ = build_tracer(looking.name, task, app=app)(task_id, [], arguments, request)
    return "SUCCESS" if info is None else str(info.state)


class TestLogIds:
    """Every line of a run has its ids, and no line after it: a child runs many tasks, and says things between them."""

    @pytest.mark.parametrize(("requested_by", "state"), [(None, "SUCCESS"), ("somebody", "FAILURE")])
    def test_gone_afterwards(self, app: Celery, requested_by: str | None, state: str) -> None:
        """However a run ends, its ids are bound within it and nothing is bound after it."""
        given = {"requested_by": requested_by} if requested_by else {}
        assert traced(app, "task-1", payment_id=PAYMENT_ID, **given) == state
        ids = {"task_id": "task-1", "task_name": "tests.log_ids", "correlation_id": "c-task-1"}
        assert dict(SEEN) == {**ids, "payment_id": PAYMENT_ID, **given}
        assert get_contextvars() == {}

    def test_bad_arguments(self, app: Celery) -> None:
        """A run that ends before its body leaves nothing either."""
        assert traced(app, "task-1", payment_id="x") == "FAILURE"
        assert SEEN == {}
        assert get_contextvars() == {}

    def test_nothing_inherited(self, app: Celery) -> None:
        """What was bound before a run, by whomever, is on none of its lines."""
        bind_contextvars(delivery_id="of another run")
        assert traced(app, "task-2", payment_id=PAYMENT_ID) == "SUCCESS"
        assert "delivery_id" not in SEEN
        assert get_contextvars() == {}
