"""Answers aggregations as plain JSON with the time they stand for: from the cache, or from the database."""

import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog
from bson import Timestamp
from pymongo.database import Database

from aggregations.cache import Cache, Turn
from aggregations.catalogue import CATALOGUE, Aggregation, Parameters
from aggregations.errors import NotFound, ReplicaBehind, UnknownAggregation
from aggregations.memory import Answer, Limits, Memory, Question
from aggregations.performance import PerformanceLog, Run
from aggregations.plain import iso_utc, to_json
from aggregations.readers import DatabaseReader, ReaderOf, Reading
from aggregations.view_reads import DAMAGE, ViewReads
from observability.metrics import AGGREGATION_SECONDS

log = structlog.get_logger(__name__)

__all__ = ["AggregationRunner", "iso_utc", "to_json"]

#: Asks for a refresh elsewhere, by the aggregation's name and its parameters as plain JSON.
AskRefresh = Callable[[str, dict[str, Any]], object]


class AggregationRunner:
    """Answers aggregations.

    Args:
        database: the CMS's.
        clock: aware UTC time.
        cache: where answers are remembered; None remembers nothing.
        ask_refresh: has an answer past its soft age built anew elsewhere.
        readers: chooses where each aggregation is read; the primary unless given.
        watch: tells of slow and scanning reads.
        limits: how long callers wait and how much is kept.
        catalogue: the aggregations there are, by name.
        views: answers from materialised views where they are fresh enough; None reads no views.
        note_use: is told of each answer that was given, by the aggregation's name and its parameters as plain JSON.
    """

    def __init__(
        self,
        database: Database[dict[str, Any]],
        *,
        clock: Callable[[], datetime],
        cache: Cache | None = None,
        ask_refresh: AskRefresh = lambda _name, _params: None,
        readers: ReaderOf | None = None,
        watch: PerformanceLog | None = None,
        limits: Limits | None = None,
        catalogue: Mapping[str, Aggregation] = CATALOGUE,
        views: ViewReads | None = None,
        note_use: AskRefresh = lambda _name, _params: None,
    ) -> None:
        primary = DatabaseReader(database)
        self._reader_of: ReaderOf = readers or (lambda _row: primary)
        self._clock, self._watch, self._views = clock, watch, views
        self.catalogue, self._note_use = catalogue, note_use
        self._memory = Memory(
            cache,
            self._build,
            ask_refresh=lambda asked: ask_refresh(asked.row.name, asked.parameters.model_dump(mode="json")),
            clock=clock,
            limits=limits or Limits(),
        )

    def run(
        self,
        name: str,
        parameters: Parameters,
        max_age_seconds: float | None = None,
        after: Timestamp | None = None,
    ) -> dict[str, Any]:
        """Run one aggregation, or give its remembered answer.

        Args:
            name: the aggregation's.
            parameters: its own.
            max_age_seconds: how old an answer may be; the aggregation's own hard age when left out or longer.
            after: the operation time of a write that the answer must have seen; nothing remembered is taken then.

        Returns:
            `data`, `as_of` (ISO-8601 UTC: nothing older than this was read) and `source`.

        Raises:
            UnknownAggregation: there is none of that name.
            NotFound: its subject does not exist.
            BudgetExceeded: the database stopped it at its time budget.
            MayPass: too many reads are under way, or a secondary lags.
        """
        row = self.find(name)
        began = time.perf_counter()
        answer = self._memory.answer(self._question(row, parameters, max_age_seconds, after))
        AGGREGATION_SECONDS.labels(name=name, source=answer.source).observe(time.perf_counter() - began)
        self._note_use(name, parameters.model_dump(mode="json"))
        return answer.members

    def refresh(self, name: str, parameters: Parameters) -> dict[str, Any]:
        """Have a remembered answer built anew when it has reached its soft age and nobody else builds it.

        Returns:
            `refreshed`, and `as_of` of the new answer.
        """
        row = self.find(name)
        answer = self._memory.refresh(self._question(row, parameters, row.soft_seconds))
        return {"refreshed": answer is not None, "as_of": answer.as_of if answer else None}

    def find(self, name: str) -> Aggregation:
        """Return the row of an aggregation.

        Raises:
            UnknownAggregation: there is none of that name.
        """
        if name not in self.catalogue:
            raise UnknownAggregation(name, tuple(sorted(self.catalogue)))
        return self.catalogue[name]

    def _question(
        self, row: Aggregation, parameters: Parameters, max_age_seconds: float | None, after: Timestamp | None = None
    ) -> Question:
        now = self._clock()
        oldest_seconds = min(row.hard_seconds, row.hard_seconds if max_age_seconds is None else max_age_seconds)
        oldest = now - timedelta(seconds=oldest_seconds)
        return Question(row, parameters, asked_at=now, not_before=oldest, after=after)

    def _build(self, asked: Question, turn: Turn | None) -> Answer:
        row, reader, as_of = asked.row, self._reader_of(asked.row), self._clock()
        if (viewed := self._viewed(asked, turn, as_of)) is not None:
            return viewed
        pipeline = row.build(asked.parameters, as_of)
        began, returned = time.perf_counter(), None
        try:
            reading = reader.read(row, pipeline, as_of, _latest(asked, turn))
            returned = len(reading.documents)
        finally:
            if self._watch is not None:
                seconds = time.perf_counter() - began
                self._watch.note(Run(row, asked.parameters, pipeline, reader, seconds, returned))
        try:
            return _answered(asked, reading)
        except (NotFound, ReplicaBehind):
            if reading.source != "replica":
                raise
        # It may not have heard of what was written a moment ago, and cannot prove to be as fresh as some callers ask.
        return _answered(asked, reader.read(row, pipeline, as_of, _latest(asked, turn), at_primary=True))

    def _viewed(self, asked: Question, turn: Turn | None, now: datetime) -> Answer | None:
        """Answer from a view; None when there is none to read, or none that is fresh enough.

        What decides about money or rights is read where it is written, not where it was added up; and what a view has
        never heard of may have been written a moment ago, so that it does not exist is for the sources to say.
        """
        row = asked.row
        if self._views is None or row.read == "primary":
            return None
        given = self._views.from_view(row, asked.parameters, now, _latest(asked, turn))
        if given is None or given.as_of < asked.not_before:
            return None
        try:
            return Answer(to_json(row.answer(given.documents)), iso_utc(given.as_of), "view")
        except NotFound:
            return None
        except DAMAGE as error:
            log.warning("view_damaged", aggregation=row.name, reason=type(error).__name__)
            return None


def _answered(asked: Question, reading: Reading) -> Answer:
    """Make an answer of what was read.

    Raises:
        NotFound: where it was read, its subject does not exist.
        ReplicaBehind: it is too old.
    """
    if reading.as_of < asked.not_before:
        old = f"the {reading.source} is at {iso_utc(reading.as_of)}, too old for the caller"
        raise ReplicaBehind(f"{asked.row.name}: {old}")
    return Answer(to_json(asked.row.answer(reading.documents)), iso_utc(reading.as_of), reading.source)


def _latest(asked: Question, turn: Turn | None) -> Timestamp | None:
    """Return the time of the database that an answer must not be from before, None for any."""
    return max((at for at in (asked.after, turn.read_after if turn else None) if at is not None), default=None)
