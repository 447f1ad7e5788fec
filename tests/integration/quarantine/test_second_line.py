import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from celery import Celery
from celery.exceptions import WorkerShutdown
from kombu import Connection

from config.settings import Settings
from tests.integration.quarantine.hostile import base
from tests.support.system import serving
from workers.consumer import QuarantineConsumer


@pytest.fixture
def app(settings: Settings) -> Iterator[Celery]:
    """A Celery application on the real broker, which nobody serves."""
    with serving(settings) as made:
        yield made


@pytest.fixture
def connection(app: Celery) -> Iterator[Connection]:
    """A worker's connection to the broker."""
    with app.connection_for_read(transport="workers.channel:Transport") as connected:
        yield connected


def receive(app: Celery, connection: Connection, trouble: Exception) -> None:
    """Take one message through the worker's consumer, to a strategy that raises."""

    def strategy(*_: Any) -> None:
        raise trouble

    consumer = object.__new__(QuarantineConsumer)
    vars(consumer).update(
        app=app,
        strategies={"payments.get": strategy},
        on_task_message=set(),
        connection_errors=connection.connection_errors,
        channel_errors=connection.channel_errors,
        _maximum_prefetch_restored=True,
    )
    handle = consumer.create_task_handler()
    with app.amqp.TaskConsumer(connection.default_channel, on_message=handle):
        connection.drain_events(timeout=5)


class TestSecondLine:
    """Whatever a well-formed message does to Celery, the worker lives; trouble with the broker is another matter."""

    def test_any_error(self, app: Celery, connection: Connection, settings: Settings) -> None:
        """An error that nobody has foreseen puts the message away and takes it off the broker."""
        message = base()
        with redis.Redis.from_url(str(settings.redis_url)) as broker:
            broker.lpush("payments", json.dumps(message))
            receive(app, connection, ZeroDivisionError("of Celery's own"))
            (letter,) = [json.loads(text) for text in broker.lrange("quarantine", 0, -1)]
            assert (broker.llen("payments"), broker.hlen("unacked")) == (0, 0)
        assert (letter["kind"], letter["text"]) == ("malformed", "ZeroDivisionError: of Celery's own")
        assert (letter["task_id"], letter["queue"]) == (message["headers"]["id"], "payments")

    def test_same_id(self, app: Celery, connection: Connection, settings: Settings) -> None:
        """A message that comes back, because its worker died before it was off the broker, has the same letter."""
        message = base()
        with redis.Redis.from_url(str(settings.redis_url)) as broker:
            for again in (False, True):
                if again:
                    message["headers"]["redelivered"] = True
                message["properties"]["delivery_info"]["redelivered"] = again
                broker.lpush("payments", json.dumps(message))
                receive(app, connection, ZeroDivisionError())
            letters = [json.loads(text) for text in broker.lrange("quarantine", 0, -1)]
        assert len(letters) == 2
        assert len({one["letter_id"] for one in letters}) == 1

    def test_broker_trouble(self, app: Celery, connection: Connection, settings: Settings) -> None:
        """A broker that fails is not the message's fault: it stays where it is."""
        with redis.Redis.from_url(str(settings.redis_url)) as broker:
            broker.lpush("payments", json.dumps(base()))
            with pytest.raises(redis.ConnectionError):
                receive(app, connection, redis.ConnectionError("gone"))
            assert (broker.hlen("unacked"), broker.llen("quarantine")) == (1, 0)


class TestStrangeErrors:
    """A worker that lives and takes nothing is worse than one that is started anew."""

    def test_ended(self) -> None:
        """An error that is not the broker's ends the worker when it comes with five connections in a row."""
        consumer = object.__new__(QuarantineConsumer)
        vars(consumer).update(_failures=0, _strange=0, _began=time.monotonic())
        for error in (*[ValueError()] * 4, redis.OutOfMemoryError("full"), *[ValueError()] * 4):
            consumer._pause(error)
        with pytest.raises(WorkerShutdown):
            consumer._pause(ValueError())
