"""What a worker has taken, on a real broker that is full, demoted or gone."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from celery import Celery
from kombu import Connection
from kombu.message import Message
from pymongo.database import Database

from config.settings import Settings
from observability.kept_messages import KeptMessages
from tasks.kept import queue_left
from tasks.publishing import leave_to_sweeps
from tasks.wiring import build_world
from tests.integration.quarantine.hostile import base
from tests.support.system import serving
from workers.channel import Transport
from workers.kept import OWED, opened_by
from workers.stack import EmbeddedValkey

Json = dict[str, Any]

#: A client of the broker; the stubs know less of it.
Client = Any


@pytest.fixture
def broker(settings: Settings) -> Iterator[Client]:
    """The broker as anybody reaches it; whatever a test does to it is undone."""
    with redis.Redis.from_url(str(settings.redis_url), decode_responses=True) as client:
        yield client
        client.execute_command("REPLICAOF", "NO", "ONE")
        client.config_set("maxmemory", "0")


@pytest.fixture
def app(settings: Settings) -> Iterator[Celery]:
    """A Celery application whose process keeps what it owes the broker in this test's database."""
    OWED.opened = opened_by(settings)
    with serving(settings) as made:
        yield made
    OWED.opened = None
    assert OWED.waiting() == 0


class Worker:
    """Takes messages as a worker does, and leaves the rest to the test."""

    def __init__(self, connection: Connection, consumer: Any) -> None:
        self.connection, self.consumer, self.taken = connection, consumer, list[Message]()
        consumer.on_message = self.taken.append

    @property
    def qos(self) -> Any:
        """Its notes of what it has taken."""
        return self.consumer.channel.qos

    def take(self) -> Message:
        """Take the next message."""
        self.connection.drain_events(timeout=5)
        return self.taken[-1]


@contextmanager
def working(app: Celery) -> Iterator[Worker]:
    """Consume from the tasks' queues through the worker's transport."""
    with app.connection_for_read(transport="workers.channel:Transport") as connection:
        yield Worker(connection, app.amqp.TaskConsumer(connection.default_channel).__enter__())


def push(broker: Client, **arguments: Any) -> str:
    """Enqueue a message, and return its task's id."""
    message = base(**arguments)
    broker.lpush("payments", json.dumps(message))
    return str(message["headers"]["id"])


def waiting(broker: Client) -> list[str]:
    """List the ids of the tasks that wait, the next one last."""
    return [json.loads(raw)["headers"]["id"] for raw in broker.lrange("payments", 0, -1)]


class TestFull:
    """A broker without memory is emptied all the same."""

    def test_taken_and_done(self, app: Celery, broker: Client) -> None:
        """A message is noted, acknowledged, put back and handed back while every other write is refused."""
        first, second, third = (push(broker) for _ in range(3))
        with working(app) as worker:
            worker.take()  # the consumer's own notes are made before
            broker.config_set("maxmemory", "1")
            with pytest.raises(redis.OutOfMemoryError):
                broker.set("any", "thing")
            assert [worker.taken[0].headers["id"], worker.take().headers["id"], worker.take().headers["id"]] == [
                first, second, third,
            ]  # fmt: skip
            assert broker.hlen("unacked") == broker.zcard("unacked_index") == 3
            worker.taken[0].ack()
            worker.taken[1].reject(requeue=True)
            assert (broker.hlen("unacked"), waiting(broker)) == (1, [second])
            worker.qos.visibility_timeout = -1
            worker.qos.restore_visible()
            assert (broker.hlen("unacked"), waiting(broker)) == (0, [second, third])


class TestRefused:
    """A message whose place among the unacknowledged cannot be written is put back."""

    def refuse(self, worker: Worker, broker: Client, task_id: str) -> None:
        """Demote the broker between the pop and the note."""
        (raw,) = broker.lrange("payments", 0, -1)
        broker.delete("payments")
        broker.execute_command("REPLICAOF", "127.0.0.1", "1")
        with pytest.raises(Transport.connection_errors):
            worker.consumer.channel._take(raw.encode(), "payments")
        assert OWED.waiting() == 1
        assert worker.taken == []
        assert json.loads(raw)["headers"]["id"] == task_id

    def test_kept(self, app: Celery, broker: Client, database: Database[Json]) -> None:
        """It is in MongoDB until the broker takes it again, then in its queue, and nowhere else."""
        task_id = push(broker)
        with working(app) as worker:
            self.refuse(worker, broker, task_id)
            (row,) = database["kept_messages"].find()
            assert row["key"] == "payments"
            assert json.loads(row["raw"])["headers"]["id"] == task_id
            broker.execute_command("REPLICAOF", "NO", "ONE")
            worker.qos.restore_visible()
        assert waiting(broker) == [task_id]
        assert database["kept_messages"].count_documents({}) == 0

    def test_secret(self, app: Celery, broker: Client, database: Database[Json]) -> None:
        """One with a card's token in it is in this process's memory only."""
        task_id = push(broker, token="2C4654BC67A3EE35C6B691A27383CC4B")
        with working(app) as worker:
            self.refuse(worker, broker, task_id)
            assert database["kept_messages"].count_documents({}) == 0
            broker.execute_command("REPLICAOF", "NO", "ONE")
            worker.qos.restore_visible()
        assert waiting(broker) == [task_id]

    def test_left_behind(self, app: Celery, broker: Client, settings: Settings, database: Database[Json]) -> None:
        """What its keeper could not queue again any more is queued by the sweep half a minute later, and not before."""
        del app
        kept = KeptMessages(database)
        kept.keep("tag-1", "payments", json.dumps(base()))
        world = build_world(settings, send=leave_to_sweeps)
        try:
            assert (queue_left(world), broker.llen("payments")) == (0, 0)
            kept.rows.update_one({}, {"$set": {"kept_at": datetime.now(UTC) - timedelta(seconds=31)}})
            assert (queue_left(world), broker.llen("payments"), kept.rows.count_documents({})) == (1, 1, 0)
        finally:
            world.close()


