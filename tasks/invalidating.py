"""How a reaction makes reads out of date: at once, in the cache itself, so that nothing waits in a queue for it.

What the cache does not take now is owed in the outbox, one row per event, and tried again from there. A cache that has
just failed is left alone for a moment: mails and webhooks wait behind these reactions.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from pymongo.database import Database
from pymongo.errors import PyMongoError
from redis.exceptions import RedisError

from aggregations.invalidation import Invalidator
from aggregations.readers import operation_time
from payments.errors import NotDelivered

log = structlog.get_logger(__name__)

#: Seconds for which a cache is left alone that has just failed: a frozen one would hold each reaction for its timeout.
PAUSE_SECONDS = 2.0


class InvalidateAtOnce:
    """Gives tags new tokens, as of now by the database's time.

    Args:
        invalidator: Gives them.
        database: The CMS's.
        monotonic: A clock in seconds.
    """

    def __init__(
        self,
        invalidator: Invalidator,
        database: Database[dict[str, Any]],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._invalidator, self._db, self._monotonic = invalidator, database, monotonic
        self._left_alone_until = float("-inf")

    def __call__(self, tags: Sequence[str], correlation_id: str) -> None:
        """Make every read a miss that was built under one of these tags.

        Raises:
            NotDelivered: the cache is away, or was a moment ago.
        """
        if self._monotonic() < self._left_alone_until:
            raise NotDelivered("the cache has just failed")
        try:
            at = operation_time(self._db)
        except PyMongoError:
            at = None  # what is remembered must be a miss all the same
        try:
            self._invalidator.invalidate(tags, at=at)
        except (RedisError, OSError) as error:
            self._left_alone_until = self._monotonic() + PAUSE_SECONDS
            log.warning("tags_not_taken", reason=type(error).__name__, correlation_id=correlation_id)
            raise NotDelivered(f"the cache did not take the tags: {type(error).__name__}") from error
