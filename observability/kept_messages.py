"""Messages that were taken from the broker and could not be written back: kept in MongoDB until they are queued again.

A message is taken from its queue in one step and noted as taken in the next. Where the broker fails between the two,
nobody else has it: it is kept here, within a second or two, and queued again by whoever kept it or by a sweep. It may
then be queued twice, never not at all. A message with something secret in it is not written here.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

import redis
from pymongo.database import Database

Document = dict[str, Any]

#: The collection.
COLLECTION: Final = "kept_messages"

#: Where the broker has what workers have taken and not yet finished: the messages, and when each was taken.
TAKEN, TAKEN_AT = "unacked", "unacked_index"

#: After how long a sweep queues what its keeper has not queued: he has died, or cannot reach the broker either.
LEFT_AFTER: Final = timedelta(seconds=30)

#: A server without memory refuses whatever could need more, unless a script has written before.
_QUEUE_AGAIN = """
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('RPUSH', KEYS[3], ARGV[2])
"""


def queue_again(broker: redis.Redis, key: str, raw: bytes | str, tag: str) -> None:
    """Put a message back to where it is taken next, and off what counts as taken; also on a server that is full.

    Args:
        broker: The broker.
        key: The list that it was taken from.
        raw: All of it.
        tag: Its delivery's tag.
    """
    broker.eval(_QUEUE_AGAIN, 3, TAKEN_AT, TAKEN, key, tag, raw)


class KeptMessages:
    """Keeps messages in `kept_messages`, one row per delivery."""

    def __init__(self, database: Database[Document]) -> None:
        """Use the database of the tasks that the messages ask for."""
        self.rows = database[COLLECTION]

    def keep(self, tag: str, key: str, raw: str) -> None:
        """Write a message down, by the database's time."""
        change = {"$setOnInsert": {"key": key, "raw": raw}, "$currentDate": {"kept_at": True}}
        self.rows.update_one({"_id": tag}, change, upsert=True)

    def forget(self, tag: str) -> None:
        """Remove a message that is queued again."""
        self.rows.delete_one({"_id": tag})

    def queue_left(self, queue: Callable[[Mapping[str, Any]], object], limit: int) -> int:
        """Have messages queued again that their keepers have left here, and return how many there were."""
        long_ago = {"$subtract": ["$$NOW", int(LEFT_AFTER.total_seconds() * 1000)]}
        left = list(self.rows.find({"$expr": {"$lt": ["$kept_at", long_ago]}}).limit(limit))
        for row in left:
            queue(row)
            self.forget(row["_id"])
        return len(left)
