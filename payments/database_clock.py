"""The database's clock: one for all workers, so that a machine whose own clock is off shortens nobody's time."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pymongo
from pymongo.database import Database
from pymongo.errors import PyMongoError

from payments.server_clock import SAMPLED_SECONDS, ServerClock

__all__ = ["SAMPLED_SECONDS", "DatabaseClock", "primary_time"]

#: How long the primary has to tell its time, in seconds.
ASK_SECONDS = 1.0


class DatabaseClock(ServerClock):
    """Tells the time of the primary, aware UTC.

    Args:
        database: of which the primary is asked.
        otherwise: tells the time when the primary was never heard; without it the database's error is raised.
        monotonic: a clock in seconds that nobody sets.
    """

    def __init__(
        self,
        database: Database[dict[str, Any]],
        *,
        otherwise: Callable[[], datetime] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask nothing yet."""
        super().__init__(
            lambda: primary_time(database), outages=(PyMongoError,), otherwise=otherwise, monotonic=monotonic
        )


def primary_time(database: Database[dict[str, Any]]) -> datetime:
    """Ask the primary for its time, aware UTC."""
    with pymongo.timeout(ASK_SECONDS):
        told: datetime = database.command("hello", codec_options=database.codec_options)["localTime"]
    return told.astimezone(UTC) if told.tzinfo else told.replace(tzinfo=UTC)
