"""Says in the broker that this worker is there, so that a worker that was killed can be told from one that is busy.

A thread of the parent does so, since the parent itself may be waiting for its broker. What is said is forgotten by the
broker's own time. A worker that leaves in good order says that too: what it puts back was not lost with it.
"""

import threading
from typing import Self

import structlog
from redis.exceptions import RedisError

from config.connections import redis_client
from config.settings import Settings
from tasks.deliveries import HERE, INSTANCE, KEPT_SECONDS, LEFT, presence_of

log = structlog.get_logger(__name__)

#: How long what a worker says of itself holds: a part of the visibility timeout, after which its messages come back,
#: and not longer than this many seconds.
SHARE_OF_VISIBILITY, LONGEST_SECONDS = 0.25, 15.0

#: How often it is said within that time.
TIMES = 3

#: Seconds that the broker has to hear it.
HEAR_SECONDS = 1.0

#: Seconds that leaving may take.
LEAVE_SECONDS = 1.0


class Presence:
    """Says that this worker is there until it leaves.

    Args:
        settings: of this process.
    """

    def __init__(self, settings: Settings) -> None:
        self._url = settings.redis_url or ""
        self._holds_seconds = min(SHARE_OF_VISIBILITY * settings.visibility_timeout_seconds, LONGEST_SECONDS)
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="presence", daemon=True)

    def start(self) -> Self:
        """Say it for the first time, so that it stands before any task begins, and go on."""
        self._say(HERE, self._holds_seconds)
        self._thread.start()
        return self

    def leave(self) -> None:
        """Have it said that the worker leaves; returns at once."""
        self._left.set()

    def join(self) -> None:
        """Leave, and wait until that was said."""
        self.leave()
        self._thread.join(LEAVE_SECONDS)

    def _go_on(self) -> None:
        while not self._left.wait(self._holds_seconds / TIMES):
            self._say(HERE, self._holds_seconds)
        self._say(LEFT, KEPT_SECONDS)

    def _say(self, word: str, seconds: float) -> None:
        try:
            # A client of its own, so that no child is forked from a process with a connection that others use.
            with redis_client(self._url, timeout_seconds=HEAR_SECONDS) as client:
                client.set(presence_of(INSTANCE), word, px=int(seconds * 1000))
        except (RedisError, OSError) as error:
            log.debug("presence_not_said", reason=type(error).__name__)
