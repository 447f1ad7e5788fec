"""A worker's own way to its queues, without the worker: what is taken from the broker, in which order."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from celery import Celery
from celery.worker import WorkController
from kombu import Connection, Consumer, Queue

from config.celeryconfig import celery_config
from config.queues import QUEUES, with_lanes
from config.settings import Settings
from tests.support.raw_message import raw_message
from workers.channel import Transport

#: What the commands of every version before there were lanes name.
MONEY, READS = ["payments", "webhooks", "reconcile"], ["aggregations", "maintenance"]

PAYMENT = {"payment_id": "0" * 24}


class Worker:
    """Takes messages one at a time, as a worker whose pool has one place."""

    def __init__(self, url: str, queues: list[str]) -> None:
        self.connection = Connection(url, transport=Transport)
        self.taken: list[tuple[str, str]] = []
        channel: Any = self.connection.channel()
        channel.basic_qos(prefetch_size=0, prefetch_count=1, apply_global=False)
        self.consumer = Consumer(
            channel, [Queue(name, routing_key=name) for name in queues], on_message=self._note, accept=["json"]
        )
        self.consumer.consume()

    def take(self) -> tuple[str, str] | None:
        """Take the next message: its id, and the queue it came from; None when nothing waits."""
        before = len(self.taken)
        try:
            while len(self.taken) == before:
                self.connection.drain_events(timeout=0.3)
        except TimeoutError:
            return None
        return self.taken[-1]

    def _note(self, message: Any) -> None:
        self.taken.append((message.headers["id"], message.delivery_info["routing_key"]))
        message.ack()


@contextmanager
def reading(settings: Settings, queues: list[str]) -> Iterator[Worker]:
    """Read queues."""
    worker = Worker(str(settings.redis_url), queues)
    try:
        yield worker
    finally:
        worker.connection.release()


@pytest.fixture
def broker(redis_url: str) -> Iterator[redis.Redis]:
    """The broker's lists."""
    with redis.Redis.from_url(redis_url) as client:
        yield client


def push(broker: redis.Redis, queue: str, task: str, task_id: str, **headers: str) -> None:
    """Write a message as a producer of the version before does: into the queues that there were."""
    message = raw_message(task, PAYMENT, queue=queue, task_id=task_id)
    message["headers"] |= headers
    broker.lpush(queue, json.dumps(message))


