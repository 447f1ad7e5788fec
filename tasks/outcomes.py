"""What is said of a task that did not come to its own end: what its row says, else that the outcome is not known.

Killed by a time limit, lost with its worker, or tried as often as the policy allows, a task may have done its work all
the same. Its row is asked first. Only where that says nothing, its caller is told to ask again, which does no harm. A
body that has returned never becomes a failure, whatever goes wrong with its result.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import pymongo
import structlog
from billiard.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded, WorkerLostError

from config.settings import load_settings
from observability.alerts import Alerts
from payments.errors import was_sent
from tasks.done_work import NOTHING, Work, work_of
from tasks.errors import OutcomeUnknown, WorkersLost
from tasks.wiring import World, build_world, world_here

log = structlog.get_logger(__name__)

#: Why a task ended that was killed, as its caller is told.
KILLED: Final[Mapping[type[BaseException], str]] = {
    TimeLimitExceeded: "time_limit",
    SoftTimeLimitExceeded: "time_limit",
    WorkerLostError: "workers_lost",
    WorkersLost: "workers_lost",
}

#: Why one ended that was tried as often as the policy allows, or by an error of ours.
GIVEN_UP: Final = "given_up"

#: Why one ended whose request was sent, and what came of it could not be written down.
NOT_BOOKED: Final = "not_booked"

#: Tasks whose operation id is not their caller's.
INTERNAL: Final = frozenset({"payments.poll"})

#: Seconds that the database has to say what a row says: a worker's parent may be waiting, and a killed task's caller.
ASK_SECONDS: Final = 2.0

#: What is known of a row that cannot be read: it may be there.
UNREADABLE: Final = Work(known=True)


@dataclass(frozen=True)
class Done:
    """What a task answers whose work is done, however its run ended."""

    answer: Any


def last_word(error: BaseException, task: str, given: Mapping[str, Any]) -> Done | BaseException:
    """Decide what is said of a task that has ended with an error which is not its caller's mistake.

    Args:
        error: what ended it.
        task: its public name.
        given: its arguments by name.

    Returns:
        What its row says; else OutcomeUnknown; else the error itself, where nothing can have been done.
    """
    operation_id = given.get("operation_id") if task not in INTERNAL else None
    reason = KILLED.get(type(error)) or (NOT_BOOKED if was_sent(error) else None)
    if reason is None and not isinstance(operation_id, str):
        return error
    work = _asked(task, given)
    if work.done:
        return Done(work.answer)
    if reason is None and not work.known:
        return error
    return OutcomeUnknown(operation_id if isinstance(operation_id, str) else None, reason or GIVEN_UP)


def row_of(task: str, given: Mapping[str, Any]) -> Work:
    """Return what the row of a task says; as of one that there is not, where it cannot be read in this process."""
    here = world_here()
    if here is None:
        return NOTHING
    try:
        with pymongo.timeout(ASK_SECONDS):
            return work_of(here, task, given)
    except Exception as error:  # noqa: BLE001 - whatever it is, the row was not read
        log.warning("row_not_asked", asked_about=task, reason=type(error).__name__)
        return NOTHING


def _asked(task: str, given: Mapping[str, Any]) -> Work:
    try:
        with some_world() as world, pymongo.timeout(ASK_SECONDS):
            return work_of(world, task, given)
    except Exception as error:  # noqa: BLE001 - whatever it is, the row was not read
        log.warning("row_not_asked", asked_about=task, reason=type(error).__name__)
        return UNREADABLE


@contextmanager
def some_world() -> Iterator[World]:
    """Give this process's world, or where it has none, as a worker's parent, one for the moment.

    No child is forked from a process with open connections.
    """
    if (here := world_here()) is not None:
        yield here
        return
    short = {"mongo_timeout_ms": int(ASK_SECONDS * 1000), "server_selection_timeout_ms": int(ASK_SECONDS * 1000)}
    built = build_world(load_settings().model_copy(update=short))
    try:
        yield built
    finally:
        built.close()


@contextmanager
def alerts_here() -> Iterator[Alerts]:
    """Give the alerts of this process's database."""
    with some_world() as world:
        yield world.alerts


def note_returned(request: Any, answer: Any) -> None:  # noqa: ANN401 - Celery's request and JSON
    """Note that a task's body has returned, on the request that Celery goes on with."""
    request.returned = Done(answer)


def returned(request: Any) -> Done | None:  # noqa: ANN401 - Celery's request, or none
    """Return what a task's body has returned, if it has."""
    return getattr(request, "returned", None)


def note_answered(error: BaseException) -> None:
    """Note on an error that its task was answered all the same: nobody need hear of it."""
    vars(error)["answered"] = True


def was_answered(error: BaseException) -> bool:
    """Tell whether the task that ended with an error was answered all the same."""
    return "answered" in vars(error)
