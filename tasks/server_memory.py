"""How full the broker's, the results' and the cache's servers are: one that is full takes no task and no result.

Decided here: a server without a limit of its own is held against its machine's memory; one that evicts the oldest keys
when it is full is a cache and never short.
"""

from dataclasses import dataclass
from typing import Any, Final

import redis

from config.connections import redis_client
from config.settings import Settings
from observability.alerts import Alerts

#: The alert's name.
ALERT: Final = "server_memory"

#: From which share on operators are told, and below which it is over.
SHORT, ENOUGH = 0.8, 0.75

#: Seconds that a server has to answer.
ANSWER_SECONDS = 2.0

_MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Memory:
    """How full one server is.

    Attributes:
        parts: What it is used for: `broker`, `results`, `cache`.
        used_bytes: What its data takes.
        most_bytes: What it may take.
        evicts: Whether it makes room by itself.
    """

    parts: tuple[str, ...]
    used_bytes: int
    most_bytes: int
    evicts: bool

    @property
    def share(self) -> float:
        """Return the used part of what it may use."""
        return self.used_bytes / self.most_bytes if self.most_bytes else 0.0

    @property
    def is_short(self) -> bool:
        """Tell whether operators have to know."""
        return not self.evicts and self.share >= SHORT

    @property
    def sentence(self) -> str:
        """Say it in words."""
        used, most = self.used_bytes // _MEGABYTE, self.most_bytes // _MEGABYTE
        return f"the server of {' and '.join(self.parts)} uses {used} of {most} MB, {self.share:.0%}"


def memories(settings: Settings) -> list[Memory]:
    """Return how full each server is, each once whatever it is used for.

    Raises:
        RedisError: one does not answer.
    """
    urls = {"broker": settings.redis_url, "results": settings.result_url, "cache": settings.cache_url}
    found: dict[str, tuple[list[str], dict[str, Any]]] = {}
    for part, url in urls.items():
        if url:
            with redis_client(url, timeout_seconds=ANSWER_SECONDS) as client:
                told: dict[str, Any] = client.info()
            found.setdefault(str(told["run_id"]), ([], told))[0].append(part)
    return [memory_of(tuple(parts), told) for parts, told in found.values()]


def memory_of(parts: tuple[str, ...], told: dict[str, Any]) -> Memory:
    """Return what a server's INFO says of its memory."""
    most = told.get("maxmemory") or told.get("total_system_memory") or 0
    evicts = str(told.get("maxmemory_policy", "")).startswith("allkeys") and bool(told.get("maxmemory"))
    return Memory(parts, int(told["used_memory"]), int(most), evicts)


def look_at_memory(settings: Settings, alerts: Alerts) -> None:
    """Open an alert for each server that is short of memory, and close those of servers that are not any more."""
    try:
        known = memories(settings)
    except (redis.exceptions.RedisError, OSError):
        return  # who cannot reach them says so elsewhere
    opened = set(alerts.open_keys(ALERT))
    for one in known:
        if one.is_short and one.parts[0] in opened:
            alerts.resolve(ALERT, one.parts[0], left=one.sentence)
        elif one.is_short:
            alerts.raise_alert(ALERT, one.parts[0], one.sentence)
        elif one.parts[0] in opened and (one.evicts or one.share < ENOUGH):
            alerts.resolve(ALERT, one.parts[0], why=one.sentence)