class TestProducersOfBefore:
    """They know the doors only, and are served by class all the same."""

    def test_behind_bulk(self, settings: Settings, broker: redis.Redis) -> None:
        """Who stands behind a hundred bulk messages at one door is served within a round; all are, once each."""
        for number in range(100):
            push(broker, "payments", "payments.create_page", f"bulk-{number}", **{"x-class": "bulk"})
        push(broker, "payments", "payments.create_page", "payer")
        push(broker, "payments", "payments.refund", "refund")
        with reading(settings, with_lanes(MONEY)) as worker:
            order = list(iter(worker.take, None))
        ids = [task_id for task_id, _ in order]
        assert sorted(ids) == sorted([*(f"bulk-{number}" for number in range(100)), "payer", "refund"])
        assert max(ids.index("payer"), ids.index("refund")) <= 20
        assert (dict(order)["payer"], dict(order)["refund"]) == ("payments", "payments.staff")
        assert {queue for task_id, queue in order if task_id.startswith("bulk")} == {"payments.bulk"}

    def test_every_door(self, settings: Settings, broker: redis.Redis) -> None:
        """What lay in the queues of the version before is put into its lane, and what has none is served there."""
        table = {
            ("payments", "payments.create_page"): "payments",
            ("payments", "payments.refund"): "payments.staff",
            ("payments", "unheard.of"): "payments",
            ("payments", "aggregations.run"): "payments",
            ("webhooks", "webhooks.process"): "webhooks",
            ("reconcile", "payments.poll"): "reconcile.polls",
            ("reconcile", "maintenance.sweep_inbox"): "reconcile",
            ("events", "events.handle"): "events.reactions",
            ("events", "events.replay"): "events",
            ("aggregations", "aggregations.run"): "aggregations",
            ("aggregations", "aggregations.invalidate"): "aggregations.first",
            ("aggregations", "views.refresh"): "aggregations.refreshes",
            ("maintenance", "maintenance.redact"): "maintenance",
            ("payments.bulk", "payments.refund"): "payments.bulk",
        }
        for number, (queue, task) in enumerate(table):
            push(broker, queue, task, f"id-{number}")
        with reading(settings, list(QUEUES)) as worker:
            found = dict(iter(worker.take, None))
        assert found == {f"id-{number}": lane for number, lane in enumerate(table.values())}

    def test_lane_not_read(self, settings: Settings, broker: redis.Redis) -> None:
        """A worker that does not read a lane puts nothing into it: it serves the message where it lies."""
        push(broker, "payments", "payments.refund", "refund")
        with reading(settings, MONEY) as worker:
            assert worker.take() == ("refund", "payments")
        assert broker.llen("payments.staff") == 0

    def test_cannot_be_put(self, settings: Settings, broker: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
        """What the broker does not take into a lane is not lost: it is served where it lay."""
        push(broker, "payments", "payments.refund", "refund")

        def full(*_: Any, **__: Any) -> None:
            raise redis.exceptions.OutOfMemoryError("OOM command not allowed")

        with reading(settings, with_lanes(MONEY)) as worker, monkeypatch.context() as patch:
            patch.setattr(redis.Redis, "lpush", full)
            assert worker.take() == ("refund", "payments")


class TestShares:
    """A worker takes by share, from the real broker."""

    def test_all_served(self, settings: Settings, broker: redis.Redis) -> None:
        """With a hundred messages in each queue of the money worker, each has its share of the first turns."""
        queues = with_lanes(MONEY)
        tasks = {"payments": "payments.get", "webhooks": "webhooks.process", "reconcile": "maintenance.sweep_inbox"}
        for queue in queues:
            for number in range(100):
                push(broker, queue, tasks.get(queue, "payments.get"), f"{queue}-{number}")
        with reading(settings, queues) as worker:
            order = [worker.take() for _ in range(90)]
        served = {queue: sum(1 for one in order if one and one[1] == queue) for queue in queues}
        assert served == {
            "payments": 24, "webhooks": 18, "payments.staff": 12, "payments.bulk": 6, "reconcile": 12,
            "reconcile.later": 12, "reconcile.polls": 6,
        }  # fmt: skip


class TestCommandsOfBefore:
    """A worker that is started with yesterday's `-Q` reads the new queues of its group too."""

    def test_selected(self, settings: Settings) -> None:
        """Whatever the command names: doors with their lanes, a lane alone; `-X` takes out; without `-Q` all."""
        table: list[tuple[list[str], list[str], list[str]]] = [
            (MONEY, [], with_lanes(MONEY)),
            (READS, [], with_lanes(READS)),
            (["events"], [], ["events", "events.reactions"]),
            (["payments.bulk"], [], ["payments.bulk"]),
            (["payments"], ["payments.bulk"], ["payments", "payments.staff"]),
            ([], [], list(QUEUES)),
        ]
        for include, exclude, expected in table:
            app = Celery("today", set_as_current=False, amqp="workers.lanes:LaneAMQP")
            app.conf.update(celery_config(settings))
            started: Any = SimpleNamespace(app=app)
            setup: Any = WorkController.setup_queues
            setup(started, ",".join(include) or None, ",".join(exclude) or None)
            assert sorted(app.amqp.queues.consume_from) == sorted(expected), include
            app.close()

    def test_of_before(self, settings: Settings) -> None:
        """Celery's own table, which the version before has, would read the doors alone."""
        app = Celery("before", set_as_current=False)
        app.conf.update(celery_config(settings))
        app.amqp.queues.select(MONEY)
        assert sorted(app.amqp.queues.consume_from) == sorted(MONEY)
        app.close()
