"""An aggregation that is not the system's: what one thing is worth, with a build that can take long and is counted."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import redis
from bson import ObjectId, Timestamp
from pymongo.database import Database

from aggregations.cache import Cache
from aggregations.catalogue import Aggregation, DocumentId, Parameters
from aggregations.entries import key_of
from aggregations.errors import NotFound
from aggregations.invalidation import Invalidator
from aggregations.memory import Limits
from aggregations.performance import PerformanceLog
from aggregations.readers import ReaderOf
from aggregations.runner import AggregationRunner
from config.connections import bytes_client, redis_client

Json = dict[str, Any]

NAME = "worth"


class OfThing(Parameters):
    """A thing's id."""

    thing: DocumentId


def _worth(found: list[Json]) -> object:
    if not found:
        raise NotFound("thing", "the id of a thing")
    return found[0]["worth"]


#: The row, before a test changes it.
WORTH = Aggregation(
    name=NAME,
    about="What a thing is worth.",
    parameters=OfThing,
    collections=("things",),
    build=lambda asked, _now: [{"$match": {"_id": ObjectId(asked.thing)}}],
    answer=_worth,
    tags=lambda asked: (f"thing:{asked.thing}", "things"),
    indexes=(),
    soft_seconds=30,
    hard_seconds=300,
    budget_ms=2_000,
)


@dataclass
class Shelf:
    """One thing in the database and a runner that knows its worth; a world in small.

    Attributes:
        database: where the thing is.
        redis_url: the cache, given to `cache_client` and the invalidator.
        changes: members of the row, in place of `WORTH`'s.
        during: called within each build, before the database is read.
        limits: the runner's.
        readers: the runner's, the primary unless given.
        watch: the runner's performance log.
        thing: the thing's id.
        late: how far the runner's clock is ahead of where it stands.
        ticks: whether it goes on by itself: where real processes, or a real secondary's age, are compared.
        builds: how many builds have begun.
        asked: the refreshes that were asked for.
    """

    database: Database[Json]
    redis_url: str
    changes: Json = field(default_factory=dict)
    during: Callable[[], object] = lambda: None
    limits: Limits = field(default_factory=Limits)
    readers: ReaderOf | None = None
    watch: PerformanceLog | None = None
    thing: str = field(default_factory=lambda: str(ObjectId()))
    late: timedelta = timedelta()
    ticks: bool = False
    builds: int = 0
    asked: list[tuple[str, Json]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stands_at = datetime.now(UTC)
        given = {"build": WORTH.build, **self.changes}
        build, counting = given["build"], threading.Lock()

        def counted(asked: Any, now: datetime) -> list[Json]:
            with counting:
                self.builds += 1
            self.during()
            return list(build(asked, now))

        self.row = replace(WORTH, **{**given, "build": counted})
        self.plain = bytes_client(self.redis_url, timeout_seconds=0.2)
        self.cache = Cache(self.plain, outages=(redis.exceptions.RedisError,))
        self.text = redis_client(self.redis_url, timeout_seconds=0.2)
        self.invalidator = Invalidator(self.text)
        self.runner = AggregationRunner(
            self.database,
            clock=self._now,
            cache=self.cache,
            ask_refresh=lambda name, params: self.asked.append((name, params)),
            readers=self.readers,
            watch=self.watch,
            limits=self.limits,
            catalogue={NAME: self.row},
        )

    def _now(self) -> datetime:
        return (datetime.now(UTC) if self.ticks else self._stands_at) + self.late

    @property
    def key(self) -> str:
        """The key of the answer."""
        return key_of(self.row, OfThing(thing=self.thing))

    def put(self, worth: object) -> None:
        """Write the thing's worth as the CMS does, invalidating nothing."""
        self.database["things"].update_one({"_id": ObjectId(self.thing)}, {"$set": {"worth": worth}}, upsert=True)

    def change(self, worth: object, *, at: Timestamp | None = None) -> None:
        """Write the worth and say so."""
        self.put(worth)
        self.invalidator.invalidate([f"thing:{self.thing}"], at=at)

    def ask(self, max_age_seconds: float | None = None) -> Json:
        """Ask what the thing is worth."""
        return self.runner.run(NAME, OfThing(thing=self.thing), max_age_seconds)

    def told(self, max_age_seconds: float | None = None) -> tuple[object, str]:
        """Ask, and give the answer with its source."""
        answer = self.ask(max_age_seconds)
        return answer["data"], answer["source"]

    def refresh(self) -> Json:
        """Have the answer refreshed."""
        return self.runner.refresh(NAME, OfThing(thing=self.thing))

    def close(self) -> None:
        """Close the connections to the cache."""
        self.plain.close()
        self.text.close()


def together(count: int, work: Callable[[], Any]) -> list[tuple[float, Any]]:
    """Do the same in so many threads at once; give each one's seconds and what it got, an error included."""
    start, done = threading.Barrier(count), []

    def one() -> None:
        start.wait()
        began = time.perf_counter()
        try:
            got = work()
        except Exception as error:  # noqa: BLE001 - whatever a caller gets is what the test is about
            got = error
        done.append((time.perf_counter() - began, got))

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return done
