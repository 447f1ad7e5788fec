"""Counts the workers that were lost over a task: three are enough.

A death is a run that began and whose worker is not there any more, or whose child process its parent saw die. Each run
notes itself in the broker, under the task's id, and takes the note back when it ends, however it ends. So a message
that is handed out again while its run goes on, one that is put back by a worker that leaves in good order, and a task
that waits for others are no deaths, whatever any clock says. The notes stand beside the messages, so that they are lost
with them and not before them. A run is noted where it begins and not where its message arrives: one that only waited in
a worker that another task took down is not to blame.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from uuid import uuid4

import redis
import structlog
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from config.connections import redis_client
from tasks.errors import WorkersLost

log = structlog.get_logger(__name__)

#: How many workers one task may take with it.
MOST_LOST_WORKERS = 3

#: Seconds for which a note is kept: longer than any message takes to come back.
KEPT_SECONDS = 3_600

#: Seconds that the broker has for a note; without an answer the task runs uncounted.
COUNT_SECONDS = 0.5

#: This worker, parent and children: made before the parent forks.
INSTANCE = uuid4().hex

#: What stands in place of a run's owner once its parent has seen its child die.
LOST = "lost"

#: What a worker says of itself: that it is there, or that it has left in good order.
HERE, LEFT = "here", "left"


@contextmanager
def counted(broker_url: str, task_id: str) -> Iterator[None]:
    """Note this run for as long as it goes on.

    Raises:
        WorkersLost: too many workers were lost over the task already; it is not begun again.
    """
    client, run = broker(broker_url, os.getpid()), uuid4().hex
    lost = _begin(client, runs_of(task_id), run)
    try:
        if lost >= MOST_LOST_WORKERS:
            raise WorkersLost(lost)
        yield
    finally:
        _end(client, runs_of(task_id), run)


def note_lost_child(broker_url: str, task_id: str, pid: int | None) -> None:
    """Note that a child of this worker has died over a task: its parent has seen it."""
    client, key = broker(broker_url, os.getpid()), runs_of(task_id)
    try:
        of_child = [run for run, owner in client.hgetall(key).items() if owner == _owner(pid)]
        with client.pipeline() as together:
            together.hset(key, mapping=dict.fromkeys(of_child or [uuid4().hex], LOST))
            together.expire(key, KEPT_SECONDS)
            together.execute()
    except (RedisError, OSError) as error:
        log.warning("death_uncounted", task_id=task_id, reason=type(error).__name__)


@lru_cache(maxsize=2)
def broker(url: str, process: int) -> redis.Redis:
    """Return this process's client of the broker; `process` keeps a child from using its parent's."""
    del process
    client = redis_client(url, timeout_seconds=COUNT_SECONDS)
    client.set_retry(Retry(NoBackoff(), 0))
    return client


def runs_of(task_id: str) -> str:
    """Return the key of a task's runs: each run that has begun and not ended, and its owner."""
    return f"runs:{task_id}"


def presence_of(instance: str) -> str:
    """Return the key under which a worker says that it is there."""
    return f"worker:{instance}"


def _owner(pid: int | None) -> str:
    return f"{INSTANCE}/{pid}"


def _begin(client: redis.Redis, key: str, run: str) -> int:
    """Note a run; return how many earlier ones were lost with their worker."""
    try:
        with client.pipeline() as together:
            together.hgetall(key)
            together.hset(key, run, _owner(os.getpid()))
            together.expire(key, KEPT_SECONDS)
            others: dict[str, str] = together.execute()[0]
        return _lost(client, key, others) if others else 0
    except (RedisError, OSError) as error:
        log.debug("run_uncounted", reason=type(error).__name__)
        return 0


def _lost(client: redis.Redis, key: str, others: dict[str, str]) -> int:
    """Count the runs whose worker is gone; forget those whose worker has left in good order."""
    instances = {run: owner.partition("/")[0] for run, owner in others.items() if owner != LOST}
    abroad = sorted({one for one in instances.values() if one != INSTANCE})
    said = dict(zip(abroad, client.mget([presence_of(one) for one in abroad]), strict=True)) if abroad else {}
    said[INSTANCE] = HERE
    if put_back := [run for run, instance in instances.items() if said[instance] == LEFT]:
        client.hdel(key, *put_back)
    gone = sum(said[instance] is None for instance in instances.values())
    return len(others) - len(instances) + gone


def _end(client: redis.Redis, key: str, run: str) -> None:
    with suppress(RedisError, OSError):
        client.hdel(key, run)