class TestConnectionLost:
    """A connection that is given up leaves what runs alone, and nothing of it ends the worker."""

    def test_late_acknowledgement(self, app: Celery, broker: Client) -> None:
        """What ran when the connection was lost is acknowledged through the next one; the rest is put back at once."""
        push(broker)
        unbegun = push(broker)
        with working(app) as worker:
            running = worker.take()
            worker.take()
            worker.qos.leave([running.delivery_tag])
            worker.connection.collect()
            worker.connection.close()
            assert waiting(broker) == [unbegun]
            running.ack()
            assert broker.hlen("unacked") == 1
        with working(app) as worker:
            worker.qos.restore_visible()
            assert (broker.hlen("unacked"), waiting(broker)) == (0, [unbegun])

    def test_broker_gone(self, app: Celery, broker: Client, valkey: EmbeddedValkey) -> None:
        """With the broker gone nothing is raised by closing, acknowledging or putting back; all is told later."""
        for _ in range(3):
            push(broker)
        with working(app) as worker:
            done, rejected, unbegun = (worker.take() for _ in range(3))
            valkey.kill()
            done.ack()
            rejected.reject(requeue=True)
            worker.consumer.channel.close()
            assert OWED.waiting() == 3
            valkey.start()
        assert broker.hlen("unacked") == 3
        with working(app) as worker:
            worker.qos.restore_visible()
        assert broker.hlen("unacked") == 0
        assert set(waiting(broker)) == {rejected.headers["id"], unbegun.headers["id"]}

    def test_last_message(self, app: Celery, broker: Client) -> None:
        """A message that arrives while the connection is closed goes back to its queue and is not begun."""
        with working(app) as worker:
            with pytest.raises(TimeoutError):
                worker.connection.drain_events(timeout=0.01)
            task_id = push(broker)
            worker.consumer.channel.close()
            assert worker.taken == []
        assert (waiting(broker), broker.hlen("unacked")) == ([task_id], 0)


class TestNotes:
    """What stands in the notes, whoever has written it."""

    def test_brokers_time(self, app: Celery, broker: Client) -> None:
        """A note has the broker's time; one that lies in the future counts from now."""
        push(broker)
        with working(app) as worker:
            worker.take()
            ((tag, at),) = broker.zrange("unacked_index", 0, -1, withscores=True)
            assert at == pytest.approx(broker.time()[0], abs=5)
            broker.zadd("unacked_index", {tag: at + 3600})
            worker.qos.restore_visible()
            assert broker.zscore("unacked_index", tag) == pytest.approx(broker.time()[0], abs=5)
            worker.taken[0].ack()

    @pytest.mark.parametrize("note", ["{", '["x", "", "payments"]', "[{}, 1]", "null"])
    def test_unreadable(self, app: Celery, broker: Client, note: str) -> None:
        """A note that nobody can read is put away, and holds up nothing behind it."""
        task_id = push(broker)
        with working(app) as worker:
            worker.take()
            broker.hset("unacked", "bad", note)
            broker.zadd("unacked_index", {"bad": 1, worker.taken[0].delivery_tag: 2})
            worker.qos.restore_visible()
        assert (waiting(broker), broker.hlen("unacked"), broker.llen("quarantine")) == ([task_id], 0, 1)

    def test_one_puts_back(self, app: Celery, broker: Client) -> None:
        """Two that put back the same message at the same time queue it once."""
        push(broker)
        with working(app) as worker:
            tag = worker.take().delivery_tag
            for _ in range(2):
                worker.qos.restore_by_tag(tag)
        assert len(waiting(broker)) == 1
