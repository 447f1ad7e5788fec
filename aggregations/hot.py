"""Which reads are asked for most: counted by use, so that the hot ones are built anew before anybody has to wait.

Uses are counted in this process and carried to the cache about once a second, by the read that is answered then. While
the cache does not answer that is one read in half a minute, which waits no longer than the client does. What a process
has counted last is lost with it, which matters to nobody: what is hot is asked for again.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from aggregations.keyspace import Keyspace

#: Before the key of each span's counts.
PREFIX = "nestcms:hot:"

#: Before a read that was lately asked to be built anew; the key ends when it may be asked again.
ASKED_PREFIX = "nestcms:hot-asked:"

#: How long one span is, in seconds; the running one and the one before it say what is hot.
SPAN_SECONDS = 300

#: Seconds between two carryings.
CARRY_SECONDS = 1.0

#: Seconds until the next one after a carrying that failed.
PAUSE_SECONDS = 30.0

#: What was asked for less often than this is not hot.
LEAST_USES = 3

#: How many reads one span keeps, those that were asked for most.
MOST_KEPT = 1_000


class Pipeline(Protocol):
    """Commands that are sent together."""

    def zincrby(self, name: str, amount: float, value: str) -> object:
        """Add to a member's score."""

    def zremrangebyrank(self, name: str, start: int, end: int) -> object:
        """Remove the members of the lowest scores."""

    def expire(self, name: str, seconds: int) -> object:
        """Have a key end by itself."""

    def execute(self) -> list[Any]:
        """Send them."""


class CountStore(Protocol):
    """What is needed of the cache; a `redis.Redis` that speaks text is one."""

    def pipeline(self, *, transaction: bool) -> Pipeline:
        """Collect commands."""

    def set(self, name: str, value: str, *, px: int, nx: bool) -> object:
        """Set a key that ends by itself, if it is not set; say whether it was."""

    def zrange(self, name: str, start: int, end: int, *, desc: bool, withscores: bool) -> Any:  # noqa: ANN401 - its own
        """Return the members of the highest scores."""


@dataclass(frozen=True)
class HotRead:
    """An aggregation with its parameters as plain JSON, and how often it was asked for lately."""

    name: str
    params: dict[str, Any]
    uses: int


class HotReads:
    """Counts uses.

    Args:
        store: where all processes' counts are.
        clock: aware UTC time.
        outages: what the store raises when it is away; then nothing is counted.
        monotonic: a clock in seconds.
        space: where the database's keys are.
    """

    def __init__(
        self,
        store: CountStore,
        *,
        clock: Callable[[], datetime],
        outages: tuple[type[Exception], ...],
        monotonic: Callable[[], float] = time.monotonic,
        space: Keyspace = Keyspace(),  # noqa: B008 - it cannot change
    ) -> None:
        self._store, self._clock, self._outages, self._monotonic = store, clock, outages, monotonic
        self._space = space
        self._counts: Counter[str] = Counter()
        self._carry_at = monotonic() + CARRY_SECONDS
        self._lock = threading.Lock()

    def note(self, name: str, params: Mapping[str, Any]) -> None:
        """Count one use."""
        with self._lock:
            self._counts[json.dumps([name, dict(params)], sort_keys=True)] += 1
            if self._monotonic() < self._carry_at:
                return
            counts, self._counts, self._carry_at = self._counts, Counter(), self._monotonic() + CARRY_SECONDS
        self._carry(counts)

    def hottest(self, limit: int) -> list[HotRead]:
        """Return what was asked for most within the last minutes, most often first; nothing while the store is away."""
        uses: Counter[str] = Counter()
        try:
            for span in (self._span(), self._span() - 1):
                found = self._store.zrange(self._space.of(f"{PREFIX}{span}"), 0, limit - 1, desc=True, withscores=True)
                uses.update({member: int(score) for member, score in found})
        except self._outages:
            return []
        hot = [(json.loads(member), count) for member, count in uses.most_common(limit) if count >= LEAST_USES]
        return [HotRead(name, params, count) for (name, params), count in hot]

    def due(self, hot: HotRead, every_seconds: float) -> bool:
        """Tell whether a read is to be built anew, once in so many seconds over all processes."""
        key = self._space.of(f"{ASKED_PREFIX}{json.dumps([hot.name, hot.params], sort_keys=True)}")
        try:
            return bool(self._store.set(key, "1", px=max(1, int(every_seconds * 1000)), nx=True))
        except self._outages:
            return False

    def _carry(self, counts: Counter[str]) -> None:
        key = self._space.of(f"{PREFIX}{self._span()}")
        together = self._store.pipeline(transaction=False)
        for member, count in counts.items():
            together.zincrby(key, count, member)
        together.zremrangebyrank(key, 0, -(MOST_KEPT + 1))
        together.expire(key, 3 * SPAN_SECONDS)
        try:
            together.execute()
        except self._outages:
            self._carry_at = self._monotonic() + PAUSE_SECONDS

    def _span(self) -> int:
        return int(self._clock().timestamp()) // SPAN_SECONDS
