import json
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any
from uuid import uuid4

import pytest
import redis
from billiard.einfo import ExceptionInfo
from billiard.exceptions import WorkerLostError
from celery import Celery
from kombu.message import Message

from config.settings import Settings
from tasks import deliveries, payments
from tasks.broker_clock import time_of
from tasks.deliveries import HERE, LEFT, MOST_LOST_WORKERS, counted, note_lost_child, presence_of, runs_of
from tasks.errors import WorkersLost
from tasks.requests import DomainRequest
from tests.support.raw_message import raw_message
from tests.support.system import serving
from tests.support.waiting import eventually
from workers.presence import Presence

#: Celery's own way of storing a result.
pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated setex")

PAYMENT_ID = "0" * 24


@pytest.fixture
def broker(settings: Settings) -> Iterator[redis.Redis]:
    """The broker."""
    with redis.Redis.from_url(str(settings.redis_url), decode_responses=True) as client:
        yield client


def lost_with(broker: redis.Redis, task_id: str, instance: str) -> None:
    """Leave what a run leaves whose worker was killed over it."""
    broker.hset(runs_of(task_id), uuid4().hex, f"{instance}/7")


def begun(settings: Settings, task_id: str) -> bool:
    """Tell whether a task is begun once more."""
    with suppress(WorkersLost), counted(str(settings.redis_url), task_id):
        return True
    return False


class TestDeaths:
    """Deaths are counted by themselves: runs whose worker or child is gone, and nothing else."""

    def test_handed_out_again(self, settings: Settings, broker: redis.Redis) -> None:
        """A message that is handed out again and again while its run goes on, by a clock that is ahead, is no death."""
        with ExitStack() as runs:
            for _ in range(10):
                runs.enter_context(counted(str(settings.redis_url), "task-1"))
        assert not broker.exists(runs_of("task-1"))

    def test_by_busy_workers(self, settings: Settings, broker: redis.Redis) -> None:
        """Nor is one that other workers still run, or that workers have put back before they left."""
        for number in range(10):
            broker.set(presence_of(f"worker-{number}"), HERE if number % 2 else LEFT)
            lost_with(broker, "task-1", f"worker-{number}")
        assert begun(settings, "task-1")
        assert broker.hlen(runs_of("task-1")) == 5, "what was put back is forgotten"

    def test_three(self, settings: Settings, broker: redis.Redis) -> None:
        """Three workers that are gone are enough, over all tries of the task; one that is back after all is none."""
        for number in range(MOST_LOST_WORKERS):
            assert begun(settings, "task-1")
            broker.set(presence_of(f"killed-{number}"), HERE, px=1)
            lost_with(broker, "task-1", f"killed-{number}")
            eventually(lambda number=number: not broker.exists(presence_of(f"killed-{number}")))  # type: ignore[misc] # a default
        assert not begun(settings, "task-1")
        assert begun(settings, "task-2")
        broker.set(presence_of("killed-1"), HERE)
        assert begun(settings, "task-1")

    def test_children(self, settings: Settings, broker: redis.Redis) -> None:
        """A child's death is noted by its parent, once, whether it had begun or not."""
        for number in range(MOST_LOST_WORKERS):
            assert begun(settings, "task-1")
            if number:
                broker.hset(runs_of("task-1"), uuid4().hex, f"{deliveries.INSTANCE}/{number}")
            note_lost_child(str(settings.redis_url), "task-1", number or None)
        assert broker.hlen(runs_of("task-1")) == MOST_LOST_WORKERS
        assert not begun(settings, "task-1")

    def test_broker_away(self, free_port: int) -> None:
        """Without a broker a task runs uncounted."""
        url = f"redis://127.0.0.1:{free_port}/0"
        note_lost_child(url, "task-1", 7)
        with counted(url, "task-1"):
            pass


class TestPresence:
    """A worker says that it is there, again and again, and when it leaves."""

    def test_life(self, settings: Settings, broker: redis.Redis) -> None:
        """What it says holds for a part of the visibility timeout; its leaving is remembered."""
        key = presence_of(deliveries.INSTANCE)
        worker = Presence(settings.model_copy(update={"visibility_timeout_seconds": 2})).start()
        assert broker.get(key) == HERE
        ends = eventually(lambda: max(0, broker.pexpiretime(key)))
        assert ends <= time_of(broker) * 1000 + 500
        broker.delete(key)
        eventually(lambda: broker.get(key) == HERE)
        worker.join()
        assert broker.get(key) == LEFT
        broker.delete(key)


@pytest.fixture
def app(settings: Settings) -> Iterator[Celery]:
    """A Celery application on the real broker, which nobody serves."""
    with serving(settings) as made:
        yield made


def lose_child(app: Celery, retries: int) -> dict[str, Any]:
    """Have a worker's parent see the child die that ran a task; return the task's headers when it is tried again."""
    sent = raw_message("payments.get", {"payment_id": PAYMENT_ID}, queue="payments", task_id="task-1")
    sent["headers"]["retries"] = retries
    message = Message(
        body=sent["body"], headers=sent["headers"], properties=sent["properties"], content_type="application/json",
        content_encoding="utf-8", delivery_info=sent["properties"]["delivery_info"],
    )  # fmt: skip
    body = [[], {"payment_id": PAYMENT_ID}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
    request = DomainRequest(message, app=app, task=app.tasks["payments.get"], body=body, decoded=True)
    with pytest.raises(WorkerLostError) as killed:
        raise WorkerLostError("killed")
    request.on_failure(ExceptionInfo((killed.type, killed.value, killed.tb)))
    with redis.Redis.from_url(str(app.conf.broker_url)) as broker:
        raw: Any = broker.rpop("payments")
    return dict(json.loads(raw)["headers"]) if raw else {}


class TestLostChild:
    """A child that is lost is one death, however often the task has waited before."""

    def test_tried_again(self, app: Celery, broker: redis.Redis) -> None:
        """A task that has waited for others is tried again all the same, and nobody calls it failed."""
        assert payments.get.name == "payments.get"
        for waited in (0, 3, 8):
            broker.flushall()
            again = lose_child(app, waited)
            assert (again.get("id"), again.get("retries")) == ("task-1", waited + 1)
            assert app.backend.get_task_meta("task-1", cache=False)["status"] == "RETRY"
            assert broker.hvals(runs_of("task-1")) == ["lost"]
