"""Two databases on one cache."""

from collections.abc import Sequence

import pytest
import redis

from aggregations.cache import Cache
from aggregations.entries import Entry, encode
from aggregations.invalidation import Invalidator
from aggregations.keyspace import Keyspace
from config.connections import bytes_client, redis_client

KEY, TAGS = "nestcms:read:receivables:1:0", ("payments", "payment:1")


class Shared:
    """One cache, as several databases see it; None is the version before."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.plain = redis_client(url)

    def of(self, database: str) -> Cache:
        """Return the cache of a database."""
        client = bytes_client(self._url, timeout_seconds=1)
        return Cache(client, outages=(redis.exceptions.RedisError,), space=Keyspace(database))

    def store(self, database: str, data: object, tags: Sequence[str] = TAGS) -> None:
        """Build an answer for a database."""
        cache = self.of(database)
        turn = cache.begin(KEY, tags, lease_seconds=5)
        assert turn is not None
        at = "2026-08-06T10:15:30.000Z"
        entry = Entry(at, "primary", data, turn.tokens, turn.run, at)
        assert cache.finish(KEY, turn, encode(entry, compress_bytes=10_000), keep_seconds=60)

    def seen(self, database: str) -> object:
        """Return what a database finds."""
        entry = self.of(database).look(KEY, TAGS).entry
        return None if entry is None else entry.data

    def invalidate(self, database: str, *tags: str) -> None:
        """Make tags of a database out of date."""
        Invalidator(self.plain, Keyspace(database)).invalidate(tags)


@pytest.fixture
def shared(redis_url: str) -> Shared:
    """An empty cache."""
    return Shared(redis_url)


class TestKeyspace:
    """A cache answers each database with its own figures."""

    def test_two(self, shared: Shared) -> None:
        """What one has stored the other does not find, and each finds its own; so with the locks of builds."""
        shared.store("one", 1)
        assert (shared.seen("one"), shared.seen("two")) == (1, None)
        assert shared.of("one").begin(KEY, TAGS, lease_seconds=5) is not None
        shared.store("two", 2)
        assert (shared.seen("one"), shared.seen("two")) == (1, 2)

    def test_invalidated(self, shared: Shared) -> None:
        """A tag of one database that is out of date is so for the version before as well, and in its own only."""
        for database in ("one", ""):
            shared.store(database, database)
        shared.invalidate("one", "payment:1")
        assert (shared.seen("one"), shared.seen("")) == (None, None)

    def test_by_the_version_before(self, shared: Shared) -> None:
        """What a process of the version before makes out of date is out of date in ours."""
        shared.store("one", 1)
        shared.invalidate("", "payment:2")
        assert shared.seen("one") == 1
        shared.invalidate("", "payment:1")
        assert shared.seen("one") is None

    def test_names(self, shared: Shared) -> None:
        """Every key names its database, the tokens of the version before apart, and none is another's by accident."""
        shared.store("one", 1)
        names = set(shared.plain.keys("*"))
        before = {f"nestcms:tag:{tag}" for tag in TAGS}
        assert before < names
        assert all(str(name).startswith("nestcms@one:") for name in names - before)
        spaces = [Keyspace(name) for name in ("", "read", "tag", "tag_x", "one", "one-tag")]
        keys = [space.of(f"nestcms:{key}") for space in spaces for key in ("read:x", "tag:x", "tag:read:x", "hot:1")]
        assert len(set(keys)) == len(keys)
