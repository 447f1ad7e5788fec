"""Looks, on every connection, whether broker and cache are this system's; a process on another's does nothing.

A worker that cannot tell whose it is, because MongoDB does not answer, takes nothing either. Who only sends goes on
then: what it sends is in MongoDB too, or somebody waits for it.
"""

import contextlib
import time
from collections.abc import Callable
from typing import Any

import pymongo
import redis
import structlog
from pymongo.errors import PyMongoError

from config.connections import database, greet_with, mongo_client
from config.fingerprints import ASK_SECONDS, Fingerprint, ForeignServer, claim, known, look, ours
from config.settings import Settings
from observability.alerts import Alerts
from payments.database_clock import DatabaseClock

log = structlog.get_logger(__name__)

#: The alert's name.
ALERT = "foreign_server"

#: Seconds that the cache has to answer; one that does not is nobody's.
CACHE_SECONDS = 1.0

#: Seconds for which a cache that was found to be ours is not looked at again, and an alert not raised again.
LOOKED_SECONDS, TOLD_SECONDS = 5.0, 60.0


class FingerprintUnknown(redis.exceptions.ConnectionError):
    """Raised when a worker cannot tell whose the broker is."""

    def __str__(self) -> str:
        return "MongoDB does not say whose this broker is: nothing is taken from it until it does"


class ServerGuard:
    """Looks at servers for one process.

    Args:
        settings: Of the process.
        takes: Whether the process takes messages.
        monotonic: A clock in seconds.
    """

    def __init__(
        self, settings: Settings, *, takes: bool = False, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings, self._monotonic = settings, monotonic
        self.takes = takes
        self._cache_looked_at = self._told_at = float("-inf")

    def greet_broker(self, connection: Any) -> None:  # noqa: ANN401 - redis-py has several classes of them
        """Look at the broker, over a new connection to it, and at the cache; write our fingerprint where there is none.

        Raises:
            ForeignServer: one of them is another system's.
            FingerprintUnknown: the process takes messages, and nobody can tell.
        """
        own = self._own()
        if own is None:
            return
        try:
            claim(connection, own, "broker")
            self._look_at_cache(own)
        except ForeignServer as error:
            self._tell(error)
            raise

    def greet(self, connection: Any) -> None:  # noqa: ANN401 - as above
        """Look at the server of any other new connection; nothing is asked of the database, and nothing written.

        Raises:
            ForeignServer: it is another system's.
        """
        own = known(self._settings)
        if own is not None:
            look(connection, own, "server")

    def _own(self) -> Fingerprint | None:
        if self._settings.mongo_uri is None:
            return None
        try:
            return ours(self._settings)
        except PyMongoError as error:
            log.warning("fingerprint_unknown", reason=type(error).__name__)
            if self.takes:
                raise FingerprintUnknown from error
            return None

    def _look_at_cache(self, own: Fingerprint) -> None:
        if not self._settings.cache_url or self._monotonic() < self._cache_looked_at + LOOKED_SECONDS:
            return
        try:
            look_at_cache(self._settings.cache_url, own)
        except ForeignServer:
            raise
        except (redis.exceptions.RedisError, OSError):
            return
        self._cache_looked_at = self._monotonic()

    def _tell(self, error: ForeignServer) -> None:
        """Tell operators, in this system's own database."""
        log.error("foreign_server", part=error.part, theirs=error.theirs, ours=error.ours)
        if self._monotonic() < self._told_at + TOLD_SECONDS:
            return
        self._told_at = self._monotonic()
        with (
            contextlib.suppress(PyMongoError),
            pymongo.timeout(ASK_SECONDS),
            mongo_client(self._settings) as client,
        ):
            db = database(client, self._settings)
            Alerts(db, clock=DatabaseClock(db)).raise_alert(ALERT, error.part, str(error))


def look_at_cache(url: str, own: Fingerprint) -> None:
    """Look at a cache's fingerprint, and write one's own where there is none.

    Raises:
        ForeignServer: it is another system's.
        RedisError: it does not answer.
    """
    pool = redis.ConnectionPool.from_url(url, socket_timeout=CACHE_SECONDS, socket_connect_timeout=CACHE_SECONDS)
    connection = pool.get_connection()
    try:
        claim(connection, own, "cache")
    finally:
        pool.disconnect()


_guards: list[ServerGuard] = []


def guard_with(guard: ServerGuard | None) -> None:
    """Have this process's connections looked at, or none of them."""
    _guards[:] = [guard] if guard else []
    greet_with(guard.greet if guard else None)


def connected(connection: Any) -> None:  # noqa: ANN401 - redis-py has several classes of them
    """Begin a new connection to the broker, if it leads to our own."""
    connection.on_connect()
    for guard in _guards:
        guard.greet_broker(connection)
