"""Counts how often a message was begun and never ended: three lost workers are enough.

Celery counts a lost child as a retry, but when a whole worker dies its message comes back as it was, for ever. The
count is kept in the broker beside the messages, under the task's id and its retry, so that it is lost with them and not
before them. It is begun where the task runs and not where the message arrives: one that only waited in a worker that
another task took down is not to blame.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import redis
import structlog
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from config.connections import redis_client
from tasks.errors import WorkersLost

log = structlog.get_logger(__name__)

#: How many workers one message may take with it.
MOST_LOST_WORKERS = 3

#: Seconds for which a count is kept: longer than any message takes to come back.
KEPT_SECONDS = 3_600

#: Seconds that the broker has to count; without an answer the task runs uncounted.
COUNT_SECONDS = 0.5


@contextmanager
def counted(broker_url: str, task_id: str, retries: int) -> Iterator[None]:
    """Count this run as begun, and take the count back when it has ended, however it ended.

    Raises:
        WorkersLost: it was begun too often already without ending; it is not begun again.
    """
    key = f"deliveries:{task_id}:{retries}"
    client = broker(broker_url, os.getpid())
    begun = _begin(client, key)
    if begun is not None and begun > MOST_LOST_WORKERS:
        raise WorkersLost(begun - 1)
    try:
        yield
    finally:
        _end(client, key)


@lru_cache(maxsize=2)
def broker(url: str, process: int) -> redis.Redis:
    """Return this process's client of the broker; `process` keeps a child from using its parent's."""
    del process
    client = redis_client(url, timeout_seconds=COUNT_SECONDS)
    client.set_retry(Retry(NoBackoff(), 0))
    return client


def _begin(client: redis.Redis, key: str) -> int | None:
    try:
        with client.pipeline() as together:
            together.incr(key)
            together.expire(key, KEPT_SECONDS)
            begun = int(together.execute()[0])
    except (RedisError, OSError) as error:
        log.debug("delivery_uncounted", reason=type(error).__name__)
        return None
    return begun


def _end(client: redis.Redis, key: str) -> None:
    try:
        client.delete(key)
    except (RedisError, OSError) as error:
        log.debug("delivery_uncounted", reason=type(error).__name__)
