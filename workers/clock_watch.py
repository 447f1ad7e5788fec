"""Who looks at this machine's clock: a thread that compares it with MongoDB's and Valkey's every few seconds.

It has clients of its own for each look, closed after it, so that no child is ever forked from a process with open
connections. What it finds is an alert; where it looks for a worker it also closes and opens that worker's gate.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from typing import Self

import structlog
from pymongo.database import Database
from pymongo.errors import PyMongoError
from redis.exceptions import RedisError

from config.connections import Document, database, mongo_client, redis_client
from config.settings import Settings, require
from observability.alerts import Alerts
from payments.database_clock import DatabaseClock, primary_time
from tasks.broker_clock import time_of
from workers.clock_gate import GATE, Gate
from workers.clock_rules import Judgement, Reading, judge

log = structlog.get_logger(__name__)

#: Seconds between two looks, and what each server has to answer.
LOOK_SECONDS, ASK_SECONDS = 5.0, 1.0

#: So often an alert that stands is raised again, in seconds: one that is not for long closes, its machine being gone.
REPEAT_SECONDS = 60.0

#: The alert about a machine, and the one about the servers with its only key.
OFF, DISAGREE, SERVERS = "clock_off", "clocks_disagree", "servers"

#: Why both close.
TOGETHER = "the clocks are together again"


class ClockWatch:
    """Looks every now and then until it is stopped.

    Args:
        settings: of this process.
        gate: what it closes while this machine's clock is wrong.
        machine: what this machine is called.
    """

    def __init__(self, settings: Settings, *, gate: Gate = GATE, machine: str | None = None) -> None:
        self._settings, self._gate = settings, gate
        self._machine = machine or socket.gethostname()
        self._said: tuple[bool, bool, bool | None] | None = None
        self._again_at = 0.0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="clock-watch", daemon=True)

    def start(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Look no more; returns at once."""
        self._stopped.set()

    def look(self) -> None:
        """Look once, and do what follows; whatever cannot be asked or told is left for the next look."""
        with contextlib.closing(mongo_client(self._settings, timeout_seconds=ASK_SECONDS)) as client:
            db = database(client, self._settings)
            found = judge(read_clocks(db, self._settings))
            if found.may_work is not None:
                self._gate.set(is_open=found.may_work)
            with contextlib.suppress(PyMongoError):
                self._tell(found, Alerts(db, clock=DatabaseClock(db)))

    def _tell(self, found: Judgement, alerts: Alerts) -> None:
        """Raise and close alerts: when something has changed, and what stands now and then."""
        now, said = time.monotonic(), (bool(found.off), bool(found.disagree), found.may_work)
        if said == self._said and (not any(said[:2]) or now < self._again_at):
            return
        if found.off:
            alerts.raise_alert(OFF, self._machine, f"{self._machine}: {found.off}")
        elif found.off is not None:
            alerts.resolve(OFF, self._machine, why=TOGETHER)
        if found.disagree:
            alerts.raise_alert(DISAGREE, SERVERS, f"{found.disagree} ({self._machine})")
        elif found.disagree is not None:
            alerts.resolve(DISAGREE, SERVERS, why=TOGETHER)
        self._said, self._again_at = said, now + REPEAT_SECONDS

    def _go_on(self) -> None:
        while not self._stopped.wait(LOOK_SECONDS):
            try:
                self.look()
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody would look any more
                log.warning("clock_not_looked_at", reason=type(error).__name__)


def read_clocks(db: Database[Document], settings: Settings) -> Reading:
    """Compare this machine's clock with the primary's and the broker's; a server that does not answer tells nothing."""
    mongo = _compared(lambda: primary_time(db).timestamp(), (PyMongoError,))
    with contextlib.closing(redis_client(require(settings.redis_url, "REDIS_URL"), timeout_seconds=ASK_SECONDS)) as one:
        valkey = _compared(lambda: time_of(one), (RedisError, OSError))
    errors = [error for _, error in (mongo, valkey)]
    return Reading(mongo[0], valkey[0], max(errors))


def _compared(ask: Callable[[], float], outages: tuple[type[Exception], ...]) -> tuple[float | None, float]:
    """Return how far this machine's clock is ahead of what is told, and by how much that may be wrong."""
    own, began = time.time(), time.monotonic()
    try:
        told = ask()
    except outages:
        return None, 0.0
    took = time.monotonic() - began
    return own + took / 2 - told, took / 2
