"""The database's clock: one for all workers, so that a machine whose own clock is off shortens nobody's time."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo.database import Database

#: For how long an answer of the database is gone on from by the machine's monotonic clock, in seconds.
SAMPLED_SECONDS = 10.0


class DatabaseClock:
    """Tells the time of the primary, aware UTC."""

    def __init__(self, database: Database[dict[str, Any]], *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Ask nothing yet."""
        self._database, self._monotonic = database, monotonic
        self._sample: tuple[float, datetime] | None = None

    def __call__(self) -> datetime:
        """Return the database's time."""
        sample, passed = self._sample, self._monotonic()
        if sample is None or passed - sample[0] > SAMPLED_SECONDS:
            told = self._database.command("hello", codec_options=self._database.codec_options)["localTime"]
            sample = self._sample = (passed, told.astimezone(UTC) if told.tzinfo else told.replace(tzinfo=UTC))
        return sample[1] + timedelta(seconds=passed - sample[0])
