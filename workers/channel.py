"""The worker's way to its broker: every message is looked at before Celery sees it.

Decided here: a malformed message is put away in the very step that takes it from the queue, so it is neither delivered
nor put back, and what comes behind it is not held up. What lies at a door and belongs into a lane is put there and is
not delivered.
"""

from queue import Empty
from typing import Any

import structlog
from kombu.transport import redis as kombu_redis
from kombu.utils.encoding import bytes_to_str
from redis.exceptions import RedisError

from config.queues import QUEUES
from workers.clock_gate import GatedByClock
from workers.hand_back import TimedQoS
from workers.lanes import place_of
from workers.messages import MAX_CONTROL_BYTES, Malformed, check_task_message, read_envelope, set_delivery
from workers.quarantine import put_away, refused
from workers.shares import ShareCycle

log = structlog.get_logger(__name__)

#: The stubs leave out nearly everything of it.
_Stock: Any = kombu_redis


class Channel(GatedByClock, _Stock.Channel):  # type: ignore[misc] # see above
    """Kombu's channel over Redis, which delivers well-formed messages only, from each queue by its share."""

    queue_order_strategy = ShareCycle

    QoS = TimedQoS

    def _brpop_read(self, **options: Any) -> bool:  # noqa: ANN401 - kombu's
        """Take the answer to a BRPOP; kombu's own method without its parsing."""
        try:
            popped = self._popped(options)
            if not popped:
                raise Empty
            key, raw = popped
            queue = bytes_to_str(key).rsplit(self.sep, 1)[0]
            self._queue_cycle.rotate(queue)
            self._take(raw if isinstance(raw, bytes) else raw.encode(), queue)
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
            with self.conn_or_acquire() as client:
                put_away(refused(raw, queue, error), client)
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
        except (RedisError, OSError) as error:
            log.warning("message_not_passed_on", queue=queue, lane=lane, reason=type(error).__name__)
            return False
        self._queue_cycle.passed_on(queue)
        return True

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
    """Kombu's transport over Redis with the channel above."""

    Channel = Channel
