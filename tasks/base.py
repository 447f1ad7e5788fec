"""What every task has in common: checked arguments, ids on every log line, and one backoff policy for every retry.

Bad arguments fail at once. What may pass by itself is tried again after growing, fully jittered waits of at most 20
seconds; longer waits live in MongoDB and the sweeps, because a waiting message holds a place in the broker.
"""

import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, NoReturn, TypeVar

import structlog
from billiard.exceptions import SoftTimeLimitExceeded
from celery import Task, shared_task
from celery.exceptions import Reject, TaskPredicate
from celery.signals import task_postrun
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

from aggregations.errors import AnswerTooLarge, BudgetExceeded, MayPass, NotFound, UnknownAggregation
from config.logs import bind_task, clear_task
from config.queues import CORRELATION_HEADER, REFUSED_HEADER
from observability.database_refusals import ALERT, refusal_in
from observability.metrics import TASK_RETRIES
from payments.errors import (
    GuardMissing,
    InboxUnavailable,
    InvalidArgument,
    NotYet,
    RowWaits,
    StreamContended,
    was_sent,
)
from payments.events import Context, timestamp
from paytabs.breaker_rules import STATE_CLOSED
from paytabs.resilience import TASK_RETRY, BackoffPolicy
from tasks.arguments import Arguments
from tasks.database_alerts import tell
from tasks.deliveries import counted
from tasks.done_work import NOTHING
from tasks.duties import ROWED, Duty, duty_of, has_caller
from tasks.errors import DatabaseRefuses, InvalidArguments, SlotFailed
from tasks.outcomes import Done, alerts_here, last_word, note_returned, row_of
from tasks.slotted import entry_in, in_its_slot
from tasks.timekeeping import limit_of, task_begins
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
    GuardMissing,
    MayPass,
    RedisError,
    SoftTimeLimitExceeded,
)

#: Errors that are the caller's to mend and stand in its answer: here they are one line without a traceback.
CALLERS_MISTAKES: tuple[type[Exception], ...] = (
    InvalidArguments,
    InvalidArgument,
    NotFound,
    UnknownAggregation,
    BudgetExceeded,
    AnswerTooLarge,
)

#: Server errors that MongoDB itself says may be tried again.
RETRYABLE_LABELS = ("TransientTransactionError", "RetryableWriteError", "RetryableReadError")

#: A caller waits this often for work in other hands; then it is told when to look again.
WAITS_FOR_OTHERS = 6

#: No message waits longer than this in the broker; longer waits live in `due_at`.
LONGEST_COUNTDOWN_SECONDS = 20.0

#: Which part of the visibility timeout a message may wait: the rest is for its turn and its run. One that waits longer
#: than the whole is handed out a second time.
VISIBLE_WAIT_SHARE = 1 / 3

#: What waits for an operator is tried again after so long at least, and a draw on top of it: much may wait so.
STAY_SECONDS = 5.0

#: Arguments that name what a task is about: they stand on every log line of it.
NAMED_IDS = (
    "payment_id", "operation_id", "delivery_id", "tran_ref", "contract_id", "project_id", "user_id", "client_id",
    "org_id", "card_id", "requested_by",
)  # fmt: skip

#: The longest correlation id that is taken over.
MAX_CORRELATION_LENGTH = 128


