"""Who looks whether the schedule is kept: a thread in the reads' worker, since a beat that has died tells nobody.

It has a client of its own for each look, closed after it, so that no child is ever forked from a process with open
connections. Several such workers look at the same rows, and open the same alerts.
"""

import contextlib
import threading
from datetime import timedelta
from typing import Self

import structlog

from config.connections import database, mongo_client
from config.settings import Settings
from observability.alerts import Alerts
from payments.database_clock import DatabaseClock
from tasks.slots import Slots
from tasks.standings import look

log = structlog.get_logger(__name__)

#: Seconds between two looks.
LOOK_SECONDS = 30.0


class Lookout:
    """Looks every now and then until it is stopped.

    Args:
        settings: of this process.
        every_seconds: the time between two looks.
    """

    def __init__(self, settings: Settings, *, every_seconds: float = LOOK_SECONDS) -> None:
        self._settings, self._every_seconds = settings, every_seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="schedule-lookout", daemon=True)

    def start(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Look no more; returns at once."""
        self._stopped.set()

    def _go_on(self) -> None:
        while not self._stopped.wait(self._every_seconds):
            try:
                self._look()
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody would look any more
                log.warning("schedule_not_looked_at", reason=type(error).__name__)

    def _look(self) -> None:
        with contextlib.closing(mongo_client(self._settings)) as client:
            db = database(client, self._settings)
            clock = DatabaseClock(db)
            lease = timedelta(seconds=self._settings.visibility_timeout_seconds)
            look(Slots(db, clock=clock, lease=lease), Alerts(db, clock=clock), self._settings, clock)
