"""Which servers a run uses: those of MONGO_URI and REDIS_URL, else embedded ones that live as long as the run."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import redis
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from config.addresses import hosts
from config.settings import Settings
from observability.database_refusals import refusal_in, told_of
from workers.errors import ServerRefusesUs, ServerUnreachable
from workers.stack_mongo import EmbeddedMongo
from workers.stack_valkey import EmbeddedValkey

__all__ = ["EmbeddedMongo", "EmbeddedValkey", "LocalServers", "local_servers"]

#: How long a configured server has to answer a ping, in seconds.
PING_SECONDS = 5.0


@dataclass(frozen=True)
class LocalServers:
    """The two servers of one run.

    Attributes:
        mongo_uri: The address of the replica set.
        redis_url: The address of the broker's database.
        mongo: The embedded set, None when MONGO_URI names another.
        valkey: The embedded Valkey, None when REDIS_URL names another.
    """

    mongo_uri: str
    redis_url: str
    mongo: EmbeddedMongo | None
    valkey: EmbeddedValkey | None


@contextlib.contextmanager
def local_servers(settings: Settings, *, directory: Path | None = None) -> Iterator[LocalServers]:
    """Yield servers that answer, and at the end stop exactly those that were started for this.

    Args:
        settings: Names servers, or none; then the embedded ones keep their data for the next run.
        directory: Where the embedded servers' data is; the settings' local directory by default.

    Raises:
        StackError: A configured server does not answer or an embedded one cannot start; the text says what to do.
    """
    home = directory or settings.local_dir
    if settings.redis_url is not None:
        _check_redis(settings.redis_url)
    if settings.mongo_uri is not None:
        _check_mongo(settings.mongo_uri)
    with contextlib.ExitStack() as started:
        valkey = None if settings.redis_url else started.enter_context(EmbeddedValkey(home / "valkey"))
        mongo = None if settings.mongo_uri else started.enter_context(EmbeddedMongo(home / "mongo"))
        yield LocalServers(
            mongo_uri=settings.mongo_uri or (mongo.uri if mongo else ""),
            redis_url=settings.redis_url or (valkey.url if valkey else ""),
            mongo=mongo,
            valkey=valkey,
        )


def _check_redis(url: str) -> None:
    try:
        with redis.Redis.from_url(url, socket_timeout=PING_SECONDS, socket_connect_timeout=PING_SECONDS) as client:
            client.ping()
    except redis.exceptions.RedisError as error:
        raise ServerUnreachable("REDIS_URL", _where(url), _reason(error)) from error


def _check_mongo(uri: str) -> None:
    try:
        with MongoClient[dict[str, object]](uri, serverSelectionTimeoutMS=int(PING_SECONDS * 1000)) as client:
            client.admin.command("ping")
    except PyMongoError as error:
        if refusal := refusal_in(error):
            raise ServerRefusesUs("MONGO_URI", _where(uri), told_of(error, refusal)) from error
        raise ServerUnreachable("MONGO_URI", _where(uri), _reason(error)) from error


def _where(address: str) -> str:
    """Name the hosts of an address without its user and password."""
    return hosts(address) or "no host"


def _reason(error: Exception) -> str:
    return str(error).partition(", Timeout:")[0].partition(" (configured timeouts")[0].rstrip(".")
