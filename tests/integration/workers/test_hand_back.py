import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from kombu import Connection
from kombu.transport import redis as kombu_redis

from config.queues import DEFAULT_QUEUE
from tasks.broker_clock import time_of
from tests.support.raw_message import raw_message

#: The keys in which kombu keeps what is delivered and not acknowledged.
MARKS, KEPT = "unacked_index", "unacked"

#: Seconds after which a message that nobody acknowledged is handed back, and how far a machine is off here.
VISIBLE, OFF = 60.0, 3600.0


@pytest.fixture
def broker(redis_url: str) -> Iterator[redis.Redis]:
    """The emptied broker."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


@pytest.fixture
def channel(redis_url: str) -> Iterator[Any]:
    """A worker's channel."""
    options = {"visibility_timeout": VISIBLE}
    with Connection(redis_url, transport="workers.channel:Transport", transport_options=options) as connection:
        opened: Any = connection.channel()
        yield opened
        opened.qos._delivered.clear()  # the test is a worker that was lost: it puts nothing back


def machine_off(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Have this machine's clock be off, as kombu sees it."""
    true = time.time
    monkeypatch.setattr(kombu_redis, "time", lambda: true() + seconds)


def take(channel: Any, broker: redis.Redis) -> str:
    """Take a message, and give the tag that it is kept under."""
    broker.lpush(DEFAULT_QUEUE, json.dumps(raw_message("payments.get", {"payment_id": "f" * 24}, queue=DEFAULT_QUEUE)))
    message = channel.basic_get(DEFAULT_QUEUE)
    return str(message.delivery_tag)


def look(channel: Any) -> None:
    """Do what each worker does every second."""
    channel.qos.restore_visible(num=channel.unacked_restore_limit, interval=1)


class TestHandBack:
    """Messages are handed back by the broker's clock, whatever a worker's machine says."""

    @pytest.mark.parametrize("seconds", [OFF, -OFF])
    def test_marked(self, channel: Any, broker: redis.Redis, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
        """What is taken is marked by the broker's time, and what it is survives."""
        machine_off(monkeypatch, seconds)
        before = time_of(broker)
        tag = take(channel, broker)
        assert before <= (broker.zscore(MARKS, tag) or 0) <= time_of(broker)
        assert broker.hexists(KEPT, tag)

    @pytest.mark.parametrize("seconds", [OFF, -OFF])
    def test_handed_back(
        self, channel: Any, broker: redis.Redis, monkeypatch: pytest.MonkeyPatch, seconds: float
    ) -> None:
        """What others are at stays theirs; what is older than the timeout is handed back, acknowledged by nobody."""
        tag = take(channel, broker)
        machine_off(monkeypatch, seconds)
        look(channel)
        assert (broker.llen(DEFAULT_QUEUE), broker.hexists(KEPT, tag)) == (0, True)
        broker.zincrby(MARKS, -VISIBLE - 1, tag)
        look(channel)
        assert (broker.llen(DEFAULT_QUEUE), broker.hexists(KEPT, tag), broker.zcard(MARKS)) == (1, False, 0)

    def test_brought_down(self, channel: Any, broker: redis.Redis) -> None:
        """A mark that a worker of the version before has set an hour ahead counts from now on."""
        tag = take(channel, broker)
        broker.zincrby(MARKS, OFF, tag)
        look(channel)
        assert (broker.zscore(MARKS, tag) or 0) <= time_of(broker)
        assert (broker.llen(DEFAULT_QUEUE), broker.zcard(MARKS)) == (0, 1)
        broker.zadd(MARKS, {tag: time_of(broker) - VISIBLE - 1})
        look(channel)
        assert broker.llen(DEFAULT_QUEUE) == 1
