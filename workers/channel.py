"""The way to the broker of every process of ours: each message is looked at before Celery sees it, and none is lost.

Decided here: a malformed message is put away in the very step that takes it from the queue, so it is neither delivered
nor put back, and what comes behind it is not held up. What lies at a door and belongs into a lane is put there and is
not delivered. Whatever the broker answers (it is gone, full, loading, demoted) counts as trouble with the connection,
which Celery survives; and closing a connection never fails.
"""

from contextlib import suppress
from queue import Empty
from typing import Any

import structlog
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as kombu_redis
from kombu.utils.encoding import bytes_to_str
from redis.exceptions import RedisError

from config.queues import QUEUES
from workers import server_guard
from workers.clock_gate import GatedByClock
from workers.kept import OWED
from workers.lanes import place_of
from workers.messages import MAX_CONTROL_BYTES, Malformed, check_task_message, read_envelope, set_delivery
from workers.quarantine import put_away, refused
from workers.shares import ShareCycle
from workers.unacked import Unacked

log = structlog.get_logger(__name__)

#: The stubs leave out nearly everything of it.
_Stock: Any = kombu_redis

#: The names by which addresses ask for the transport below; kombu tells by the name whether to speak TLS.
SCHEMES = ("redis", "rediss")


class Channel(GatedByClock, _Stock.Channel):  # type: ignore[misc] # see above
    """Kombu's channel over Redis, which delivers well-formed messages only, from each queue by its share."""

    queue_order_strategy = ShareCycle

    QoS = Unacked
    _in_poll: Any = False

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        """Have each connection looked at whose server it leads to."""
        return {**super()._connparams(asynchronous), "redis_connect_func": server_guard.connected}

    def key_of(self, queue: str, envelope: dict[str, Any]) -> str:
        """Return the list of a queue that a message is in, by its priority."""
        return str(self._q_for_pri(queue, self._get_message_priority(envelope)))

    def close(self) -> None:
        """Close, whatever the broker does; what is being taken at this moment goes back to its queue."""
        self._closing = True
        for step in (self._take_last, self._put_back, super().close):
            try:
                step()
            except Exception as error:  # noqa: BLE001 - of whatever class: it would end the worker
                log.debug("channel_not_closed_cleanly", reason=type(error).__name__)
        self.closed = True

    def _take_last(self) -> None:
        if self._in_poll:
            with suppress(Empty):
                self._brpop_read()

    def _put_back(self) -> None:
        # Here and not in the stock close, which has forgotten the way to the broker by then.
        if self._qos is not None and not self.closed:
            self._qos.restore_unacked_once()

    def _brpop_read(self, **options: Any) -> bool:  # noqa: ANN401 - kombu's
        """Take the answer to a BRPOP; kombu's own method without its parsing."""
        try:
            popped = self._popped(options)
            if not popped:
                raise Empty
            key, raw = popped
            queue = bytes_to_str(key).rsplit(self.sep, 1)[0]
            self._queue_cycle.rotate(queue)
            whole = raw if isinstance(raw, bytes) else raw.encode()
            if self._closing:
                OWED.queue(self.conn_or_acquire, bytes_to_str(key), whole)
            else:
                self._take(whole, queue)
            return True
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()

    def _popped(self, options: dict[str, Any]) -> Any:  # noqa: ANN401 - a pair or nothing
        try:
            return self.client.parse_response(self.client.connection, "BRPOP", **options)
        except self.connection_errors:
            # The next round then connects anew.
            self.client.connection.disconnect()
            raise

    def _take(self, raw: bytes, queue: str) -> None:
        """Deliver a message, or put it away."""
        try:
            if queue in QUEUES:
                envelope = read_envelope(raw)
                check_task_message(envelope)
                if self._passed_on(raw, envelope, queue):
                    return
                set_delivery(envelope, queue)
            else:
                envelope = read_envelope(raw, most_bytes=MAX_CONTROL_BYTES)
        except Malformed as error:
            put_away(refused(raw, queue, error), self.conn_or_acquire)
        else:
            self.connection._deliver(envelope, queue)  # noqa: SLF001 - kombu's only way in

    def _passed_on(self, raw: bytes, envelope: dict[str, Any], queue: str) -> bool:
        """Put a message into its lane, if it lies at a door and has one; if that fails it is delivered where it is."""
        lane = place_of(envelope, queue, self.active_queues)
        if lane == queue:
            return False
        try:
            with self.conn_or_acquire() as client:
                client.lpush(lane, raw)
        except Exception as error:  # noqa: BLE001 - of whatever class: the message would be lost
            log.warning("message_not_passed_on", queue=queue, lane=lane, reason=type(error).__name__)
            return False
        self._queue_cycle.passed_on(queue)
        return True

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        """Note whom an exchange's messages are for; tasks need no such note, so a server that is full may refuse it."""
        try:
            super()._queue_bind(exchange, routing_key, pattern, queue)
        except RedisError as error:
            log.warning("binding_not_noted", exchange=exchange, queue=queue, reason=type(error).__name__)

    def _handle_message(self, client: Any, response: Any) -> Any:  # noqa: ANN401 - kombu's
        """Take a message that was published to all workers; one that cannot be read is nobody's work and is dropped."""
        told = super()._handle_message(client, response)
        if bytes_to_str(told["type"]).endswith("message") and told["data"]:
            try:
                read_envelope(told["data"], most_bytes=MAX_CONTROL_BYTES)
            except Malformed as error:
                log.warning("broadcast_refused", channel=bytes_to_str(told["channel"]), reason=str(error))
                told = {**told, "data": None}
        return told


class Transport(_Stock.Transport):  # type: ignore[misc] # see above
    """Kombu's transport over Redis with the channel above; any answer of the server's is trouble, none is the end."""

    Channel = Channel
    connection_errors = (*_Stock.Transport.connection_errors, RedisError)


def install() -> None:
    """Have every connection of this process to a broker made by the transport above."""
    TRANSPORT_ALIASES.update(dict.fromkeys(SCHEMES, f"{__name__}:{Transport.__name__}"))
