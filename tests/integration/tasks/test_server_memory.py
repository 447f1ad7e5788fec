from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import redis
from pymongo.database import Database

from config.settings import Settings
from observability.alerts import Alerts
from tasks.server_memory import ALERT, look_at_memory, memories, memory_of

FULL: dict[str, Any] = {"used_memory": 80, "maxmemory": 100, "maxmemory_policy": "noeviction", "run_id": "1"}


@pytest.fixture
def broker(settings: Settings) -> Iterator[redis.Redis]:
    """The broker, whose memory a test may bound."""
    with redis.Redis.from_url(str(settings.redis_url), decode_responses=True) as client:
        yield client
        client.config_set("maxmemory", "0")
        client.config_set("maxmemory-policy", "noeviction")


class TestMemory:
    """Operators are told before a server is full."""

    def test_short(self) -> None:
        """From 80 % on, of the limit or of the machine's memory; one that evicts is never short."""
        told = [
            FULL,
            FULL | {"used_memory": 79},
            FULL | {"maxmemory": 0, "total_system_memory": 100},
            FULL | {"maxmemory": 0, "total_system_memory": 101},
            FULL | {"maxmemory_policy": "allkeys-lru"},
            FULL | {"maxmemory_policy": "volatile-ttl"},
            FULL | {"maxmemory_policy": "allkeys-lru", "maxmemory": 0, "total_system_memory": 100},
            {"used_memory": 80},
        ]
        short = [memory_of(("broker",), one).is_short for one in told]
        assert short == [True, False, True, False, False, True, True, False]

    def test_alert(self, settings: Settings, broker: redis.Redis, database: Database[dict[str, Any]]) -> None:
        """One alert for the one server that is all three; it says how much, and closes when there is room again."""
        alerts = Alerts(database, clock=lambda: datetime.now(UTC))
        (known,) = memories(settings)
        assert known.parts == ("broker", "results", "cache")
        look_at_memory(settings, alerts)
        assert alerts.open_keys(ALERT) == []
        broker.config_set("maxmemory", int(known.used_bytes * 1.1))
        for _ in range(2):
            look_at_memory(settings, alerts)
        (row,) = alerts.open_rows(ALERT, 5)
        assert (row["key"], row["count"]) == ("broker", 1)
        assert "the server of broker and results and cache uses" in row["detail"]
        broker.config_set("maxmemory", int(known.used_bytes * 1.2))
        look_at_memory(settings, alerts)
        assert alerts.open_keys(ALERT) == ["broker"]
        broker.config_set("maxmemory", int(known.used_bytes * 2))
        look_at_memory(settings, alerts)
        assert alerts.open_keys(ALERT) == []
