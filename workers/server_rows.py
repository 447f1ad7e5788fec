"""Whose the broker and the cache are, as the command line tells it."""

from typing import Any

from config.connections import redis_client
from config.fingerprints import KEY, Fingerprint
from config.queues import QUEUES
from config.settings import Settings
from observability.kept_messages import TAKEN
from workers.waiting import depth

Row = dict[str, Any]

#: How long a server has to answer, in seconds.
ANSWER_SECONDS = 3.0


def parts(settings: Settings) -> dict[str, str]:
    """Return the addresses of the servers that carry a fingerprint, each once."""
    urls = {"broker": str(settings.redis_url)}
    if settings.cache_url and settings.cache_url != settings.redis_url:
        urls["cache"] = settings.cache_url
    return urls


def row_of(name: str, url: str, own: Fingerprint) -> Row:
    """Say whose a server is.

    Raises:
        RedisError: it does not answer.
    """
    with redis_client(url, timeout_seconds=ANSWER_SECONDS) as server:
        found: Any = server.get(KEY)
    carried = Fingerprint.read(found) if found else None
    words = str(carried) if carried else "something unreadable" if found else "nobody's yet"
    return {"server": name, "carries": words, "this_system": str(own), "ok": not found or carried == own}


def waiting(url: str) -> int:
    """Count the messages that wait in a broker, and those that somebody has taken and not finished.

    Raises:
        RedisError: it does not answer.
    """
    with redis_client(url, timeout_seconds=ANSWER_SECONDS) as server:
        return sum(depth(server, queue) for queue in QUEUES) + int(server.hlen(TAKEN))
