"""`nestcms-workers enqueue`: a task by its public name, its arguments from a shell, its answer as JSON."""

import json
import pkgutil
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import Any, NoReturn

import click
from celery import Celery
from celery.exceptions import TimeoutError as ResultTimeout
from celery.result import AsyncResult
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

import tasks
from config.addresses import hosts
from config.celeryconfig import celery_config
from config.connections import redis_client
from config.queues import CLASS_HEADER, CORRELATION_HEADER
from config.settings import Settings
from tasks.arguments import Arguments
from workers.cli_errors import NoAnswer, ServerSilent, TaskFailed, UnknownTask

#: A MongoDB id. Some read as numbers (all digits, or with one e among them), and none is meant as one.
OBJECT_ID = re.compile(r"[0-9a-f]{24}")

#: How long a server has to show that it is there, in seconds.
PING_SECONDS = 3.0


class Form(StrEnum):
    """How a value is read that somebody types."""

    JSON = "json"
    TEXT = "text"  # can be nothing but text: 7.00 is what was typed, and not a number
    EXACT = "exact"  # JSON whose fractions stay as they were typed: amounts within it


_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def read_arguments(words: Iterable[str], forms: Mapping[str, Form] = MappingProxyType({})) -> dict[str, Any]:
    """Read ``key=value`` words: values as JSON when they parse, else as text.

    Args:
        words: What was typed.
        forms: Arguments that are read in another way: see `Form`.

    Raises:
        click.UsageError: a word has another form, or a key is there twice.
    """
    arguments: dict[str, Any] = {}
    for word in words:
        key, sign, text = word.partition("=")
        if not sign or not _NAME.fullmatch(key):
            raise click.UsageError(f"expected key=value, got {word!r}")
        if key in arguments:
            raise click.UsageError(f"{key} is given twice")
        arguments[key] = read_value(text, forms.get(key, Form.JSON))
    return arguments


def read_value(text: str, form: Form = Form.JSON) -> Any:  # noqa: ANN401 - JSON
    """Read one value: JSON when it parses, else text; an id is always text, and so is what can be nothing else."""
    if OBJECT_ID.fullmatch(text):
        return text
    exact: dict[str, Any] = {"parse_float": str} if form is Form.EXACT else {}
    try:
        read = json.loads(text, parse_constant=_refuse, **exact)
    except ValueError:
        return text
    return text if form is Form.TEXT and not isinstance(read, str | None) else read


def forms_of(task: str) -> dict[str, Form]:
    """Tell how each argument of a known task is read that is not read as JSON."""
    members = arguments_of(task).model_json_schema().get("properties", {})
    return {name: form for name, member in members.items() if (form := _form(member)) is not Form.JSON}


def _form(member: Mapping[str, Any]) -> Form:
    kinds = {one.get("type") for one in member.get("anyOf", [member])} - {"null"}
    if kinds == {"string"}:
        return Form.TEXT
    return Form.EXACT if member.get("exact") else Form.JSON


def known_tasks() -> list[str]:
    """List the public names of all tasks."""
    return sorted(all_tasks())


def arguments_of(task: str) -> type[Arguments]:
    """Return the model of a known task's arguments."""
    model: type[Arguments] = all_tasks()[task].arguments
    return model


@cache
def all_tasks() -> dict[str, Any]:
    """Return all tasks of ours, by their public names."""
    for module in pkgutil.iter_modules(tasks.__path__):
        import_module(f"tasks.{module.name}")
    app = Celery("names", set_as_current=False)
    app.finalize()
    return {name: task for name, task in app.tasks.items() if not name.startswith("celery.")}


@contextmanager
def caller(settings: Settings) -> Iterator[Celery]:
    """Give a Celery application that sends tasks and fetches results, and closes its connections.

    Raises:
        ServerSilent: the broker or the result store does not answer.
    """
    # Asked first, because Celery itself tries a dead server twenty times before it says so.
    _require_answer("the broker", settings.redis_url)
    _require_answer("the result store", settings.result_url)
    app = Celery("nestcms-workers-cli", set_as_current=False)
    app.conf.update(celery_config(settings))
    try:
        yield app
    except (OperationalError, RedisError) as error:
        raise _silent("the broker", settings.redis_url, error) from error
    finally:
        close(app)


def close(app: Celery) -> None:
    """Close an application's connections, those for results too, which Celery leaves to the end of the process."""
    backend: Any = app.backend  # Redis' has more than the stubs know of
    backend.result_consumer.stop()
    backend.client.connection_pool.disconnect()
    app.close()


def send(
    app: Celery,
    task: str,
    arguments: dict[str, Any],
    correlation_id: str | None = None,
    *,
    positional: Sequence[Any] = (),
    task_id: str | None = None,
    work_class: str | None = None,
) -> str:
    """Enqueue a task on its queue, that of its class, and return its id.

    Raises:
        UnknownTask: there is none of that name.
    """
    require_known(task)
    headers = {CORRELATION_HEADER: correlation_id} if correlation_id else {}
    headers |= {CLASS_HEADER: work_class} if work_class else {}
    result = app.send_task(task, args=tuple(positional), kwargs=arguments, headers=headers, task_id=task_id)
    _release(result)
    return str(result.id)


def require_known(task: str) -> None:
    """Check that there is a task of a name.

    Raises:
        UnknownTask: there is none.
    """
    if task not in (names := known_tasks()):
        raise UnknownTask(task, names)


def answer(app: Celery, task: str, task_id: str, timeout_seconds: float) -> Any:  # noqa: ANN401 - JSON
    """Wait for a task's answer.

    Raises:
        TaskFailed: it ended with an error.
        NoAnswer: it has not ended in time.
        ServerSilent: the result store is gone.
    """
    result: AsyncResult[Any] = app.AsyncResult(task_id)
    try:
        value = result.get(timeout=timeout_seconds, propagate=False)
        succeeded = result.successful()
    except ResultTimeout as error:
        raise NoAnswer(task, task_id, timeout_seconds) from error
    except RuntimeError as error:  # Celery's word for a result store that it has lost
        raise _silent("the result store", str(app.conf.result_backend), error) from error
    finally:
        _release(result)
    if not succeeded:
        raise TaskFailed(task, reason_of(value))
    return value


def reason_of(error: object) -> str:
    """Say in one line what a task's error says."""
    text = " ".join(str(error).split())
    return text or type(error).__name__


def to_text(value: Any) -> str:  # noqa: ANN401 - JSON
    """Write an answer as JSON for a person or a pipe."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def _release(result: AsyncResult[Any]) -> None:
    """Let go of a result: one that lives at the end of the process makes Celery print an error."""
    releasing: Any = result  # the stubs know of no result without a store
    releasing.backend.remove_pending_result(result)
    releasing.backend = None


def _require_answer(program: str, url: str | None) -> None:
    """Raise ServerSilent when a server does not answer; a URL that is not set is Celery's configuration to refuse."""
    if url is None:
        return
    try:
        with redis_client(url, timeout_seconds=PING_SECONDS) as client:
            client.ping()
    except RedisError as error:
        raise _silent(program, url, error) from error


def _silent(program: str, url: str | None, error: Exception) -> ServerSilent:
    return ServerSilent(program, hosts(url or ""), reason_of(error).rstrip("."))


def _refuse(text: str) -> NoReturn:
    raise ValueError(text)
