"""How reads are put together: the cache they are remembered in, and who makes them out of date."""

from typing import Any
from uuid import uuid4

import redis
import structlog
from pymongo.database import Database

from aggregations.cache import Cache
from aggregations.hot import HotReads
from aggregations.invalidation import Invalidator
from aggregations.keyspace import Keyspace
from aggregations.memory import Limits
from aggregations.performance import PerformanceLog
from aggregations.replicas import Replicas
from aggregations.routed import RoutedReader
from aggregations.runner import AggregationRunner
from aggregations.view_reads import ViewReads
from config.connections import NO_CACHE, bytes_client, redis_client
from config.settings import Settings
from payments.store import Clock
from tasks.publishing import SendTask

Document = dict[str, Any]

#: Builds an answer anew that has reached its soft age.
REFRESH = "aggregations.refresh"

#: How long the cache has for a handful of tokens, in seconds.
INVALIDATION_SECONDS = 1.0

#: The part of a task's time in which it may wait for others; the rest is for its own read.
WAITING_SHARE = 1 / 3


def make_runner(
    settings: Settings, db: Database[Document], *, send: SendTask, clock: Clock, hot: HotReads, replicas: Replicas
) -> AggregationRunner:
    """Return who answers aggregations, from the cache if there is one, else from where each read belongs."""
    reader = RoutedReader(db, replicas)

    def ask_refresh(name: str, params: dict[str, Any]) -> None:
        bound = structlog.contextvars.get_contextvars().get("correlation_id")
        send(REFRESH, correlation_id=str(bound or uuid4().hex), name=name, params=params)

    return AggregationRunner(
        db,
        clock=clock,
        cache=make_cache(settings),
        ask_refresh=ask_refresh,
        readers=lambda _row: reader,
        views=ViewReads(db, bound_seconds=settings.views_bound_seconds),
        watch=PerformanceLog(slow_seconds=settings.slow_read_ms / 1000),
        limits=limits(settings),
        note_use=hot.note,
    )


def make_cache(settings: Settings) -> Cache | None:
    """Return the cache of answers, None where none is set."""
    if settings.cache_url is None:
        return None
    client = bytes_client(settings.cache_url, timeout_seconds=settings.cache_timeout_ms / 1000)
    return Cache(client, outages=(redis.exceptions.RedisError,), space=Keyspace(settings.mongo_database))


def limits(settings: Settings) -> Limits:
    """Return how long reads wait and how much of them is kept."""
    return Limits(
        patience_seconds=settings.other_soft_time_limit_seconds * WAITING_SHARE,
        at_once=settings.reads_at_once,
        compress_bytes=settings.cache_compress_kib * 1024,
        largest_bytes=settings.cache_largest_kib * 1024,
    )


def make_invalidator(settings: Settings) -> Invalidator:
    """Return who gives tags new tokens in the cache."""
    url = settings.cache_url or NO_CACHE
    return Invalidator(redis_client(url, timeout_seconds=INVALIDATION_SECONDS), Keyspace(settings.mongo_database))
