"""Tasks about later times: `later.keep` takes a message out of the broker, `later.sweep` puts back those that are due.

`later.revoke` notes what callers have revoked: Celery's workers forget that after some hours, and with each restart.
"""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

import structlog
from celery import Celery, current_app
from kombu.exceptions import OperationalError
from pydantic import Field, StringConstraints

from config.redaction import is_secret_name
from payments.card_vault import CardVault
from payments.errors import InvalidArgument
from payments.events import Context, timestamp
from paytabs.resilience import TASK_RETRY
from tasks.arguments import Arguments
from tasks.base import DomainTask, check, domain_task
from tasks.errors import InvalidArguments
from tasks.later_messages import LONGEST_WORD, locked, moment_of, opened, put_back, refused, unpacked
from tasks.later_rows import LONGEST, Later, LaterRows
from tasks.sweeping import SWEEP_LIMIT, enqueued
from tasks.wiring import World

log = structlog.get_logger(__name__)

#: A message is nowhere else until it is kept: it is tried as long as that takes.
KEEPING = replace(TASK_RETRY, max_attempts=1_000_000, horizon_seconds=LONGEST.total_seconds())

#: What is told of a task whose message nobody can read any more.
UNREADABLE = "eta: its arguments were encrypted under a key that is not in CARD_KEYS any more; ask again"


class Kept(Arguments):
    """A message to be kept; one word, named so that it is shown nowhere."""

    message_secret: Annotated[str, StringConstraints(max_length=LONGEST_WORD)]


class Revoked(Arguments):
    """Tasks that a caller has revoked, by their ids."""

    task_ids: Annotated[list[Annotated[str, StringConstraints(min_length=1, max_length=255)]], Field(max_length=10_000)]


@domain_task("later.keep", Kept, policy=KEEPING)
def keep(world: World, asked: Kept, context: Context) -> dict[str, Any]:
    """Keep a message until it is due; one that would fail fails at once."""
    del context
    message = unpacked(asked.message_secret)
    task_id, eta = str(message["headers"]["id"]), moment_of(message["headers"]["eta"])
    try:
        later = _later(world, message, asked.message_secret, eta or world.clock())
    except (InvalidArguments, InvalidArgument) as error:
        put_back(current_app, refused(message, str(error)))
        return {"task_id": task_id, "result": "refused"}
    if not rows_of(world).keep(later):
        _tell_revoked(current_app, later, "revoked")
        return {"task_id": task_id, "result": "revoked"}
    log.info("task_kept", kept_id=task_id, kept_task=later.task, due_at=timestamp(later.eta))
    return {"task_id": task_id, "result": "kept", "due_at": timestamp(later.eta)}


@domain_task("later.sweep", Arguments)
def sweep(world: World, asked: Arguments, context: Context) -> dict[str, Any]:
    """Put every message that is due back into its queue, and say of those that have expired that they have."""
    del asked, context
    rows = rows_of(world)
    return enqueued(_sent(world, rows, later) for later in rows.due(SWEEP_LIMIT))


@domain_task("later.revoke", Revoked)
def revoke(world: World, asked: Revoked, context: Context) -> dict[str, Any]:
    """Note that tasks were revoked, and say so of those that wait."""
    del context
    rows, waited = rows_of(world), 0
    for task_id in asked.task_ids:
        later = rows.revoke(task_id)
        if later is not None:
            _tell_revoked(current_app, later, "revoked")
            waited += 1
    return {"revoked": len(asked.task_ids), "waited": waited}


def rows_of(world: World) -> LaterRows:
    """Return the rows of a world's database, by its clock."""
    return LaterRows(world.db, world.ledger.now)


def _later(world: World, message: dict[str, Any], word: str, eta: datetime) -> Later:
    """Return what is to be kept of a message.

    Raises:
        InvalidArguments: its arguments are wrong: a caller hears that now and not in some weeks.
        InvalidArgument: they have a token, and there is no key to keep it under.
    """
    headers, (args, kwargs, _) = message["headers"], message["body"]
    task = current_app.tasks[headers["task"]]
    fields: dict[str, Any] = {}
    if isinstance(task, DomainTask):
        check(task.arguments, tuple(args), kwargs)
        fields = task.arguments.model_fields
    kept = locked(word, CardVault(world.settings.card_key_list), secret=any(map(is_secret_name, fields)))
    expires = moment_of(headers.get("expires"))
    return Later(
        str(headers["id"]), headers["task"], message["queue"], kept, eta, expires, bool(headers.get("ignore_result"))
    )  # fmt: skip


def _sent(world: World, rows: LaterRows, later: Later) -> bool:
    """Put one message back, and forget it; False when the broker does not take it: then it is due again soon."""
    if rows.has_expired(later):
        _tell_revoked(current_app, later, "expired")
        rows.done(later)
        return True
    message = _opened(world, later)
    try:
        put_back(current_app, message)
    except OperationalError as error:
        log.warning("task_not_sent", unsent_task=later.task, reason=type(error).__name__)
        return False
    rows.done(later)
    log.info("task_due", kept_id=later.task_id, kept_task=later.task, due_at=timestamp(later.eta))
    return True


def _opened(world: World, later: Later) -> dict[str, Any]:
    """Return a kept message; of one that nobody can read any more, one that fails and says so."""
    try:
        message = opened(later.message, CardVault(world.settings.card_key_list))
    except InvalidArgument:
        message = None
    if message is not None:
        return message
    headers = {"task": later.task, "id": later.task_id, "lang": "py", "ignore_result": later.ignore_result}
    bare = {"queue": later.queue, "headers": headers, "properties": {"correlation_id": later.task_id}}
    return refused({**bare, "body": [[], {}, {}]}, UNREADABLE)


def _tell_revoked(app: Celery, later: Later, why: str) -> None:
    """Store the result of a task that will not run."""
    log.warning("task_revoked", revoked_id=later.task_id, revoked_task=later.task, reason=why)
    app.backend.mark_as_revoked(later.task_id, why, store_result=not later.ignore_result)
