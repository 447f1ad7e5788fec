"""What every task has in common: checked arguments, ids on every log line, and one backoff policy for every retry.

Bad arguments fail at once. What may pass by itself is tried again after growing, fully jittered waits of at most 20
seconds; longer waits live in MongoDB and the sweeps, because a waiting message holds a place in the broker.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, NoReturn, TypeVar

import structlog
from billiard.exceptions import SoftTimeLimitExceeded
from celery import Task, shared_task
from pydantic import ValidationError
from pymongo.errors import (
    ConnectionFailure,
    ExecutionTimeout,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
)
from redis.exceptions import RedisError

from config.logs import bind_task, clear_task
from config.queues import CORRELATION_HEADER
from observability.metrics import TASK_RETRIES
from payments.errors import InboxUnavailable, NotYet, StreamContended
from payments.events import Context, timestamp
from paytabs.resilience import TASK_RETRY, BackoffPolicy
from tasks.arguments import Arguments
from tasks.errors import InvalidArguments
from tasks.wiring import World, world

log = structlog.get_logger(__name__)
A = TypeVar("A", bound=Arguments)
Body = Callable[[World, A, Context], Any]

#: Errors that may pass by themselves.
PASSING: tuple[type[Exception], ...] = (
    ConnectionFailure,
    NetworkTimeout,
    ExecutionTimeout,
    WriteConcernError,
    InboxUnavailable,
    StreamContended,
    RedisError,
    SoftTimeLimitExceeded,
)

#: Server errors that MongoDB itself says may be tried again.
RETRYABLE_LABELS = ("TransientTransactionError", "RetryableWriteError", "RetryableReadError")

#: A caller waits this often for work in other hands; then it is told when to look again.
WAITS_FOR_OTHERS = 6

#: A waiting message must come back well before the visibility timeout; longer waits live in `due_at`.
LONGEST_COUNTDOWN_SECONDS = 20.0

#: How often a task is tried whose worker process was lost; then it fails, and the sweeps have its work.
LOST_WORKERS = 3


class DomainTask(Task):  # type: ignore[type-arg] # the stubs' parameter does not exist at run time
    """A task with checked arguments, bound log ids and the common retry policy."""

    abstract = True
    max_retries = LOST_WORKERS
    default_retry_delay = 1
    policy: BackoffPolicy = TASK_RETRY

    def perform(self, body: Body[A], model: type[A], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
        """Check the arguments and run the body; put it back when what stopped it may pass."""
        correlation_id = self.correlation_id()
        bind_task(task_id=str(self.request.id), task_name=self.name, correlation_id=correlation_id)
        try:
            asked = check(model, args, kwargs)
            bind_ids(asked)
            context = Context(
                correlation_id=correlation_id,
                source=self.name,
                causation_id=self.request.id,
                operation_id=getattr(asked, "operation_id", None),
                requested_by=asked.requested_by,
            )
            return self._run(body, asked, context)
        finally:
            clear_task()

    def correlation_id(self) -> str:
        """Return the id the caller gave in the header `x-correlation-id`, else the task's own."""
        given = self.request.get(CORRELATION_HEADER) or (self.request.headers or {}).get(CORRELATION_HEADER)
        usable = isinstance(given, str) and given.isascii() and given.isprintable() and 0 < len(given) <= 128  # noqa: PLR2004 - a header's worth
        return str(given) if usable else str(self.request.id)

    def _run(self, body: Body[A], asked: A, context: Context) -> Any:  # noqa: ANN401 - JSON
        log.info("task_started", retries=self.request.retries)
        try:
            answer = body(world(), asked, context)
        except NotYet as error:
            return self._wait_or_queue(error)
        except PASSING as error:
            self.again(error)
        except PyMongoError as error:
            if not is_passing(error):
                raise
            self.again(error)
        log.info("task_succeeded")
        return answer

    def _wait_or_queue(self, error: NotYet) -> dict[str, Any]:
        """Wait in the broker when it is short, else tell the caller when to look again."""
        if error.delay_seconds <= LONGEST_COUNTDOWN_SECONDS and self.request.retries < WAITS_FOR_OTHERS:
            self.again(error, at_least=error.delay_seconds if error.reason != "in_flight" else 0.0)
        retry_at = world().clock() + timedelta(seconds=error.delay_seconds)
        log.info("task_queued", reason=error.reason, retry_at=timestamp(retry_at))
        return {"payment_id": error.payment_id, "state": "queued", "retry_at": timestamp(retry_at)}

    def again(self, error: Exception, *, at_least: float = 0.0) -> NoReturn:
        """Put the task back with the policy's next wait, or fail with `error` when it has been tried often enough."""
        failed = self.request.retries + 1
        countdown = min(max(self.policy.delay(failed), at_least), LONGEST_COUNTDOWN_SECONDS)
        TASK_RETRIES.labels(task=self.name, reason=type(error).__name__).inc()
        log.warning("task_retried", reason=type(error).__name__, attempt=failed, countdown_seconds=round(countdown, 3))
        raise self.retry(exc=error, countdown=countdown, max_retries=self.policy.max_attempts - 1)


def is_passing(error: PyMongoError) -> bool:
    """Tell whether MongoDB says that the same operation may work later."""
    return any(error.has_error_label(label) for label in RETRYABLE_LABELS) or (
        isinstance(error, OperationFailure) and error.timeout
    )


def check(model: type[A], args: tuple[Any, ...], kwargs: dict[str, Any]) -> A:
    """Build a task's arguments, positional ones in the model's order.

    Raises:
        InvalidArguments: every mistake, each naming its field.
    """
    names = [name for name in model.model_fields if name != "requested_by"]
    if len(args) > len(names):
        raise InvalidArguments(f"arguments: expected at most {len(names)} positional ones, got {len(args)}")
    given = dict(zip(names, args, strict=False))
    if twice := given.keys() & kwargs.keys():
        raise InvalidArguments(*(f"{name}: given twice" for name in sorted(twice)))
    try:
        return model.model_validate({**given, **kwargs})
    except ValidationError as error:
        raise InvalidArguments.from_validation(error) from None


def bind_ids(asked: Arguments) -> None:
    """Put the ids of what a task is about on every log line."""
    named = ("payment_id", "operation_id", "delivery_id", "tran_ref", "contract_id", "requested_by")
    ids = {name: getattr(asked, name) for name in named if getattr(asked, name, None)}
    structlog.contextvars.bind_contextvars(**ids)


def domain_task(name: str, arguments: type[A]) -> Callable[[Body[A]], Task]:  # type: ignore[type-arg] # as above
    """Register a body as a Celery task under its public name."""

    def register(body: Body[A]) -> Task:  # type: ignore[type-arg] # as above
        def run(self: DomainTask, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - JSON
            return self.perform(body, arguments, args, kwargs)

        run.__name__, run.__doc__, run.__module__ = body.__name__, body.__doc__, body.__module__
        task: Task = shared_task(name=name, bind=True, base=DomainTask, typing=False)(run)  # type: ignore[type-arg] # as above
        return task

    return register
