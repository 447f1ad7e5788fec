"""Running a task as a worker's child does, and looking at what it has put back."""

import json
from typing import Any

import redis

from tasks.timekeeping import task_begins
from tests.integration.payments.stage import Stage


def run(task: Any, **arguments: Any) -> Any:
    """Run a task as a worker does that was handed a message of it."""
    real = task._get_current_object()
    real.push_request(
        id="task-1", args=(), kwargs=arguments, retries=0, called_directly=False,
        delivery_info={"exchange": "", "routing_key": "payments"},
    )  # fmt: skip
    try:
        real.before_start("task-1", (), arguments)
        return real.run(**arguments)
    finally:
        real.pop_request()
        task_begins(None)


def waiting(stage: Stage) -> list[tuple[str, int]]:
    """Take the messages out of the callers' queue: each one's task and how many attempts it counts."""
    with redis.Redis.from_url(str(stage.settings.redis_url), decode_responses=True) as broker:
        envelopes = [json.loads(raw) for raw in broker.lrange("payments", 0, -1)]
        broker.delete("payments")
    return [(one["headers"]["task"], one["headers"]["retries"]) for one in envelopes]
