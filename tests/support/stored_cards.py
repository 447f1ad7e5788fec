"""What tests about stored cards share: public test keys, and looking for a token wherever something is kept."""

from collections.abc import Callable
from typing import Any

import redis
from pymongo.database import Database

from tests.support.traces import texts

Document = dict[str, Any]

#: Keys that tokens are encrypted with in tests: today's, and the one before it.
CARD_KEY = "dGVzdC1rZXktb2YtdG9kYXktMzItYnl0ZXMtbG9uZyE="
OLD_CARD_KEY = "dGVzdC1rZXktYmVmb3JlLTMyLWJ5dGVzLWxvbmchISE="


def collections_with(database: Database[Document], token: str) -> set[str]:
    """Name the collections, the CMS's included, in which a token stands."""
    return {
        name
        for name in database.list_collection_names()
        if any(token in text for row in database[name].find() for text in texts(row))
    }


def redis_keys_with(url: str, token: str) -> list[str]:
    """Name the keys of every database of a Redis in whose dump a token stands; its values may be lists or hashes."""
    found = []
    for number in range(3):
        with redis.Redis.from_url(url, db=number) as client:
            keys = [key for key in client.scan_iter() if token.encode() in _whole(client, key)]
        found += [f"{number}:{key.decode(errors='replace')}" for key in keys]
    return found


def _whole(client: redis.Redis, key: bytes) -> bytes:
    """Give everything that a key holds, as one run of bytes."""
    readers: dict[str, Callable[[], Any]] = {
        "string": lambda: client.get(key), "list": lambda: client.lrange(key, 0, -1),
        "hash": lambda: client.hgetall(key), "set": lambda: client.smembers(key),
        "zset": lambda: client.zrange(key, 0, -1), "none": lambda: None,
    }  # fmt: skip
    kind: Any = client.type(key)
    return key + repr(readers[kind.decode()]()).encode()
