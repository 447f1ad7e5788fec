"""Celery beat, kept going by a clock that is put back.

Celery's own scheduler keeps its next times by the wall clock: put back by an hour, it would be silent for an hour, and
after a restart as well, since its file says when each entry last ran. Put forward, it sends each entry once: right so.

An entry is not ticked again while its tick waits for a worker: an hour without workers leaves one tick, or a few.
"""

from copy import copy
from datetime import datetime, timedelta
from typing import Any

import structlog
from celery.beat import PersistentScheduler
from redis.exceptions import RedisError

from config.queues import queue_of
from tasks.once import Mark, key_of, make_mark, note_queued
from workers.schedule import LEAST_WAIT_SECONDS

log = structlog.get_logger(__name__)

#: What a clock may be put back by its own keeping, unnoticed; what is longer is a jump.
SLACK = timedelta(seconds=1)


class SteadyScheduler(PersistentScheduler):
    """The scheduler with its file, which begins anew to count when the clock was put back."""

    _latest: datetime | None = None

    def tick(self) -> float:  # type: ignore[override] # Celery's further parameters only make names local
        """Send what is due, and return for how many seconds there is nothing to do."""
        now = self.app.now()
        if self._latest is None or now < self._latest - SLACK:
            self._forget_the_future(now)
        self._latest = now
        return float(super().tick())

    def apply_async(self, entry: Any, producer: Any = None, advance: bool = True, **options: Any) -> Any:  # noqa: ANN401 - Celery's
        """Send an entry's tick, unless its last one waits."""
        due: Any = self.reserve(entry) if advance else entry
        try:
            mark = self._mark_of(due)
        except (RedisError, OSError) as error:
            log.warning("tick_unmarked", entry=entry.name, reason=type(error).__name__)
            return super().apply_async(due, producer=producer, advance=False, **options)
        if mark is None:
            note_queued(entry.task)
            return None
        marked = copy(due)
        marked.options = {**due.options, "headers": {**due.options.get("headers", {}), **mark.header}}
        return super().apply_async(marked, producer=producer, advance=False, **options)

    def _mark_of(self, entry: Any) -> Mark | None:  # noqa: ANN401 - Celery's
        """Make the mark of a tick; None when the last one waits. Two beats know of each other by it."""
        url, seconds = str(self.app.conf.broker_url), float(entry.options.get("expires") or LEAST_WAIT_SECONDS)
        return make_mark(url, key_of(entry.task, {"tick": entry.name}), queue_of(entry.task), seconds)

    def _forget_the_future(self, now: datetime) -> None:
        """Have what was last sent at a time that is yet to come count as sent now."""
        ahead = [one for one in self.schedule.values() if one.last_run_at and one.last_run_at > now + SLACK]
        for entry in ahead:
            entry.last_run_at = now
        if self._latest is not None or ahead:
            log.warning("clock_was_put_back", entries=len(ahead))
        self._heap = None  # its times are those of the old clock
