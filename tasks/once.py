"""What is asked for once per change is queued at most once until it begins: a mark stands for its message.

The mark lies in the broker, so it is lost with the message. It ends when the message begins, and by itself when the
message expires. One whose queue is empty stands for no message any more, whatever became of that. Work that is asked
for after its message has begun is queued again, since the change may be one that the run has not seen.

Times are the broker's: neither the sender's clock nor the worker's says how long a message is good.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any
from uuid import uuid4

import redis
import structlog
from celery.signals import task_prerun
from redis.exceptions import RedisError

from config.connections import redis_client
from observability.metrics import ALREADY_QUEUED

log = structlog.get_logger(__name__)

#: The message header that names a message's mark.
MARK_HEADER = "x-queued-once"

#: Before every mark's key.
PREFIX = "queued:"

#: Which tasks are sent once per change by ourselves, and for how long a message of each is good, in seconds: what has
#: waited longer is found again by a sweep. Callers' own messages of the same tasks are callers' work and no such thing.
ONCE: Mapping[str, int] = MappingProxyType(
    {
        "payments.poll": 300,
        "payments.verify": 60,
        "webhooks.process": 300,
        "events.handle": 300,
        "views.refresh": 300,
        "aggregations.refresh": 60,
        "maintenance.sweep_documents": 300,
    }
)

#: Those among them that no sweep would find again: they stay good, and are asked for again once their mark has ended.
LASTING = frozenset({"payments.verify"})

#: An argument that makes any of them such a one: a view that is to be built anew says so in no row before it begins.
LASTING_ARGUMENT = "full"

#: For how long a mark whose queue is empty still counts, in seconds: its message may be about to be sent.
SENDING_SECONDS = 2.0

#: Seconds that the broker has for a mark.
MARK_SECONDS = 0.5

#: Makes a mark unless there is one whose message waits; gives the broker's time, or nothing. It may be sent twice, when
#: a connection was lost over it.
_MAKE = """
local held = redis.call('get', KEYS[1])
if ARGV[4] == '0' and held and held ~= ARGV[1] then
  local fresh = redis.call('pttl', KEYS[1]) > tonumber(ARGV[2]) - tonumber(ARGV[3])
  if fresh or redis.call('llen', KEYS[2]) > 0 then return false end
end
redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2])
return redis.call('time')[1]
"""

#: Ends a mark, unless it is a later message's.
_END = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"


@dataclass(frozen=True)
class Mark:
    """One message's mark: its key, what tells it from a later one's, and when it ends."""

    key: str
    token: str
    ends_at: datetime

    @property
    def header(self) -> dict[str, str]:
        """Return the header that the message needs, so that its begin ends the mark."""
        return {MARK_HEADER: f"{self.token} {self.key}"}


def key_of(task_name: str, about: Any) -> str:  # noqa: ANN401 - JSON
    """Return the key of the mark of a task with these arguments."""
    told = json.dumps(about, sort_keys=True, default=str).encode()
    return f"{PREFIX}{task_name}:{hashlib.sha256(told).hexdigest()[:32]}"


def make_mark(
    broker_url: str, key: str, queue: str, seconds: float, *, wait_seconds: float = 0.0, anew: bool = False
) -> Mark | None:
    """Make the mark of a message that is about to be sent; None when one is queued already.

    Args:
        broker_url: Where the message goes.
        key: What it is about; see `key_of`.
        queue: The queue that it goes to.
        seconds: How long it is good, once it may begin.
        wait_seconds: How long it must not begin.
        anew: Also when one is queued: whoever asks knows that it may be lost.

    Raises:
        RedisError: the broker does not answer, or takes nothing.
    """
    token, whole = uuid4().hex, int((seconds + wait_seconds) * 1000)
    grace = int((SENDING_SECONDS + wait_seconds) * 1000)
    now = _broker(broker_url, os.getpid()).eval(_MAKE, 2, key, queue, token, whole, grace, int(anew))
    if now is None:
        return None
    return Mark(key, token, datetime.fromtimestamp(int(str(now)) + whole / 1000, UTC))


def end_mark(broker_url: str, key: str, token: str) -> None:
    """End a mark, if it is still this message's; where that fails it ends by itself."""
    with suppress(RedisError, OSError):
        _broker(broker_url, os.getpid()).eval(_END, 1, key, token)


def expires(task_name: str, arguments: Mapping[str, Any]) -> bool:
    """Tell whether a message may be thrown away once its mark has ended, since a sweep finds again what it is about."""
    return task_name not in LASTING and not arguments.get(LASTING_ARGUMENT)


def note_queued(task_name: str) -> None:
    """Count that something was not sent because it is queued already."""
    ALREADY_QUEUED.labels(task=task_name).inc()
    log.debug("queued_already", queued_task=task_name)


@task_prerun.connect(weak=False)
def _begins(task: Any = None, **_: Any) -> None:  # noqa: ANN401 - Celery's signal arguments
    """End the mark of a message that begins, before the task looks at what there is to do."""
    named = (task.request.headers or {}).get(MARK_HEADER)
    token, _space, key = str(named or "").partition(" ")
    if key.startswith(PREFIX):
        end_mark(str(task.app.conf.broker_url), key, token)


@lru_cache(maxsize=2)
def _broker(url: str, process: int) -> redis.Redis:
    """Return this process's client of the broker; `process` keeps a child from using its parent's.

    Raises:
        RedisError: the application names no Redis.
    """
    del process
    try:
        return redis_client(url, timeout_seconds=MARK_SECONDS)
    except ValueError as error:
        raise redis.exceptions.ConnectionError("the broker is no Redis") from error
