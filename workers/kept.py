"""What this process has to tell the broker as soon as it can be told: messages to queue again, and ends of tasks.

Decided here: a message that could neither be noted as taken nor put back stays in this process's memory and, unless
there is something secret in it, in MongoDB, so that neither the broker's fault nor this process's end loses it. A task
that ended while the broker was away is acknowledged late, not run again.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from uuid import uuid4

import pymongo
import redis
import structlog
from pymongo.errors import PyMongoError

from config.connections import database, mongo_client
from config.redaction import redact
from config.settings import Settings
from observability.kept_messages import TAKEN, TAKEN_AT, KeptMessages, queue_again
from workers.messages import Malformed, read_body, read_envelope

log = structlog.get_logger(__name__)

#: Seconds that MongoDB has for one message: nothing else is taken meanwhile.
WRITE_SECONDS = 2.0

#: Gives where messages are kept, and closes it: a process that forks keeps no connections.
Opened = Callable[[], AbstractContextManager[KeptMessages]]

#: Gives a client of the broker.
Connected = Callable[[], AbstractContextManager[redis.Redis]]


class Owed:
    """What the broker is still to be told by this process.

    Args:
        opened: Where messages are kept, None while nobody has said so.
    """

    def __init__(self, opened: Opened | None = None) -> None:
        self.opened = opened
        self._messages: dict[str, tuple[str, bytes | str]] = {}
        self._ended: set[str] = set()
        self._unbegun: set[str] = set()

    def queue(self, connected: Connected, key: str, raw: bytes | str) -> None:
        """Put something into one of the broker's lists, now if it takes it, else later."""
        tag = str(uuid4())
        try:
            with connected() as broker:
                queue_again(broker, key, raw, tag)
        except Exception as error:  # noqa: BLE001 - of whatever class: it would be lost
            log.warning("queued_later", key=key, reason=type(error).__name__)
            self.keep(key, raw, tag)

    def keep(self, key: str, raw: bytes | str, tag: str) -> None:
        """Keep a message that was taken from a list, under its delivery's tag, until it is in the list again."""
        self._messages[tag] = key, raw
        written = is_harmless(raw) and self._in_mongo(lambda kept: kept.keep(tag, key, text_of(raw)))
        log.error("message_kept", key=key, delivery_tag=tag, in_mongo=written)

    def acknowledge(self, tag: str) -> None:
        """Have a message count as done once the broker can be told."""
        self._ended.add(tag)

    def put_back(self, tag: str) -> None:
        """Have a message that was noted as taken go back to its queue once the broker can be told."""
        self._unbegun.add(tag)

    def settle(self, broker: redis.Redis, put_back: Callable[[str], object]) -> None:
        """Tell the broker everything; what it does not take is told again the next time.

        Args:
            broker: The broker.
            put_back: Puts a message back that is noted as taken.

        Raises:
            RedisError: it cannot be told now.
        """
        for tag in list(self._ended):
            acknowledge(broker, tag)
            self._ended.discard(tag)
        for tag in list(self._unbegun):
            put_back(tag)
            self._unbegun.discard(tag)
        for tag, (key, raw) in list(self._messages.items()):
            queue_again(broker, key, raw, tag)
            del self._messages[tag]
            self._in_mongo(partial(KeptMessages.forget, tag=tag))
            log.warning("message_queued_again", key=key, delivery_tag=tag)

    def waiting(self) -> int:
        """Count what is still to be told."""
        return len(self._messages) + len(self._ended) + len(self._unbegun)

    def _in_mongo(self, write: Callable[[KeptMessages], object]) -> bool:
        if self.opened is None:
            return False
        try:
            with pymongo.timeout(WRITE_SECONDS), self.opened() as kept:
                write(kept)
        except PyMongoError as error:
            log.warning("message_not_in_mongo", reason=type(error).__name__)
            return False
        return True


def acknowledge(broker: redis.Redis, tag: str) -> None:
    """Take a delivery off what counts as taken."""
    with broker.pipeline() as together:
        together.zrem(TAKEN_AT, tag)
        together.hdel(TAKEN, tag)
        together.execute()


def is_harmless(raw: bytes | str) -> bool:
    """Tell whether a message has nothing in it that may stand in no database: no token, no card number."""
    try:
        body = read_body(read_envelope(raw))
    except Malformed:  # a letter, for example
        with contextlib.suppress(ValueError, RecursionError):
            read = json.loads(raw)
            return bool(redact(read) == read)
        return False
    return bool(redact(body) == body)


def text_of(raw: bytes | str) -> str:
    """Return a message as text; a harmless one is UTF-8."""
    return raw if isinstance(raw, str) else raw.decode()


def opened_by(settings: Settings) -> Opened:
    """Return what opens the place where messages are kept, for one write."""

    @contextlib.contextmanager
    def opened() -> Iterator[KeptMessages]:
        with mongo_client(settings) as client:
            yield KeptMessages(database(client, settings))

    return opened


#: This process's own: it outlives every connection.
OWED = Owed()
