"""Answers that are remembered: served while they stand, refreshed elsewhere when they grow old, built once for all.

Decided here: past its soft age an answer is served once more and one refresh is asked for; past its hard age, or when
it is out of date, callers wait for the one build of whoever has the turn. Without the cache everybody builds, a few at
a time. Nobody waits longer than their patience.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import structlog
from bson import Timestamp

from aggregations.cache import Cache, Turn
from aggregations.catalogue import Aggregation, Parameters
from aggregations.entries import Entry, encode, key_of, tags_of
from aggregations.errors import CacheAway, ReadsBusy
from aggregations.plain import iso_utc
from observability.metrics import AGGREGATION_CACHE

log = structlog.get_logger(__name__)

#: How long one who waits for another's build waits between two looks, in seconds: at first, and at most.
FIRST_LOOK_SECONDS, LONGEST_LOOK_SECONDS = 0.01, 0.1

#: A refresh that was asked for is not asked for again within so many seconds; it may have been lost.
ASKED_SECONDS = 5.0

#: Of how many refreshes a process remembers that it has asked for them.
MOST_ASKED = 1_000

#: An entry that is from the future by more than so many seconds is not served: its builder's clock or ours is wrong,
#: and it might be of any age.
AHEAD_SECONDS = 1.0


@dataclass(frozen=True)
class Limits:
    """How long and how much.

    Attributes:
        patience_seconds: how long a caller waits in all for another's build and for a place to read in.
        at_once: how many reads this process has under way.
        margin_seconds: how much longer than its time budget a builder has the turn.
        compress_bytes: entries longer than this are compressed.
        largest_bytes: entries longer than this, compressed, are not kept.
    """

    patience_seconds: float = 15.0
    at_once: int = 4
    margin_seconds: float = 2.0
    compress_bytes: int = 16 * 1024
    largest_bytes: int = 1024 * 1024


@dataclass(frozen=True)
class Question:
    """What is asked, and how old an answer may be: nothing read before `not_before` is taken.

    Nor is anything that may be from before `after`, a time of the database; when what is remembered was read it does
    not say by that clock, so nothing remembered is taken then.
    """

    row: Aggregation
    parameters: Parameters
    asked_at: datetime
    not_before: datetime
    after: Timestamp | None = None

    @cached_property
    def key(self) -> str:
        """Return the key of its answer."""
        return key_of(self.row, self.parameters)

    @cached_property
    def tags(self) -> tuple[str, ...]:
        """Return the tags of its answer."""
        return tuple(tags_of(self.row, self.parameters))


@dataclass(frozen=True)
class Answer:
    """An answer as plain JSON."""

    data: Any
    as_of: str
    source: str

    @property
    def members(self) -> dict[str, Any]:
        """Return it as callers get it."""
        return {"data": self.data, "as_of": self.as_of, "source": self.source}


#: Reads the answer from the database, given the turn that it is read in, if there is one.
Build = Callable[[Question, Turn | None], Answer]


class Memory:
    """Remembers answers in the cache.

    Args:
        cache: the cache; None remembers nothing.
        build: reads an answer from the database.
        ask_refresh: asks for a refresh elsewhere; whether that succeeds does not matter to the caller.
        clock: aware UTC time.
        limits: how long and how much.
    """

    def __init__(
        self,
        cache: Cache | None,
        build: Build,
        *,
        ask_refresh: Callable[[Question], object],
        clock: Callable[[], datetime],
        limits: Limits,
    ) -> None:
        self._cache, self._build, self._ask_refresh = cache, build, ask_refresh
        self._clock, self._limits = clock, limits
        self._places = threading.BoundedSemaphore(limits.at_once)
        self._asked = Asked()

    def answer(self, asked: Question) -> Answer:
        """Answer from the cache, or by a build of which there is one at a time.

        Raises:
            ReadsBusy: the caller's patience has ended.
        """
        patience = Patience(asked.row.name, self._limits.patience_seconds)
        if self._cache is not None and asked.after is None:
            try:
                return self._remembered(self._cache, asked, patience)
            except CacheAway:
                count(asked, "unavailable")
        with self._place(patience):
            return self._build(asked, None)

    def refresh(self, asked: Question) -> Answer | None:
        """Build an answer that has reached its soft age; None when it is young, or being built, or cannot be kept."""
        with suppress(CacheAway):
            if self._cache is not None and not self._is_young(self._cache, asked):
                return self._in_turn(self._cache, asked, Patience(asked.row.name, self._limits.patience_seconds))
        return None

    def _remembered(self, cache: Cache, asked: Question, patience: "Patience") -> Answer:
        result = "miss"
        while True:
            seen = cache.look(asked.key, asked.tags)
            if (entry := seen.entry) and entry.too_large:
                count(asked, "too_large")
                with self._place(patience):
                    return self._build(asked, None)
            if entry and self._may_serve(asked, entry):
                return self._served(cache, asked, entry, result, building=seen.building)
            if not seen.building and (built := self._in_turn(cache, asked, patience)):
                count(asked, "miss")
                return built
            result = "waited"
            patience.pause()

    def _served(self, cache: Cache, asked: Question, entry: Entry, result: str, *, building: bool) -> Answer:
        stale = entry.read_at <= asked.asked_at - timedelta(seconds=asked.row.soft_seconds)
        count(asked, "stale" if stale else "hit" if result == "miss" else result)
        if stale and not building and self._asked.is_first(asked.key):
            with suppress(CacheAway):  # the answer is here already
                if cache.mark(asked.key, seconds=ASKED_SECONDS):
                    self._ask_refresh(asked)
        return Answer(entry.data, entry.as_of, "cache")

    def _is_young(self, cache: Cache, asked: Question) -> bool:
        entry = cache.look(asked.key, asked.tags).entry
        return entry is not None and (entry.too_large or self._may_serve(asked, entry))

    def _may_serve(self, asked: Question, entry: Entry) -> bool:
        return asked.not_before <= entry.read_at <= self._clock() + timedelta(seconds=AHEAD_SECONDS)

    def _in_turn(self, cache: Cache, asked: Question, patience: "Patience") -> Answer | None:
        """Build if the turn can be had, and store what was built; None when that is somebody else's, or done."""
        with self._place(patience):
            lease_seconds = asked.row.budget_ms / 1000 + self._limits.margin_seconds
            turn = cache.begin(asked.key, asked.tags, lease_seconds=lease_seconds)
            if turn is None:
                return None
            try:
                return self._built(cache, asked, turn)
            except BaseException:
                with suppress(CacheAway):  # the lease ends by itself
                    cache.give_up(asked.key, turn)
                raise

    def _built(self, cache: Cache, asked: Question, turn: Turn) -> Answer | None:
        # Between the look and the turn lies the wait for a place, in which another may have built it.
        if self._is_young(cache, asked):
            cache.give_up(asked.key, turn)
            return None
        built = self._build(asked, turn)
        self._store(cache, asked, turn, built)
        return built

    def _store(self, cache: Cache, asked: Question, turn: Turn, built: Answer) -> None:
        now = self._clock()
        entry = Entry(built.as_of, built.source, built.data, turn.tokens, turn.run, iso_utc(now))
        raw = encode(entry, compress_bytes=self._limits.compress_bytes)
        if len(raw) > self._limits.largest_bytes:
            count(asked, "too_large")
            log.warning("answer_too_large", aggregation=asked.row.name, bytes=len(raw))
            entry = Entry(built.as_of, built.source, None, turn.tokens, turn.run, iso_utc(now), too_large=True)
            raw = encode(entry, compress_bytes=self._limits.compress_bytes)
        left_seconds = asked.row.hard_seconds - (now - entry.read_at).total_seconds()
        with suppress(CacheAway):  # the answer is right all the same
            if not cache.finish(asked.key, turn, raw, keep_seconds=left_seconds):
                count(asked, "fenced")

    @contextmanager
    def _place(self, patience: "Patience") -> Iterator[None]:
        if not self._places.acquire(timeout=patience.left()):
            raise ReadsBusy(patience.name, patience.seconds)
        try:
            yield
        finally:
            self._places.release()


