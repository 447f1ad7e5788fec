"""The worker's consumer: the second line behind the channel, and the end of every error of the broker.

A message that is well-formed and still cannot be run, for whatever reason, is put away like a malformed one: it must
not end the worker, which would find it again after its restart. Trouble with the broker is not the message's fault and
goes on as it is: of whatever class it is, the worker connects anew and consumes again, since that is what empties a
full broker. Only a pool that cannot run ends it, or another error of ours that comes again with every connection: a
worker that lives and takes nothing is worse than one that its supervisor starts anew.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog
from billiard.exceptions import RestartFreqExceeded
from celery.exceptions import WorkerLostError, WorkerShutdown
from celery.platforms import EX_FAILURE
from celery.worker import state
from celery.worker.consumer import Consumer
from celery.worker.loops import asynloop, synloop
from celery.worker.state import active_requests
from kombu.exceptions import OperationalError
from kombu.message import Message
from redis.exceptions import RedisError

from observability.dead_letters import Kind
from paytabs.resilience import spread
from workers.later import prepare
from workers.messages import Malformed, read_body
from workers.pool_mending import mend
from workers.quarantine import put_away, undeliverable

log = structlog.get_logger(__name__)

#: What a broker that is away, full or demoted raises; the rest is the message's fault, or our own.
TROUBLES: tuple[type[Exception], ...] = (RedisError, OSError, OperationalError)

#: The first, the next and the longest wait between two attempts to connect, in seconds.
FIRST_WAIT_SECONDS, NEXT_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.5, 0.5, 2.0

#: A connection that held for so many seconds was no attempt: the next wait is the first again.
HELD_SECONDS = 10.0

#: How often in a row an error that is not the broker's may end a connection before it ends the worker.
MOST_STRANGE = 5


class QuarantineConsumer(Consumer):
    """Celery's consumer, which survives any message and any broker."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Celery's
        super().__init__(*args, **kwargs)
        #: What Celery connects anew for, here and wherever it is asked to look away.
        self.connection_errors: tuple[type[Exception], ...] = (Exception,)
        self._failures = self._strange = 0
        self._began = time.monotonic()
        self._ticks: set[Callable[[], object]] = set()

    def loop(self, *args: Any) -> None:  # noqa: ANN401 - Celery's
        """Run Celery's loop; a pool that cannot run is nothing that a new connection would mend."""
        self._began = time.monotonic()
        mend(self._whole.pool)
        try:
            (asynloop if self._whole.hub else synloop)(*args)
        except (WorkerLostError, RestartFreqExceeded, MemoryError) as error:
            log.critical("pool_cannot_run", reason=type(error).__name__, exc_info=True)
            raise WorkerShutdown(EX_FAILURE) from error

    def connect(self) -> Any:  # noqa: ANN401 - kombu's
        """Connect, and forget what the loop did for the connection before, which kombu leaves there."""
        hub = self._whole.hub
        if hub:
            hub.on_tick -= self._ticks
        before = set(hub.on_tick) if hub else set()
        connection = super().connect()
        self._ticks = set(hub.on_tick) - before if hub else set()
        return connection

    def ensure_connected(self, conn: Any) -> Any:  # noqa: ANN401 - kombu's
        """Connect however long it takes, soon after the broker is back."""
        conn.ensure_connection = partial(
            conn.ensure_connection,
            interval_start=spread(FIRST_WAIT_SECONDS),
            interval_step=NEXT_WAIT_SECONDS,
            interval_max=LONGEST_WAIT_SECONDS,
        )
        return super().ensure_connected(conn)

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """Wait a little before the next attempt."""
        super().on_connection_error_before_connected(exc)
        self._pause(exc)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Give the connection up, whatever state it is in; tasks that run go on."""
        whole = self._whole
        try:
            running = [request.message.delivery_tag for request in tuple(active_requests)]
            if whole.task_consumer and whole.task_consumer.channel:
                whole.task_consumer.channel.qos.leave(running)
            super().on_connection_error_after_connected(exc)
        except Exception as error:  # noqa: BLE001 - of whatever class: it would end the worker
            log.warning("connection_not_closed_cleanly", reason=type(error).__name__)
        finally:
            whole.connection = None
        self._pause(exc)

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Message], None]:  # noqa: ANN401 - Celery's
        """Return what is called with every task message."""
        handle = super().create_task_handler(*args, **kwargs)

        def on_task_received(message: Message) -> None:
            try:
                prepare(message, self._whole.app, state.revoked, self._whole.app.now())
                handle(message)
            except TROUBLES:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, the worker lives on
                self._put_away(message, Kind.MALFORMED, f"{type(error).__name__}: {error}")
                if not message.acknowledged:
                    message.reject()

        return on_task_received

    def on_unknown_task(self, body: Any, message: Message, exc: Exception) -> None:  # noqa: ANN401 - Celery's
        """Put away a message for a task that this version does not have, and let its caller know."""
        self._put_away(message, Kind.UNKNOWN_TASK, "no task of this version has that name")
        super().on_unknown_task(body, message, exc)

    def on_unknown_message(self, body: Any, message: Message) -> None:  # noqa: ANN401 - Celery's
        """Put away a message that names no task."""
        self._put_away(message, Kind.MALFORMED, "it names no task")
        super().on_unknown_message(body, message)

    def on_invalid_task(self, body: Any, message: Message, exc: Exception) -> None:  # noqa: ANN401 - Celery's
        """Put away a message whose headers Celery refuses."""
        self._put_away(message, Kind.MALFORMED, str(exc))
        super().on_invalid_task(body, message, exc)

    def on_decode_error(self, message: Message, exc: Exception) -> None:
        """Put away a message whose body Celery cannot read."""
        self._put_away(message, Kind.MALFORMED, str(exc))
        super().on_decode_error(message, exc)

    def _put_away(self, message: Message, kind: Kind, reason: str) -> None:
        whole: Any = message  # the stubs do not know all of it
        envelope = whole._raw  # noqa: SLF001 - the only place where kombu keeps the whole message
        try:
            body = read_body(envelope)
        except Malformed:
            body = None
        queue = str((message.delivery_info or {}).get("routing_key"))
        put_away(undeliverable(envelope, queue, kind, reason, body), whole.channel.conn_or_acquire)

    def _pause(self, error: Exception) -> None:
        """Log what happened, and wait longer each time a connection does not hold."""
        held = time.monotonic() - self._began > HELD_SECONDS
        if isinstance(error, TROUBLES):
            self._strange = 0
        else:
            self._strange = 1 if held else self._strange + 1
            log.error("consumer_survived", reason=type(error).__name__, exc_info=error)
        if self._strange >= MOST_STRANGE:
            raise WorkerShutdown(EX_FAILURE) from error
        self._failures, self._began = (1 if held else self._failures + 1), time.monotonic()
        time.sleep(spread(min(self._failures * NEXT_WAIT_SECONDS / 5, LONGEST_WAIT_SECONDS)))

    @property
    def _whole(self) -> Any:  # noqa: ANN401 - the stubs do not know all of it
        return self
