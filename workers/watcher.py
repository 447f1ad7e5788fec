"""The process that follows the CMS's changes: it goes on through elections and outages, and ends when it is told to."""

import contextlib
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

import structlog
from pymongo.errors import PyMongoError

from aggregations.errors import AggregationError
from aggregations.watching import Watcher
from config.connections import database, streaming_client
from config.logs import configure_logs
from config.settings import SettingsError, load_settings
from paytabs.resilience import spread
from tasks.database_alerts import tell_if_refused
from tasks.publishing import send_task
from tasks.viewing import make_watcher
from tasks.wiring import build_world
from workers.clock_watch import ClockWatch

log = structlog.get_logger(__name__)

#: How often a second watcher looks whether the first is still there, in seconds.
STANDBY_SECONDS = 1.0

#: The first and the longest wait after an error, in seconds.
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.1, 5.0


def watch(
    watcher: Watcher, stopping: threading.Event, tell_of: Callable[[Exception], None] = lambda _error: None
) -> None:
    """Follow until told to stop; an error costs a wait that grows, and the next step goes on where the last one was."""
    wait = FIRST_WAIT_SECONDS
    while not stopping.is_set():
        try:
            if not watcher.step():
                stopping.wait(STANDBY_SECONDS)
            wait = FIRST_WAIT_SECONDS
        except (PyMongoError, AggregationError) as error:
            log.warning("watcher_interrupted", reason=type(error).__name__, code=getattr(error, "code", None))
            tell_of(error)
            watcher.reset()
            stopping.wait(spread(wait))
            wait = min(2 * wait, LONGEST_WAIT_SECONDS)
    with contextlib.suppress(PyMongoError):
        watcher.stop()


def main() -> None:
    """Watch until SIGTERM or Ctrl-C."""
    try:
        settings = load_settings()
    except SettingsError as error:
        sys.exit(str(error))
    configure_logs(log_format=settings.log_format, level=settings.log_level)
    # The application has to be there before anything is sent: it says where the broker is.
    from workers.app import app  # noqa: PLC0415

    stopping = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    with contextlib.closing(build_world(settings, send=send_task)) as world, streaming_client(settings) as streaming:
        watcher = make_watcher(settings, world.db, database(streaming, settings), alerts=world.alerts, send=world.send)
        print("watcher ready", app.main, flush=True)  # noqa: T201 - the line that supervisors wait for
        clock_watch = ClockWatch(settings).start()
        watch(watcher, stopping, lambda error: tell_if_refused(error, str(settings.redis_url), world.alerts))
        clock_watch.stop()


if __name__ == "__main__":
    main()
