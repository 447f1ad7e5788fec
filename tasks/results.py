"""Where results are stored: in Redis as Celery does, and what Redis does not take is kept and stored once it does.

Decided here: no error of the result store becomes a task's. A result that can be put nowhere sends its message back, so
that the task is asked again: what it has done is told then, and not done again.
"""

from typing import Any

import pymongo
import structlog
from billiard.exceptions import SoftTimeLimitExceeded
from celery import Celery, states
from celery.app.task import Context as Request
from celery.backends.redis import RedisBackend, SentinelBackend
from celery.exceptions import Reject
from kombu.exceptions import EncodeError, OperationalError
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry

from observability.metrics import RESULTS_KEPT
from tasks.base import DomainTask
from tasks.outcomes import ASK_SECONDS, KILLED, Done, last_word, note_answered, returned, some_world
from tasks.owed_results import OwedResults
from tasks.wiring import World

log = structlog.get_logger(__name__)

#: The celery stubs know little of backends.
_Redis: Any = RedisBackend
_Sentinel: Any = SentinelBackend

#: Errors after which what was to follow upon a task can be sent when it comes again.
MAY_PASS = (OperationalError, RedisError, OSError, SoftTimeLimitExceeded)

#: How many results one sweep stores.
SWEEP_LIMIT = 500


class KeptResults:
    """Stores results, and never fails for want of a store."""

    app: Celery
    expires: float
    connparams: dict[str, Any]

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        # An idle connection that the server closed is worth one more try; redis-py's own would hold a task for long.
        self.connparams["retry"] = Retry(NoBackoff(), 1)

    def mark_as_failure(
        self, task_id: str, exc: BaseException, traceback: str | None = None, *, request: Request | None = None,
        store_result: bool = True, call_errbacks: bool = True, state: str = states.FAILURE,
    ) -> None:  # fmt: skip
        """Store what is said of a task that has failed: a body that had returned has not."""
        stock: Any = super()
        said = self._said(exc, request)
        if isinstance(said, Done):
            note_answered(exc)
            self._answer(task_id, said, exc, request, store_result)
            return
        stock.mark_as_failure(
            task_id, said, traceback, request=request, store_result=store_result, call_errbacks=call_errbacks,
            state=state,
        )  # fmt: skip

    def _said(self, exc: BaseException, request: Any) -> Done | BaseException:  # noqa: ANN401 - the stubs know of no task
        if request is None or isinstance(exc, EncodeError):
            return exc
        if (answer := returned(request)) is not None:
            return answer
        # Of a message that names no task of ours Celery makes up a request which lacks nearly everything.
        task = self.app.tasks.get(str(getattr(request, "task", None)))
        if type(exc) not in KILLED or not isinstance(task, DomainTask):
            return exc
        return last_word(exc, task.name, task.by_name(tuple(request.args or ()), request.kwargs or {}))

    def _answer(self, task_id: str, said: Done, exc: BaseException, request: Any, store_result: bool) -> None:  # noqa: ANN401 - Celery's
        whole: Any = self  # the stubs know little of backends
        if returned(request) is None:
            whole.mark_as_done(task_id, said.answer, request, store_result)
            return
        if store_result:
            whole.store_result(task_id, said.answer, states.SUCCESS, request=request)
        if isinstance(exc, MAY_PASS) and (request.chord or request.callbacks or request.chain):
            # What was to follow could not be sent: the task comes again, answers by its row, and sends it.
            raise Reject(f"what follows could not be sent: {type(exc).__name__}", requeue=True) from exc

    def _store_result(
        self, task_id: str, result: object, state: str, traceback: str | None = None, **told: object
    ) -> object:
        """Store a result where callers look for it, or keep it for later."""
        stock: Any = super()
        try:
            return stock._store_result(task_id, result, state, traceback=traceback, **told)  # noqa: SLF001 - Celery's only place for it
        except EncodeError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the task's end is another matter
            if state in states.READY_STATES:
                meta = stock._get_result_meta(  # noqa: SLF001 - as above
                    result=result, state=state, traceback=traceback, request=told.get("request")
                )
                self._keep(task_id, state, stock.encode({**meta, "task_id": task_id}), error)
            return result

    def _keep(self, task_id: str, state: str, payload: str | bytes, error: Exception) -> None:
        """Keep a result in MongoDB.

        Raises:
            Reject: it could not be kept either; the task's message goes back.
        """
        try:
            with some_world() as world, pymongo.timeout(ASK_SECONDS):
                OwedResults(world.db).keep(task_id, state, payload, self.expires)
        except Exception as unkept:
            reasons = f"{type(error).__name__}, {type(unkept).__name__}"
            raise Reject(f"its result could be put nowhere: {reasons}", requeue=True) from unkept
        RESULTS_KEPT.inc()
        log.warning("result_kept", result_of=task_id, state=state, reason=type(error).__name__)

    def store_owed(self, task_id: str, state: str, payload: bytes) -> None:
        """Store a result that was kept, unless the task has told a later one meanwhile."""
        whole: Any = self
        stands = whole._get_task_meta_for(task_id)["status"]  # noqa: SLF001 - as above
        if stands not in states.READY_STATES or state == states.SUCCESS != stands:
            whole._set_with_state(whole.get_key_for_task(task_id), payload, state)  # noqa: SLF001 - as above


class Results(KeptResults, _Redis):  # type: ignore[misc] # the stubs do not know it whole
    """Results in Redis or Valkey."""


class SentinelResults(KeptResults, _Sentinel):  # type: ignore[misc] # as above
    """Results in Redis or Valkey behind Sentinel."""


#: Which class stores results, by the scheme of their address.
BACKENDS = {
    "redis": "tasks.results:Results",
    "rediss": "tasks.results:Results",
    "sentinel": "tasks.results:SentinelResults",
}


def keep_results(app: Celery) -> None:
    """Have an application store its results so."""
    loader: Any = app.loader
    loader.override_backends = {**loader.override_backends, **BACKENDS}


def store_owed(world: World, backend: Any) -> dict[str, int]:  # noqa: ANN401 - the stubs know Celery's own
    """Store the results that are owed; what the store does not take stays.

    Args:
        world: where they are kept.
        backend: of this process; see `keep_results`.

    Returns:
        How many were stored.
    """
    owed, stored = OwedResults(world.db), 0
    for row, payload in owed.oldest(SWEEP_LIMIT):
        try:
            backend.store_owed(row["_id"], row["state"], payload)
        except (RedisError, OSError) as error:
            log.warning("result_not_stored", result_of=row["_id"], reason=type(error).__name__)
            if not isinstance(error, ResponseError):
                break  # it does not answer; what it refused may have been too large for it, and others may not be
        else:
            owed.forget(row)
            stored += 1
    return {"stored": stored}
