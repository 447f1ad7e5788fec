"""The performance log: which reads are slow, which scan, and by what plan; never with a value that was asked for.

Decided here: a plan is asked for in the background, one at a time, and of each aggregation at most every five minutes
in each process, because asking runs the read once more.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from pymongo.errors import PyMongoError

from aggregations.aggregation import Stage
from aggregations.catalogue import Aggregation, Parameters
from aggregations.plans import Plan, summary
from aggregations.readers import Reader
from observability.metrics import AGGREGATION_PLANS

log = structlog.get_logger(__name__)

#: How long after one look at an aggregation's plan the next is due, in seconds.
LOOK_SECONDS = 300.0

#: A scan of fewer documents than this is nobody's trouble.
MANY_DOCUMENTS = 1_000


@dataclass(frozen=True)
class Run:
    """One read of the database: what, where, how long; `returned` is None when it failed."""

    row: Aggregation
    parameters: Parameters
    pipeline: list[Stage]
    reader: Reader
    seconds: float
    returned: int | None


@dataclass
class PerformanceLog:
    """Logs slow and scanning reads.

    Attributes:
        slow_seconds: what takes this long is slow.
        monotonic: a clock in seconds.
    """

    slow_seconds: float
    monotonic: Callable[[], float] = time.monotonic
    _looked_at: dict[str, float] = field(default_factory=dict)
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    def note(self, run: Run) -> None:
        """Judge a read, and have its plan looked at when that is due; returns at once."""
        if self._is_due(run.row.name):
            threading.Thread(target=self._look, args=(run,), name=f"explain-{run.row.name}", daemon=True).start()
        elif self._is_slow(run):
            _tell("aggregation_slow", run, None)

    def _is_slow(self, run: Run) -> bool:
        return run.seconds >= self.slow_seconds

    def _is_due(self, name: str) -> bool:
        now = self.monotonic()
        if now - self._looked_at.get(name, -LOOK_SECONDS) < LOOK_SECONDS or not self._one_at_a_time.acquire(
            blocking=False
        ):
            return False
        self._looked_at[name] = now
        return True

    def _look(self, run: Run) -> None:
        try:
            # What has failed may have met its time budget: it would again.
            plan = summary(run.reader.explain(run.row, run.pipeline, execute=run.returned is not None))
        except PyMongoError as error:
            log.info("plan_not_explained", aggregation=run.row.name, reason=type(error).__name__)
            plan = None
        finally:
            self._one_at_a_time.release()
        if self._is_slow(run):
            _tell("aggregation_slow", run, plan)
        if plan is not None and plan.scans and (plan.examined is None or plan.examined >= MANY_DOCUMENTS):
            _tell("aggregation_scans", run, plan)


def _tell(event: str, run: Run, plan: Plan | None) -> None:
    AGGREGATION_PLANS.labels(name=run.row.name, finding=event.removeprefix("aggregation_")).inc()
    log.warning(
        event,
        aggregation=run.row.name,
        parameters=sorted(run.parameters.model_fields_set),
        milliseconds=round(run.seconds * 1000, 1),
        returned=run.returned,
        plan=list(plan.steps) if plan else None,
        examined=plan.examined if plan else None,
    )