class Asked:
    """Which refreshes this process has just asked for: of a crowd of readers, one looks whether others have."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._lock, self._until, self._monotonic = threading.Lock(), dict[str, float](), monotonic

    def is_first(self, key: str) -> bool:
        """Tell whether nobody here has asked for it within the last seconds."""
        now = self._monotonic()
        with self._lock:
            if now < self._until.get(key, 0.0):
                return False
            if len(self._until) >= MOST_ASKED:
                self._until.clear()
            self._until[key] = now + ASKED_SECONDS
        return True


class Patience:
    """How long one caller waits in all."""

    def __init__(self, name: str, seconds: float) -> None:
        self.name, self.seconds = name, seconds
        self._ends_at = time.monotonic() + seconds
        self._longest_pause = FIRST_LOOK_SECONDS

    def left(self) -> float:
        """Return how many seconds are left, not less than none."""
        return max(0.0, self._ends_at - time.monotonic())

    def pause(self) -> None:
        """Wait a little, longer each time, or raise ReadsBusy at the end."""
        if not self.left():
            raise ReadsBusy(self.name, self.seconds)
        time.sleep((1 + random.random()) / 2 * self._longest_pause)  # noqa: S311 - spreads callers, guards nothing
        self._longest_pause = min(LONGEST_LOOK_SECONDS, self._longest_pause * 2)


def count(asked: Question, result: str) -> None:
    """Count how the cache served a question."""
    AGGREGATION_CACHE.labels(name=asked.row.name, result=result).inc()
