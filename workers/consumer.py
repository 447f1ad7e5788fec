"""The worker's consumer: the second line behind the channel.

A message that is well-formed and still cannot be run, for whatever reason, is put away like a malformed one: it must
not end the worker, which would find it again after its restart. Trouble with the broker is not the message's fault and
goes on as it is.
"""

from collections.abc import Callable
from typing import Any

from celery.worker import state
from celery.worker.consumer import Consumer
from kombu.message import Message

from observability.dead_letters import Kind
from workers.later import prepare
from workers.messages import Malformed, read_body
from workers.quarantine import put_away, undeliverable


class QuarantineConsumer(Consumer):
    """Celery's consumer, which survives any message."""

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Message], None]:  # noqa: ANN401 - Celery's
        """Return what is called with every task message."""
        handle = super().create_task_handler(*args, **kwargs)
        whole: Any = self  # the stubs do not know all of it
        troubles: tuple[type[Exception], ...] = (*whole.connection_errors, *whole.channel_errors)

        def on_task_received(message: Message) -> None:
            try:
                prepare(message, whole.app, state.revoked, whole.app.now())
                handle(message)
            except troubles:
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
        with whole.channel.conn_or_acquire() as client:
            put_away(undeliverable(envelope, queue, kind, reason, body), client)
