"""What a worker has taken and not yet finished: noted, acknowledged and put back whatever the broker does.

Kombu's own notes fail on a broker that is full or has just been demoted, and take the message with them. Decided here:
notes are scripts that a full server takes too; what cannot be noted is kept (see `workers.kept`); an acknowledgement
that fails is told later; a task that runs while its connection is lost is not put back, since it will end; and the time
of a note is the broker's own.
"""

from collections.abc import Iterable
from typing import Any

import structlog
from kombu.transport import redis as kombu_redis
from kombu.transport import virtual
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import dumps, loads

from tasks.broker_clock import time_of
from workers.kept import OWED, acknowledge
from workers.messages import Malformed
from workers.quarantine import put_away, refused

log = structlog.get_logger(__name__)

#: The stubs leave out nearly everything of them.
_Stock: Any = kombu_redis
_Plain: Any = virtual.QoS

#: How many messages of lost workers are put back in one go.
MOST_AT_ONCE = 500

#: How far ahead a note may lie, in seconds: the broker's clock may be put back by a little.
AHEAD_SECONDS = 1.0

#: The first write needs no memory; a server that has none left refuses others unless a script has written before.
NOTE = """
redis.call('ZREM', KEYS[1], ARGV[1])
local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], time[1] .. string.format('.%06d', time[2]), ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
"""

#: Has notes count from now.
BRING_DOWN = """
for i = 2, #ARGV do
  if redis.call('ZREM', KEYS[1], ARGV[i]) == 1 then redis.call('ZADD', KEYS[1], ARGV[1], ARGV[i]) end
end
"""

#: Of all who put a message back, one does.
PUT_BACK = """
redis.call('ZREM', KEYS[1], ARGV[1])
if redis.call('HDEL', KEYS[2], ARGV[1]) == 1 then redis.call(ARGV[3], KEYS[3], ARGV[2]) end
"""


class Unacked(_Stock.QoS):  # type: ignore[misc] # see above
    """Kombu's notes of what was taken, which no error of the broker's gets out of."""

    def append(self, message: Any, delivery_tag: str) -> None:  # noqa: ANN401 - kombu's
        """Note a message as taken; one that cannot be noted is kept, and the error goes on."""
        info = message.delivery_info
        raw = message._raw  # noqa: SLF001 - the only place where kombu keeps the whole message
        noted = dumps([raw, info["exchange"], info["routing_key"]])
        try:
            with self.channel.conn_or_acquire() as client:
                client.eval(NOTE, 2, self.unacked_index_key, self.unacked_key, delivery_tag, noted)
        except Exception:
            OWED.keep(self.channel.key_of(info["routing_key"], raw), dumps(raw), delivery_tag)
            raise
        _Plain.append(self, message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Take a message off the notes; a broker that cannot be told now is told later."""
        try:
            if self.channel.closed:
                OWED.acknowledge(delivery_tag)
            else:
                with self.channel.conn_or_acquire() as client:
                    acknowledge(client, delivery_tag)
        except Exception as error:  # noqa: BLE001 - of whatever class: it would end the worker
            log.warning("acknowledged_later", delivery_tag=delivery_tag, reason=type(error).__name__)
            OWED.acknowledge(delivery_tag)
        _Plain.ack(self, delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Put a message back, or take it off the notes; what the broker cannot be told now it is told later."""
        if not requeue:
            self.ack(delivery_tag)
            return
        self._put_back(delivery_tag, leftmost=True)
        _Plain.ack(self, delivery_tag)

    def leave(self, delivery_tags: Iterable[str]) -> None:
        """Leave messages whose tasks run: they are acknowledged when these end, by whatever connection there is."""
        for tag in delivery_tags:
            self._delivered.pop(tag, None)

    def restore_unacked(self, client: Any = None) -> None:  # noqa: ANN401 - kombu's
        """Put back everything that was taken and not begun, at once or later."""
        del client
        reached = True
        for tag in list(self._delivered):
            if reached:
                reached = self._put_back(tag)
            else:
                OWED.put_back(tag)
        self._delivered.clear()

    def restore_visible(self, start: int = 0, num: int | None = None, interval: int = 1) -> None:
        """Tell the broker what it is owed, and put back what lost workers have left, by the broker's time."""
        del start, interval
        with self.channel.conn_or_acquire() as client:
            OWED.settle(client, lambda tag: self.restore_by_tag(tag, client))
            now = time_of(client)
            if ahead := client.zrangebyscore(self.unacked_index_key, now + AHEAD_SECONDS, "+inf", 0, MOST_AT_ONCE):
                # Noted by a worker of the version before, whose clock is ahead: it counts from now.
                client.eval(BRING_DOWN, 1, self.unacked_index_key, now, *ahead)
            until = now - self.visibility_timeout
            for tag in client.zrangebyscore(self.unacked_index_key, "-inf", until, 0, num or MOST_AT_ONCE):
                self.restore_by_tag(bytes_to_str(tag), client)

    def restore_by_tag(self, tag: str, client: Any = None, leftmost: bool = False) -> None:  # noqa: ANN401 - kombu's
        """Put one message back to where it was taken from, once, also on a server that is full."""
        with self.channel.conn_or_acquire(client) as connected:
            noted = connected.hget(self.unacked_key, tag)
            if noted is None:
                acknowledge(connected, tag)
                return
            try:
                raw, _, queue = loads(bytes_to_str(noted))
                raw["headers"]["redelivered"] = raw["properties"]["delivery_info"]["redelivered"] = True
                keys = [self.unacked_index_key, self.unacked_key, self.channel.key_of(queue, raw)]
            except (ValueError, KeyError, TypeError):
                unreadable = Malformed("note", "a message, its exchange and its queue")
                put_away(refused(noted, self.unacked_key, unreadable), self.channel.conn_or_acquire)
                acknowledge(connected, tag)
                return
            connected.eval(PUT_BACK, 3, *keys, tag, dumps(raw), "LPUSH" if leftmost else "RPUSH")

    def _put_back(self, tag: str, *, leftmost: bool = False) -> bool:
        reason = "closed"
        try:
            if not self.channel.closed:
                self.restore_by_tag(tag, leftmost=leftmost)
                return True
        except Exception as error:  # noqa: BLE001 - as above
            reason = type(error).__name__
        log.warning("put_back_later", delivery_tag=tag, reason=reason)
        OWED.put_back(tag)
        return False
