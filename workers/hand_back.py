"""When messages that nobody acknowledged are handed back: by the broker's clock, as the one that all workers share.

Kombu writes its own machine's time beside each message, and hands back by it: a worker that is an hour ahead hands out
again at once what others are at, and what it took itself stays with it for an hour. Yesterday's workers go on so for a
while; a mark of theirs that lies in the future is brought down to now.
"""

from typing import Any

from kombu.transport import redis as kombu_redis
from kombu.utils.json import dumps

from tasks.broker_clock import time_of

#: The stubs leave out nearly everything of it.
_Stock: Any = kombu_redis

#: How far ahead a mark may lie before it is brought down, in seconds: the server's clock may be mended by a little.
AHEAD_SECONDS = 1.0

#: Keeps message ARGV[2] under tag ARGV[1] in KEYS[2], and its time by the server's clock in KEYS[1].
_KEEP = """
local now = redis.call('TIME')
redis.call('ZADD', KEYS[1], now[1] + now[2] / 1000000, ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
"""


class TimedQoS(_Stock.QoS):  # type: ignore[misc] # see above
    """Kombu's record of what is delivered and not acknowledged, kept by the server's clock."""

    def append(self, message: Any, delivery_tag: str) -> None:  # noqa: ANN401 - kombu's
        """Keep a message until it is acknowledged."""
        way = message.delivery_info
        kept = dumps([message._raw, way["exchange"], way["routing_key"]])  # noqa: SLF001 - what kombu keeps
        with self.channel.conn_or_acquire() as client:
            client.eval(_KEEP, 2, self.unacked_index_key, self.unacked_key, delivery_tag, kept)
        super(_Stock.QoS, self).append(message, delivery_tag)

    def restore_visible(self, start: int = 0, num: int | None = 10, interval: int = 10) -> None:
        """Hand back what was not acknowledged within the visibility timeout; kombu's own method by another clock."""
        self._vrestore_count += 1
        if (self._vrestore_count - 1) % (interval or 1):
            return
        with self.channel.conn_or_acquire() as client:
            try:
                with _Stock.Mutex(client, self.unacked_mutex_key, self.unacked_mutex_expire):
                    now = time_of(client)
                    self._bring_down(client, now, num)
                    for tag in self._marked(client, now - self.visibility_timeout, 0, start, num):
                        self.restore_by_tag(tag, client)
            except _Stock.MutexHeld:
                return

    def _bring_down(self, client: Any, now: float, num: int | None) -> None:  # noqa: ANN401 - a Redis client
        """Have marks of a time that is yet to come count from now."""
        if ahead := self._marked(client, "+inf", now + AHEAD_SECONDS, 0, num):
            client.zadd(self.unacked_index_key, dict.fromkeys(ahead, now), xx=True)

    def _marked(self, client: Any, highest: float | str, lowest: float, start: int, num: int | None) -> list[Any]:  # noqa: ANN401 - a Redis client
        """List the tags whose marks lie between two times, the latest first; all of them when `num` is None."""
        found: list[Any] = client.zrange(
            self.unacked_index_key, highest, lowest, desc=True, byscore=True, offset=num and start, num=num
        )
        return found
