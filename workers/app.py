"""The Celery application: options, tasks and schedule put together; import it before serving anything."""

import logging
import os
import sys
from typing import Any

from celery import Celery
from celery.signals import (
    beat_init,
    celeryd_init,
    setup_logging,
    worker_init,
    worker_process_init,
    worker_process_shutdown,
    worker_ready,
    worker_shutdown,
    worker_shutting_down,
)

from config.celeryconfig import celery_config
from config.logs import configure_logs
from config.queues import DEFAULT_QUEUE
from config.settings import SettingsError, load_settings
from tasks.broker_clock import SharedTimeApp
from tasks.results import keep_results
from tasks.wiring import use_world
from workers import revoking
from workers.clock_watch import ClockWatch
from workers.farewell import Farewell
from workers.lookout import Lookout
from workers.presence import Presence
from workers.schedule import beat_schedule

#: Modules whose import registers the tasks.
TASK_MODULES = (
    "tasks.payments",
    "tasks.tokens",
    "tasks.cards",
    "tasks.invoices",
    "tasks.webhooks",
    "tasks.events",
    "tasks.maintenance",
    "tasks.aggregations",
    "tasks.views",
    "tasks.dead_letters",
    "tasks.later",
)

#: How a worker reads its messages: it survives any. Others only write, and name their broker by its usual name.
READING = {"broker_transport": "workers.channel:Transport", "worker_consumer": "workers.consumer:QuarantineConsumer"}


def make_app() -> Celery:
    """Return the application, its settings read from the environment.

    Raises:
        SettingsError: something is missing or wrong; all mistakes are in it.
    """
    settings = load_settings()
    made = SharedTimeApp("nestcms-workers", include=list(TASK_MODULES), amqp="workers.lanes:LaneAMQP")
    made.conf.update(celery_config(settings), beat_schedule=beat_schedule(settings))
    keep_results(made)
    return made


@setup_logging.connect
def _log_our_way(**_: Any) -> None:  # noqa: ANN401 - Celery's signal arguments
    settings = load_settings()
    configure_logs(log_format=settings.log_format, level=settings.log_level)


@celeryd_init.connect
def _read_with_care(conf: Any, **_: Any) -> None:  # noqa: ANN401 - Celery's signal arguments
    conf.update(READING)
    revoking.install()


@worker_ready.connect
def _say_that_a_worker_is_ready(sender: Any, **_: Any) -> None:  # noqa: ANN401 - Celery's signal arguments
    _lifecycle("%s ready", sender.hostname)


@worker_ready.connect
def _look_after_the_schedule(sender: Any, **_: Any) -> None:  # noqa: ANN401 - Celery's signal arguments
    if DEFAULT_QUEUE in sender.app.amqp.queues.consume_from:
        lookout = Lookout(load_settings()).start()
        worker_shutdown.connect(lambda **_: lookout.stop(), weak=False)


@worker_init.connect
def _say_that_we_are_there(**_: Any) -> None:  # noqa: ANN401 - Celery's signal arguments
    settings = load_settings()
    presence = Presence(settings).start()
    if os.environ.get("REMAP_SIGTERM") == "SIGQUIT":  # else SIGTERM waits for running tasks, however long they take
        Farewell(settings).start()
    worker_shutting_down.connect(lambda **_: presence.leave(), weak=False)
    worker_shutdown.connect(lambda **_: presence.join(), weak=False)


@worker_init.connect
def _look_at_the_clock(**_: Any) -> None:  # noqa: ANN401 - Celery's signal arguments
    watch = ClockWatch(load_settings())
    watch.look()  # before the first message is asked for
    worker_ready.connect(lambda **_: watch.start(), weak=False)
    worker_shutdown.connect(lambda **_: watch.stop(), weak=False)


@beat_init.connect
def _watch_beats_clock(**_: Any) -> None:  # noqa: ANN401 - Celery's signal arguments
    ClockWatch(load_settings()).start()


@beat_init.connect
def _say_that_beat_starts(**_: Any) -> None:  # noqa: ANN401 - Celery's signal arguments
    _lifecycle("%s: Starting", "beat")


def _lifecycle(text: str, who: str) -> None:
    """Write a line that supervisors wait for, whatever LOG_LEVEL is."""
    logger = logging.getLogger("workers.lifecycle")
    logger.setLevel(logging.INFO)
    logger.info(text, who)


@worker_process_init.connect
def _forget_parents_clients(**_: Any) -> None:  # noqa: ANN401 - Celery's signal arguments
    use_world(None)


@worker_process_shutdown.connect
def _close_clients(**_: Any) -> None:  # noqa: ANN401 - Celery's signal arguments
    use_world(None)


try:
    app = make_app()
except SettingsError as error:
    sys.exit(str(error))
app.set_default()
