"""The only factories of MongoDB and Redis clients, so that no caller forgets a time limit or a write concern."""

from collections.abc import Callable, Sequence
from datetime import UTC
from typing import Any

import redis
from pymongo import MongoClient
from pymongo.database import Database
from redis.backoff import NoBackoff
from redis.retry import Retry

from config.settings import Settings, require

Document = dict[str, Any]

#: The share of a whole operation's time that the server may wait for a majority, so that its own "not replicated" still
#: arrives before the driver gives up.
WRITE_CONCERN_SHARE = 0.8


#: Where a cache is looked for when none is set.
NO_CACHE = "redis://localhost:6379/2"

#: Looks at a connection that was just made, before anything is sent over it.
Greet = Callable[[Any], None]

_greetings: list[Greet] = []

#: Leaves those of some servers that may be read.
ServerSelector = Callable[[Sequence[Any]], Sequence[Any]]


def mongo_client(
    settings: Settings, *, timeout_seconds: float | None = None, server_selector: ServerSelector | None = None
) -> MongoClient[Document]:
    """Return a client that writes to a majority's journal and gives every operation an end.

    It connects at first use, so it may be made before a fork but not used there: make one per process.

    Args:
        settings: Where the database is.
        timeout_seconds: The end of one whole operation, retries included; that of tasks when left out.
        server_selector: Chooses among the servers that an operation may go to.

    Raises:
        SettingsError: MONGO_URI is not set.
    """
    timeout_ms = settings.mongo_timeout_ms if timeout_seconds is None else int(timeout_seconds * 1000)
    return MongoClient(
        require(settings.mongo_uri, "MONGO_URI"),
        appname="nestcms-workers",
        connect=False,
        tz_aware=True,
        tzinfo=UTC,
        w="majority",
        journal=True,
        wTimeoutMS=int(timeout_ms * WRITE_CONCERN_SHARE),
        retryWrites=True,
        retryReads=True,
        timeoutMS=timeout_ms,
        connectTimeoutMS=min(timeout_ms, settings.server_selection_timeout_ms),
        serverSelectionTimeoutMS=settings.server_selection_timeout_ms,
        server_selector=server_selector,
    )


def node_client(settings: Settings, node: tuple[str, int], *, timeout_seconds: float) -> MongoClient[Document]:
    """Return a client that asks one node only, whatever its part in the set.

    Args:
        settings: Where the database is: the same credentials and the same TLS are used.
        node: The node's host and port, as the set knows it.
        timeout_seconds: The end of one whole operation.
    """
    timeout_ms = int(timeout_seconds * 1000)
    return MongoClient(
        require(settings.mongo_uri, "MONGO_URI"),
        appname="nestcms-workers",
        connect=False,
        tz_aware=True,
        tzinfo=UTC,
        readPreference="nearest",
        server_selector=lambda servers: [one for one in servers if one.address == node],
        timeoutMS=timeout_ms,
        connectTimeoutMS=timeout_ms,
        serverSelectionTimeoutMS=timeout_ms,
    )


def streaming_client(settings: Settings) -> MongoClient[Document]:
    """Return a client for change streams: a time limit for whole operations would end each wait for a change.

    Raises:
        SettingsError: MONGO_URI is not set.
    """
    return MongoClient(
        require(settings.mongo_uri, "MONGO_URI"),
        appname="nestcms-watcher",
        connect=False,
        tz_aware=True,
        tzinfo=UTC,
        socketTimeoutMS=settings.mongo_timeout_ms,
        connectTimeoutMS=min(settings.mongo_timeout_ms, settings.server_selection_timeout_ms),
        serverSelectionTimeoutMS=settings.server_selection_timeout_ms,
    )


def database(client: MongoClient[Document], settings: Settings) -> Database[Document]:
    """Return the CMS's database, which is ours as well."""
    return client[settings.mongo_database]


def greet_with(greet: Greet | None) -> None:
    """Have each new connection of this process's Redis clients looked at, or none of them."""
    _greetings[:] = [greet] if greet else []


def redis_client(url: str, *, timeout_seconds: float = 1.0) -> redis.Redis:
    """Return a client that speaks text and never waits longer than ``timeout_seconds`` for an answer."""
    return _redis_client(url, timeout_seconds, text=True)


def bytes_client(url: str, *, timeout_seconds: float) -> redis.Redis:
    """Return the same client, answers as the bytes they are: what is compressed is no text."""
    return _redis_client(url, timeout_seconds, text=False)


def _redis_client(url: str, timeout_seconds: float, *, text: bool) -> redis.Redis:
    return redis.Redis.from_url(
        url,
        decode_responses=text,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        health_check_interval=25,
        redis_connect_func=_connected,
        # An idle connection that the server closed is worth one more try; a server that is gone is not worth a wait.
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.exceptions.ConnectionError,)),
    )


def _connected(connection: Any) -> None:  # noqa: ANN401 - redis-py has several classes of them
    connection.on_connect()
    for greet in _greetings:
        greet(connection)