class DomainTask(Task):  # type: ignore[type-arg] # the stubs' parameter does not exist at run time
    """A task with checked arguments, bound log ids and the common retry policy."""

    abstract = True
    #: A task whose child process was killed is always tried again: Celery has one counter for that and for waits, so
    #: lost workers are counted by themselves where a run begins; see tasks.deliveries.
    max_retries = None
    throws = (*CALLERS_MISTAKES, DatabaseRefuses)
    #: Celery writes this much of an answer into its log line and into Flower: an answer may be about people.
    resultrepr_maxsize = 1
    policy: BackoffPolicy = TASK_RETRY
    #: What the parent of a pool knows of a run; see there.
    Request = "tasks.requests:DomainRequest"
    #: What the task takes.
    arguments: type[Arguments] = Arguments

    @property
    def default_retry_delay(self) -> float:  # type: ignore[override] # Celery reads it anew for each run
        """Draw how long a task waits whose child process was killed: a machine that runs full kills many at once."""
        return self.policy.delay(1)

    def before_start(self, task_id: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Bind the ids of this run, so that Celery's own lines about its end carry them too; see `forget_ids`."""
        del args, kwargs
        task_begins(limit_of(self.request.timelimit, self.soft_time_limit), awaited=has_caller(self.name))
        bind_task(task_id=task_id, task_name=self.name, correlation_id=self.correlation_id())

    def perform(self, body: Body[A], model: type[A], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
        """Check the arguments and run the body; put it back when what stopped it may pass."""
        if refused := (self.request.headers or {}).get(REFUSED_HEADER):
            raise InvalidArguments(str(refused))
        asked = check(model, args, kwargs)
        bind_ids(asked)
        context = Context(
            correlation_id=self.correlation_id(),
            source=self.name,
            causation_id=self.request.id,
            operation_id=getattr(asked, "operation_id", None),
            requested_by=asked.requested_by,
        )
        if self.request.called_directly or self.request.is_eager:
            return self._run(body, asked, context)
        try:
            with counted(str(self.app.conf.broker_url), str(self.request.id)):
                answer = self._run(body, asked, context)
        except TaskPredicate:
            raise
        except Exception as error:
            if isinstance(error, self.throws):
                raise
            answer = self._by_its_row(error, self.by_name(args, kwargs))
        note_returned(self.request, answer)
        return answer

    def _by_its_row(self, error: Exception, given: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
        """Return the answer that a task's row has, where its work is done all the same.

        Raises:
            OutcomeUnknown: nobody can say how it ended.
            Exception: the error itself, when it says how it ended.
        """
        said = last_word(error, self.name, given)
        if isinstance(said, Done):
            log.warning("task_answered_by_its_row", reason=type(error).__name__)
            return said.answer
        if said is error:
            raise error
        raise said from error

    def by_name(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return arguments by name, as far as they have names, whether they are right or not."""
        return {**dict(zip(positions(self.arguments), args, strict=False)), **kwargs}

    def correlation_id(self) -> str:
        """Return the id that the caller gave in its header, else the task's own."""
        given = correlation_in(self.request.headers or {})
        return given if given is not None else str(self.request.id)

    def _run(self, body: Body[A], asked: A, context: Context) -> Any:  # noqa: ANN401 - JSON
        log.info("task_started", retries=self.request.retries, pid=os.getpid())
        entry = entry_in(self.request.headers or {}, self.name)
        try:
            answer = in_its_slot(world(), entry, lambda: body(world(), asked, context))
        except NotYet as error:
            return self._wait_or_queue(error)
        except SlotFailed as failed:
            if refusal_in(failed.error):
                return self._refused(failed.error, Duty.STAYS, asked)
            if not may_pass(failed.error):
                raise failed.error from None
            self.again(failed.error, at_least=failed.wait_seconds)
        except Exception as error:
            if refusal_in(error):
                is_look = entry is not None and entry.missed == "level"
                return self._refused(error, duty_of(self.name, scheduled=is_look), asked)
            if not may_pass(error):
                raise
            self.again(error)
        log.info("task_succeeded")
        return answer

    def _refused(self, error: Exception, duty: Duty, asked: Arguments) -> Any:  # noqa: ANN401 - JSON
        """Go on as is right for a task whose work the database refuses until an operator acts, who is told.

        Raises:
            Retry: the message is in the broker again, no attempt counted.
            DatabaseRefuses: the task only reads, or acts by hand.
            Exception: the error itself, when it came after PayTabs was sent something.
        """
        refusal = refusal_in(error)
        if refusal is None:
            raise error
        tell(refusal, error, str(self.app.conf.broker_url), alerts_here)
        if duty is Duty.SWEPT:
            log.warning("task_left_to_its_sweep", reason=refusal.key)
            return {"waits_for": ALERT, "reason": refusal.key}
        if duty is Duty.ENDS:
            raise DatabaseRefuses(refusal.key, refusal.reason) from error
        if was_sent(error):
            raise error
        work = NOTHING if refusal.shuts_out else row_of(self.name, asked.model_dump())
        if not work.known:
            self.stay(error)
        if work.done:
            return work.answer
        return self._queued(getattr(asked, "payment_id", None), LONGEST_COUNTDOWN_SECONDS, refusal.key)

    def _wait_or_queue(self, error: NotYet) -> dict[str, Any]:
        """Wait in the broker when it is short, else tell the caller when to look again.

        Of what has no row yet nothing can be told: nobody else would go on with it.
        """
        if self.name in ROWED and not isinstance(error, RowWaits):
            self.stay(error, at_least=error.delay_seconds)
        longest = error.delay_seconds + self.policy.ceiling(1)  # with the draw of a first wait at least
        is_short = longest <= self._longest_countdown_seconds() and self.request.retries < WAITS_FOR_OTHERS
        if is_short and world().gateway.gate.breaker.state() == STATE_CLOSED:
            self.again(error, at_least=error.delay_seconds if error.reason != "in_flight" else 0.0)
        return self._queued(error.payment_id, error.delay_seconds, error.reason)

    def _queued(self, payment_id: str | None, delay_seconds: float, reason: str) -> dict[str, Any]:
        seconds = self.policy.delay(self.request.retries + 1, at_least=delay_seconds)
        retry_at = timestamp(world().clock() + timedelta(seconds=seconds))
        log.info("task_queued", reason=reason, retry_at=retry_at)
        return {"payment_id": payment_id, "state": "queued", "retry_at": retry_at}

    def stay(self, error: Exception, *, at_least: float = STAY_SECONDS) -> NoReturn:
        """Put the task back without counting that as an attempt: it is not at fault, and has nowhere else to wait.

        Args:
            error: what it waits for.
            at_least: the shortest wait that makes sense, in seconds.

        Raises:
            Retry: it is in the queue again.
            Reject: the broker did not take it; the message it came in goes back instead.
        """
        most = self._longest_countdown_seconds()
        countdown = self.policy.delay(self.policy.max_attempts, at_least=min(at_least, most / 2), at_most=most)
        log.warning("task_stays", reason=type(error).__name__, countdown_seconds=round(countdown, 3))
        if not self.request.called_directly:
            self.request.update(retries=self.request.retries - 1)  # Celery counts it, whoever puts it back
        self._put_back(error, countdown, None)

    def _put_back(self, error: Exception, countdown: float, most: int | None) -> NoReturn:
        TASK_RETRIES.labels(task=self.name, reason=type(error).__name__).inc()
        try:
            raise self.retry(exc=error, countdown=countdown, max_retries=most)
        except Reject as unsent:
            # Celery would drop the message here: nobody would ever hear of the task again.
            raise Reject(f"the retry could not be sent: {unsent}", requeue=True) from error

    def again(self, error: Exception, *, at_least: float = 0.0) -> NoReturn:
        """Put the task back with the policy's next wait, or fail with `error` when it has been tried often enough.

        Args:
            error: what stopped it.
            at_least: the shortest wait that makes sense, in seconds; the policy's draw comes after it.

        Raises:
            Retry: it is in the queue again.
            Reject: the broker did not take it; the message it came in goes back instead.
        """
        failed = self.request.retries + 1
        countdown = self.policy.delay(failed, at_least=at_least, at_most=self._longest_countdown_seconds())
        most = self.policy.max_attempts - 1
        if failed > most:
            raise error
        log.warning("task_retried", reason=type(error).__name__, attempt=failed, countdown_seconds=round(countdown, 3))
        self._put_back(error, countdown, most)

    def _longest_countdown_seconds(self) -> float:
        transport = self.app.conf.broker_transport_options
        return longest_countdown_seconds(float(transport["visibility_timeout"]))


def longest_countdown_seconds(visibility_timeout_seconds: float) -> float:
    """Return how long a message may wait in a broker with that visibility timeout."""
    return min(LONGEST_COUNTDOWN_SECONDS, visibility_timeout_seconds * VISIBLE_WAIT_SHARE)


def may_pass(error: Exception) -> bool:
    """Tell whether the same work may succeed later without anybody's help."""
    if isinstance(error, PASSING):
        return True
    labelled = isinstance(error, PyMongoError) and any(error.has_error_label(label) for label in RETRYABLE_LABELS)
    return labelled or (isinstance(error, OperationFailure) and error.timeout)


def check(model: type[A], args: tuple[Any, ...], kwargs: dict[str, Any]) -> A:
    """Build a task's arguments, positional ones in the model's order.

    Raises:
        InvalidArguments: every mistake, each naming its field.
    """
    names = positions(model)
    if len(args) > len(names):
        raise InvalidArguments(f"arguments: expected at most {len(names)} positional ones, got {len(args)}")
    given = dict(zip(names, args, strict=False))
    if twice := given.keys() & kwargs.keys():
        raise InvalidArguments(*(f"{name}: given twice" for name in sorted(twice)))
    try:
        return model.model_validate({**given, **kwargs})
    except ValidationError as error:
        raise InvalidArguments.from_validation(error) from None


def positions(model: type[Arguments]) -> list[str]:
    """List what positional arguments mean, in their order."""
    return [name for name in model.model_fields if name not in ("requested_by", "audit_reason")]


def correlation_in(headers: Mapping[str, Any]) -> str | None:
    """Return the usable correlation id among a message's headers, if there is one; `x_correlation_id` does as well."""
    spelt = {name.lower().replace("_", "-"): value for name, value in headers.items()}
    given = spelt.get(CORRELATION_HEADER)
    if not isinstance(given, str) or not given.strip() or len(given) > MAX_CORRELATION_LENGTH:
        return None
    return given.strip() if given.isascii() and given.isprintable() else None


@task_postrun.connect(weak=False)
def forget_ids(**_: Any) -> None:  # noqa: ANN401 - Celery's signal arguments
    """Take a task's ids off the log lines once Celery has said its last word about it, and its limit off the clock."""
    clear_task()
    task_begins(None)


def bind_ids(asked: Arguments) -> None:
    """Put the ids of what a task is about on every log line."""
    ids = {name: getattr(asked, name) for name in NAMED_IDS if getattr(asked, name, None)}
    structlog.contextvars.bind_contextvars(**ids)


def domain_task(name: str, arguments: type[A], *, policy: BackoffPolicy = TASK_RETRY) -> Callable[[Body[A]], Task]:  # type: ignore[type-arg] # as above
    """Register a body as a Celery task under its public name."""

    def register(body: Body[A]) -> Task:  # type: ignore[type-arg] # as above
        def run(self: DomainTask, /, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - JSON
            return self.perform(body, arguments, args, kwargs)

        run.__name__, run.__doc__, run.__module__ = body.__name__, body.__doc__, body.__module__
        options: dict[str, Any] = {"base": DomainTask, "typing": False, "arguments": arguments, "policy": policy}
        task: Task = shared_task(name=name, bind=True, **options)(run)  # type: ignore[type-arg, no-untyped-call] # as above
        return task

    return register
