"""How hot reads are counted: in the cache, for all processes together."""

import redis

from aggregations.hot import HotReads
from aggregations.keyspace import Keyspace
from config.connections import NO_CACHE, redis_client
from config.settings import Settings
from payments.store import Clock

#: How long the cache has for the counts, in seconds.
COUNT_SECONDS = 0.1


def make_hot(settings: Settings, clock: Clock) -> HotReads:
    """Return who counts uses."""
    url = settings.cache_url or NO_CACHE
    store = redis_client(url, timeout_seconds=COUNT_SECONDS)
    return HotReads(store, clock=clock, outages=(redis.exceptions.RedisError,), space=Keyspace(settings.mongo_database))
