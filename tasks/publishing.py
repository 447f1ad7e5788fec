"""Sending a task from within the system: on its own queue, under the same correlation id, without waiting for it."""

from typing import Any, Protocol

import structlog
from celery import current_app
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from config.queues import CORRELATION_HEADER
from observability.metrics import PUBLISH_FAILURES

log = structlog.get_logger(__name__)

#: What a broker that is away, full or demoted makes of a message that is sent.
UNSENT: tuple[type[Exception], ...] = (OperationalError, RedisError, OSError)


class SendTask(Protocol):
    """Enqueues a task; says whether the broker took it."""

    def __call__(self, task_name: str, *, correlation_id: str, countdown: float = 0, **arguments: Any) -> bool:  # noqa: ANN401 - JSON values
        """Enqueue a task."""


def leave_to_sweeps(task_name: str, *, correlation_id: str, countdown: float = 0, **arguments: Any) -> bool:  # noqa: ANN401 - JSON values
    """Send nothing: for processes that are no worker, such as the command line's."""
    del task_name, correlation_id, countdown, arguments
    return False


def send_task(task_name: str, *, correlation_id: str, countdown: float = 0, **arguments: Any) -> bool:  # noqa: ANN401 - JSON values
    """Enqueue a task; nobody waits for its result.

    Args:
        task_name: its public name.
        correlation_id: under which everything about it is found.
        countdown: seconds to wait in the broker first.
        **arguments: the task's own.

    Returns:
        Whether the broker took it. If not, what it would have done stands in MongoDB, where a sweep finds it.
    """
    try:
        current_app.send_task(
            task_name,
            kwargs=arguments,
            countdown=countdown or None,
            headers={CORRELATION_HEADER: correlation_id},
            ignore_result=True,
        )
    except UNSENT as error:
        PUBLISH_FAILURES.labels(task=task_name, reason=type(error).__name__).inc()
        log.warning("task_not_sent", unsent_task=task_name, reason=str(error))
        return False
    return True
