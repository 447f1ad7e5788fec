"""The broker's clock: when a message is due and until when it is good is told by it, to all who read it.

Celery writes the sender's own time into a message and compares it with the reader's own. Two machines that are a minute
apart would throw each other's ticks away, or run a waiting message twice.
"""

import os
import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from celery import Celery
from redis.exceptions import RedisError

from payments.server_clock import ServerClock, own_time
from tasks.deliveries import broker

#: What own and shared time may differ by without a message being read otherwise.
SLACK = timedelta(seconds=1)


class SharedTimeApp(Celery):
    """Celery's application, whose messages carry times of the broker's clock."""

    def now(self) -> datetime:
        """Return the broker's time in the application's zone."""
        return broker_time(str(self.conf.broker_url)).astimezone(self.timezone)


def broker_time(url: str) -> datetime:
    """Return the broker's time, aware UTC; this machine's own where the broker was never heard."""
    return _clock(url, os.getpid())()


def time_of(client: Any) -> float:  # noqa: ANN401 - a Redis client
    """Ask a server for its time, in seconds since 1970."""
    seconds, microseconds = client.time()
    return float(seconds) + float(microseconds) / 1_000_000


def told_here(moment: Any, url: str) -> Any:  # noqa: ANN401 - Celery's time, or nothing
    """Return a time of a message, the broker's, as this machine's clock will tell it."""
    if not isinstance(moment, datetime):
        return moment
    ahead = own_time() - broker_time(url)
    return moment + ahead if abs(ahead) > SLACK else moment


@lru_cache(maxsize=2)
def _clock(url: str, process: int) -> ServerClock:
    """Return this process's clock of a broker; `process` keeps a child from using its parent's."""

    def ask() -> datetime:
        return datetime.fromtimestamp(time_of(broker(url, process)), UTC)

    return ServerClock(ask, outages=(RedisError, OSError), otherwise=own_time, monotonic=time.monotonic)
