import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from celery import Celery, chain, chord, group
from celery.canvas import Signature

from config.settings import Settings
from tests.support.raw_message import raw_message
from tests.support.system import serving
from workers.messages import check_task_message, read_envelope

#: The most that looking at one message may cost; taking it from the broker and running it costs a millisecond or more.
LOOK_SECONDS = 0.001


@pytest.fixture
def app(settings: Settings) -> Iterator[Celery]:
    """A Celery application on the real broker, which nobody serves."""
    with serving(settings) as made:
        # Nobody waits for a result, and results of a server would talk to it at the end of the process.
        made.conf.update(result_backend="cache+memory://")
        yield made


def task(app: Celery, **options: Any) -> Signature[Any]:
    """Give a call of a task, with options."""
    given = {"payment_id": "65f0c0ffee65f0c0ffee65f0", "requested_by": "دفعة \U0001f600"}
    return app.signature("payments.get", kwargs=given, **options)


#: Headers of a caller's own, nested ones among them.
OWN_HEADERS: Any = {"x-correlation-id": "a", "other": {"deep": [1]}}

#: Everything that a Python caller can ask Celery for.
CALLS: dict[str, Callable[[Celery], Any]] = {
    "plain": lambda app: task(app).apply_async(),
    "positional": lambda app: app.send_task("payments.get", args=["65f0c0ffee65f0c0ffee65f0"]),
    "countdown": lambda app: task(app).apply_async(countdown=5),
    "eta": lambda app: task(app).apply_async(eta=datetime.now(UTC) + timedelta(seconds=5)),
    "expires in": lambda app: task(app).apply_async(expires=60.5),
    "expires at": lambda app: task(app).apply_async(expires=datetime.now(UTC) + timedelta(seconds=60)),
    "time limits": lambda app: task(app).apply_async(time_limit=10, soft_time_limit=5.5),
    "priority": lambda app: task(app).apply_async(priority=3),
    "own id": lambda app: task(app).apply_async(task_id="order 4711/capture"),
    "shadow": lambda app: task(app).apply_async(shadow="get"),
    "no result": lambda app: task(app).apply_async(ignore_result=True),
    "own headers": lambda app: task(app).apply_async(headers=OWN_HEADERS),
    "links": lambda app: task(app).apply_async(link=task(app), link_error=[task(app), task(app)]),
    "chain": lambda app: chain(task(app), task(app), task(app)).apply_async(),
    "group": lambda app: group([task(app), task(app)]).apply_async(),
    "chord": lambda app: chord([task(app), task(app)], task(app)).apply_async(),
    "stamped": lambda app: _stamped(task(app)),
    "reply": lambda app: task(app).apply_async(reply_to="a-queue"),
}


def _stamped(call: Signature[Any]) -> None:
    call.stamp(order="4711")
    call.apply_async()


class TestGenuine:
    """What a caller may write in earnest is never refused."""

    @pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
    def test_celery(self, app: Celery, settings: Settings, call: Callable[[Celery], Any]) -> None:
        """Every kind of call that Celery makes passes."""
        call(app)
        with redis.Redis.from_url(str(settings.redis_url)) as broker:
            found = [raw for key in broker.keys("payments*") for raw in broker.lrange(key, 0, -1)]
        assert found
        for raw in found:
            check_task_message(read_envelope(raw))

    def test_least(self) -> None:
        """The least that another language may write passes: no tag, no exchange, no follow-up, plain text."""
        message = raw_message("payments.get", {"payment_id": "65f0c0ffee65f0c0ffee65f0"}, queue="payments")
        message["body"] = '[[], {"payment_id": "65f0c0ffee65f0c0ffee65f0"}, null]'
        message["properties"] = {"delivery_info": {}}
        check_task_message(read_envelope(json.dumps(message)))

    def test_cheap(self) -> None:
        """Looking at a message costs next to nothing."""
        message = raw_message("payments.get", {"payment_id": "65f0c0ffee65f0c0ffee65f0"}, queue="payments")
        raw, began = json.dumps(message).encode(), time.process_time()
        for _ in range(500):
            check_task_message(read_envelope(raw))
        assert (time.process_time() - began) / 500 < LOOK_SECONDS
