"""The broker's queues as a program in any language would see them."""

import base64
import json
from typing import Any

import redis

from config.queues import QUEUES


class Broker:
    """What was enqueued, seen as Redis holds it."""

    def __init__(self, url: str) -> None:
        self._url = url

    def messages(self, queue: str) -> list[dict[str, Any]]:
        """List the messages that wait in a queue: headers and keyword arguments."""
        with redis.Redis.from_url(self._url) as client:
            envelopes = [json.loads(raw) for raw in client.lrange(queue, 0, -1)]
        return [{**envelope["headers"], "kwargs": _arguments(envelope)} for envelope in envelopes]

    def lose(self, queue: str) -> None:
        """Lose the messages that wait in a queue, and nothing else."""
        with redis.Redis.from_url(self._url) as client:
            client.delete(queue)

    def depths(self) -> dict[str, int]:
        """Count the messages that wait in each queue that has any."""
        with redis.Redis.from_url(self._url) as client:
            found = {queue: int(client.llen(queue)) for queue in QUEUES}
        return {queue: count for queue, count in found.items() if count}


def _arguments(envelope: dict[str, Any]) -> Any:
    return json.loads(base64.b64decode(envelope["body"]))[1]
