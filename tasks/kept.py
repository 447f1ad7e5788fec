"""Queuing messages again that a worker took, could not give back, and left in MongoDB."""

from config.connections import redis_client
from observability.kept_messages import KeptMessages, queue_again
from tasks.sweeping import SWEEP_LIMIT
from tasks.wiring import World

#: Seconds that the broker has for a message.
BROKER_SECONDS = 2.0


def queue_left(world: World) -> int:
    """Queue them again and return how many there were.

    Raises:
        RedisError: the broker does not take them; they stay.
    """
    with redis_client(world.settings.redis_url or "", timeout_seconds=BROKER_SECONDS) as broker:
        return KeptMessages(world.db).queue_left(
            lambda row: queue_again(broker, row["key"], row["raw"], row["_id"]), SWEEP_LIMIT
        )
