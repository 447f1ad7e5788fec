"""Which failures end as a dead letter, and how letters are carried from the broker to MongoDB.

A caller who is told of his mistake needs none. A letter is for what nobody waits for any more: tried as often as the
policy allows, begun until too many workers were lost over it, or failed by an error of ours where no caller would see
it. What a schedule repeats anyway leaves none either: its next tick is its next try.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import structlog
from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery.signals import task_failure
from redis.exceptions import RedisError

from config.connections import redis_client
from config.queues import queue_of
from config.redaction import redact, redact_text
from observability.dead_letters import WAITING_LIST, DeadLetters, Kind, Letter, letter_id
from observability.metrics import DEAD_LETTERS
from schedules.table import ENTRIES
from tasks.alert_keys import letter_key
from tasks.alert_letters import DONE_MEANWHILE, arguments_of, known_tasks, scheduled
from tasks.base import DomainTask, correlation_in, may_pass
from tasks.done_work import work_of
from tasks.errors import InvalidArguments, OutcomeUnknown, WorkersLost
from tasks.outcomes import was_answered
from tasks.wiring import World

log = structlog.get_logger(__name__)

#: Tasks that nobody waits for: any error of ours in them must be seen by a person. What each is about has a row of its
#: own, named by this argument, and there is one letter per row however often a sweep sends the task again.
WATCHED: Mapping[str, str] = {"webhooks.process": "delivery_id", "payments.poll": "operation_id"}

#: Tasks that a schedule repeats, whatever ends them.
REPEATED = "maintenance."

#: Tasks outside of them that it repeats as well, itself or by what a look of it enqueues: being given up is no end.
TRIED_AGAIN = frozenset({*(entry.task for entry in ENTRIES), "aggregations.refresh"})

#: The longest text of an error, and of a task's arguments, in characters.
LONGEST_TEXT, LONGEST_ARGUMENTS = 1_000, 16_000

#: How many letters one sweep carries.
SWEEP_LIMIT = 500

#: How many letters are read from the broker at once.
SWEEP_BATCH = 50

#: Seconds that the broker has for a letter.
BROKER_SECONDS = 2.0


def carry(world: World) -> int:
    """Carry the letters that wait in the broker into `dead_letters`, and return how many there were."""
    letters, carried = DeadLetters(world.db, clock=world.clock), 0
    with redis_client(world.settings.redis_url or "", timeout_seconds=BROKER_SECONDS) as broker:
        while carried < SWEEP_LIMIT and (waiting := broker.lrange(WAITING_LIST, -SWEEP_BATCH, -1)):
            letters.ensure_indexes()
            for text in reversed(waiting):
                # Taken off the list only after it is kept: a worker that dies here leaves it to be carried again.
                carried += keep(world, letters, read_letter(text, world.clock()))
                broker.lrem(WAITING_LIST, -1, text)
    return carried


def keep(world: World, letters: DeadLetters, letter: Letter) -> bool:
    """Keep a letter and tell of it; False for a tick of the schedule that a worker of the version before has refused.

    False, too, for one whose work is done by now.

    Carried once more by who dies before it is off the list, it is one letter, told of twice.
    """
    if letter.kind is Kind.UNKNOWN_TASK and scheduled(letter.task):
        log.warning("tick_refused", refused_task=letter.task, reason="unknown to the worker that took it")
        return False
    if work_of(world, letter.task, arguments_of(letter.arguments)).done:
        log.info("letter_not_kept", letter_id=letter.letter_id, reason=DONE_MEANWHILE)
        return False
    letters.keep(letter)
    # Without its text, which may tell of people: that stands in the letter until it has come of age.
    told = f"{letter.kind}: {letter.error}"
    world.alerts.raise_alert("dead_letter", letter_key(letter.task, known_tasks()), told, subject=letter.letter_id)
    return True


def read_letter(text: str, now: datetime) -> Letter:
    """Read a letter from the list; what is none becomes one, since somebody put it there."""
    try:
        return Letter.from_json(text)
    except ValueError:
        return Letter(
            letter_id=letter_id(text), kind=Kind.MALFORMED, at=now, error="Malformed", text="an unreadable letter",
            queue=WAITING_LIST, raw=redact_text(text[:LONGEST_TEXT]), size_bytes=len(text),
        )  # fmt: skip


@task_failure.connect(weak=False)
def give_up(sender: Any = None, exception: BaseException | None = None, **told: Any) -> None:  # noqa: ANN401 - Celery's
    """Write a letter about a task that has failed for good, if it is one that needs it; never raise.

    One whose row has answered for it has done its work: nobody need look.
    """
    if not isinstance(sender, DomainTask) or exception is None or was_answered(exception):
        return
    error = exception.__cause__ or exception if isinstance(exception, OutcomeUnknown) else exception
    kind = kind_of(sender.name, error)
    if kind is None:
        return
    letter = letter_about(sender, kind, error, told.get("args") or (), told.get("kwargs") or {})
    DEAD_LETTERS.labels(task=sender.name, kind=kind.value).inc()
    log.error("dead_letter", letter_id=letter.letter_id, kind=kind.value, reason=letter.error, given_up=sender.name)
    put_away(letter, str(sender.app.conf.broker_url))


def kind_of(task_name: str, error: BaseException) -> Kind | None:
    """Tell which kind of letter a failure leaves, if any."""
    if task_name.startswith(REPEATED) or isinstance(error, InvalidArguments):
        return None
    if isinstance(error, WorkersLost | WorkerLostError):
        return Kind.LOST_WORKERS
    if isinstance(error, Exception) and may_pass(error):
        return None if task_name in TRIED_AGAIN else Kind.GIVEN_UP
    return Kind.FAILED if task_name in WATCHED or isinstance(error, TimeLimitExceeded) else None


def letter_about(
    task: DomainTask, kind: Kind, error: BaseException, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Letter:
    """Write down a task's failure; arguments are kept by name, and without what is secret in them."""
    request = task.request
    named = task.by_name(tuple(args), kwargs)
    harmless = redact(named)
    text = json.dumps({"args": [], "kwargs": harmless})
    about = named.get(WATCHED.get(task.name, "")) or request.id
    return Letter(
        letter_id=letter_id(task.name, str(about)),
        kind=kind,
        at=datetime.now(UTC),
        error=type(error).__name__,
        text=redact_text(str(error))[:LONGEST_TEXT],
        queue=(request.delivery_info or {}).get("routing_key") or queue_of(task.name),
        task=task.name,
        task_id=request.id,
        correlation_id=correlation_in(request.headers or {}) or request.id,
        arguments=text if len(text) <= LONGEST_ARGUMENTS else None,
        intact=harmless == named and len(text) <= LONGEST_ARGUMENTS,
        attempts=error.lost if isinstance(error, WorkersLost) else (request.retries or 0) + 1,
    )


def put_away(letter: Letter, broker_url: str) -> None:
    """Put a letter into the broker's list, which also a worker's parent can do without waiting; else into the log."""
    try:
        with redis_client(broker_url, timeout_seconds=BROKER_SECONDS) as broker:
            broker.lpush(WAITING_LIST, letter.to_json())
    except (RedisError, OSError) as error:
        log.critical("dead_letter_lost", reason=type(error).__name__, letter=letter.to_json())
