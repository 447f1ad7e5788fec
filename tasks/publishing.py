"""Sending a task from within the system: on its own queue, under the same correlation id, without waiting for it.

What is sent once per change is not sent while its message waits; see `once`. Every message says since when it waits.
"""

from collections.abc import Mapping
from datetime import UTC
from typing import Any, Protocol

import structlog
from celery import Celery, current_app
from celery.signals import before_task_publish
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from config.queues import CORRELATION_HEADER, SINCE_HEADER, queue_of
from observability.metrics import PUBLISH_FAILURES
from tasks.once import ONCE, end_mark, expires, key_of, make_mark, note_queued

log = structlog.get_logger(__name__)

#: What a broker that is away, full or demoted makes of a message that is sent.
UNSENT: tuple[type[Exception], ...] = (OperationalError, RedisError, OSError)


class SendTask(Protocol):
    """Enqueues a task; says whether the broker has it, from now on or already."""

    def __call__(self, task_name: str, *, correlation_id: str, countdown: float = 0, **arguments: Any) -> bool:  # noqa: ANN401 - JSON values
        """Enqueue a task."""


def leave_to_sweeps(task_name: str, *, correlation_id: str, countdown: float = 0, **arguments: Any) -> bool:  # noqa: ANN401 - JSON values
    """Send nothing: for processes that are no worker, such as the command line's."""
    del task_name, correlation_id, countdown, arguments
    return False


def send_task(task_name: str, *, correlation_id: str, countdown: float = 0, **arguments: Any) -> bool:  # noqa: ANN401 - JSON values
    """Enqueue a task, unless the same work waits already; nobody waits for its result.

    Args:
        task_name: its public name.
        correlation_id: under which everything about it is found.
        countdown: seconds to wait in the broker first.
        **arguments: the task's own.

    Returns:
        Whether the broker has it. If not, what it would have done stands in MongoDB, where a sweep finds it.
    """
    try:
        enqueue(current_app, task_name, arguments, correlation_id, countdown=countdown)
    except UNSENT as error:
        PUBLISH_FAILURES.labels(task=task_name, reason=type(error).__name__).inc()
        log.warning("task_not_sent", unsent_task=task_name, reason=str(error))
        return False
    return True


def enqueue(
    app: Celery,
    task_name: str,
    arguments: Mapping[str, Any],
    correlation_id: str,
    *,
    countdown: float = 0,
    anew: bool = False,
    **options: Any,  # noqa: ANN401 - Celery's own
) -> bool:
    """Enqueue a task through an application; False when the same work is queued already.

    Args:
        app: The application.
        task_name: its public name.
        arguments: the task's own.
        correlation_id: under which everything about it is found.
        countdown: seconds to wait in the broker first.
        anew: also when a mark says that it is queued: the message may be lost.
        **options: Celery's own for a message.

    Raises:
        OperationalError: the broker did not take it, or its mark.
    """
    message: dict[str, Any] = {"kwargs": dict(arguments), "countdown": countdown or None, "ignore_result": True}
    headers = {CORRELATION_HEADER: correlation_id}
    if task_name not in ONCE:
        app.send_task(task_name, **message, headers=headers, **options)
        return True
    url, key = str(app.conf.broker_url), key_of(task_name, arguments)
    try:
        mark = make_mark(url, key, queue_of(task_name), ONCE[task_name], wait_seconds=countdown, anew=anew)
    except (RedisError, OSError) as error:
        raise OperationalError(str(error)) from error
    if mark is None:
        note_queued(task_name)
        return False
    good: dict[str, Any] = {"expires": mark.ends_at} if expires(task_name, arguments) else {}
    try:
        app.send_task(task_name, **message, headers=headers | mark.header, **good, **options)
    except BaseException:
        end_mark(url, mark.key, mark.token)
        raise
    return True


@before_task_publish.connect(weak=False)
def say_since(headers: dict[str, Any] | None = None, **_: Any) -> None:  # noqa: ANN401 - Celery's signal arguments
    """Write into a message since when it waits; sent again, it waits anew."""
    if isinstance(headers, dict):
        headers[SINCE_HEADER] = current_app.now().astimezone(UTC).isoformat(timespec="seconds")
