"""Saying that reads are out of date: every tag has a random token, and an entry holds those it was built under.

Giving a tag another token makes every entry that was built before a miss, wherever it is; nothing has to be found or
deleted. With the token goes the database's time of the change, which no later build may read before.
"""

from collections.abc import Sequence
from typing import Protocol

from bson import Timestamp

from aggregations.keyspace import Keyspace
from aggregations.tokens import KEPT_SECONDS, new_token


class Pipeline(Protocol):
    """Commands that are sent together."""

    def set(self, name: str, value: str, *, ex: int) -> object:
        """Set a key that ends by itself."""

    def execute(self) -> list[object]:
        """Send them."""


class TokenStore(Protocol):
    """The one thing needed of the cache; a `redis.Redis` is one."""

    def pipeline(self, *, transaction: bool) -> Pipeline:
        """Collect commands."""


class Invalidator:
    """Gives tags new tokens."""

    def __init__(self, store: TokenStore, space: Keyspace = Keyspace()) -> None:  # noqa: B008 - it cannot change
        """Write to the cache, to the keys of one database."""
        self._store, self._space = store, space

    def invalidate(self, tags: Sequence[str], *, at: Timestamp | None = None) -> int:
        """Make every entry a miss that was built under one of these tags; return how many tags there were.

        Args:
            tags: what has changed.
            at: the database's time of the change or later: builds from now on read at it or after it.
        """
        together = self._store.pipeline(transaction=True)
        for tag in dict.fromkeys(tags):
            for key in self._space.tag(tag):
                together.set(key, new_token(at), ex=KEPT_SECONDS)
        together.execute()
        return len(set(tags))
