"""What this process asks of Redis servers, counted where it leaves: how often says more than how long it took."""

from typing import Any

import pytest
from redis.connection import Connection


def asked_of_redis(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note from now on each command that is sent, by its name, and each attempt to connect, as `connect`."""
    noted: list[str] = []
    stock: Any = Connection
    send, connect = stock.send_command, stock.connect

    def sending(self: Any, *words: Any, **options: Any) -> Any:
        noted.append(str(words[0]).upper())
        return send(self, *words, **options)

    def connecting(self: Any) -> Any:
        if self._sock is None:
            noted.append("connect")
        return connect(self)

    monkeypatch.setattr(Connection, "send_command", sending)
    monkeypatch.setattr(Connection, "connect", connecting)
    return noted
