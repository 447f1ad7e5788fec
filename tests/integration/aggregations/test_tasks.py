from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import Timestamp
from pymongo.database import Database

from aggregations.readers import operation_time
from aggregations.tokens import PREFIX, latest, written
from config.connections import redis_client
from config.settings import Settings
from paytabs.resilience import INVALIDATION
from tasks import aggregations
from tasks.base import DomainTask, may_pass
from tasks.errors import InvalidArguments
from tasks.wiring import World, build_world, use_world
from tests.support.cms import SeededPayment, seed_payment
from tests.support.system import serving
from workers.stack import EmbeddedMongo, EmbeddedValkey

Json = dict[str, Any]

NAME = "contract_employees"


@pytest.fixture
def sent() -> list[tuple[str, Json]]:
    """What the world has enqueued."""
    return []


@pytest.fixture
def world(settings: Settings, sent: list[tuple[str, Json]]) -> Iterator[World]:
    """The world of a worker's child, whose messages end in `sent`."""

    def send(task_name: str, *, correlation_id: str, countdown: float = 0, **arguments: Any) -> bool:
        del countdown
        assert correlation_id
        sent.append((task_name, arguments))
        return False  # a broker that takes nothing is no harm

    with serving(settings):
        built = build_world(settings, send=send)
        use_world(built)
        yield built
        use_world(None)


@pytest.fixture
def seeded(database: Database[Json]) -> SeededPayment:
    """A contract with its employee."""
    return seed_payment(database)


@pytest.fixture
def token(world: World, seeded: SeededPayment) -> Iterator[Any]:
    """Reads the present token of the contract's tag."""
    assert world.settings.cache_url is not None
    with redis_client(world.settings.cache_url) as cache:
        yield lambda: cache.get(f"{PREFIX}contract:{seeded.contract_id}")


class TestRun:
    """The public tasks use the cache, and its bounds are theirs."""

    @pytest.mark.usefixtures("world")
    def test_remembered(self, seeded: SeededPayment) -> None:
        """By name or by the named task: the second gets what the first has read."""
        first = aggregations.NAMED["contract_employees"](contract_id=seeded.contract_id)
        params = {"contract_id": seeded.contract_id}
        second = aggregations.run(NAME, params)
        assert (first["source"], second) == ("primary", {**first, "source": "cache"})
        assert aggregations.run(NAME, params, 0)["source"] == "primary"

    @pytest.mark.usefixtures("world")
    @pytest.mark.parametrize("age", [-1, 86_401, "5", float("nan"), float("inf"), True])
    def test_absurd_age(self, age: object) -> None:
        """An age that is none is refused, naming the field."""
        with pytest.raises(InvalidArguments, match=r"^max_age_seconds: "):
            aggregations.run(NAME, {}, age)

    @pytest.mark.usefixtures("world")
    def test_refresh(self, seeded: SeededPayment) -> None:
        """A refresh of what is not there builds it; its parameters are checked like the run's."""
        params = {"contract_id": seeded.contract_id}
        assert aggregations.refresh(NAME, params)["refreshed"] is True
        assert aggregations.refresh(NAME, params) == {"refreshed": False, "as_of": None}
        assert aggregations.run(NAME, params)["source"] == "cache"
        with pytest.raises(InvalidArguments, match=r"^params\.contract_id: "):
            aggregations.refresh(NAME, {})

    def test_stale(self, settings: Settings, seeded: SeededPayment, sent: list[tuple[str, Json]], world: World) -> None:
        """Past the soft age a refresh of exactly this is enqueued, and whether that works is nobody's trouble."""
        params = {"contract_id": seeded.contract_id}
        aggregations.run(NAME, params)
        soft = timedelta(seconds=world.aggregations.find(NAME).soft_seconds)
        later = build_world(settings, clock=lambda: datetime.now(UTC) + soft, send=world.send)
        use_world(later)
        assert aggregations.run(NAME, params)["source"] == "cache"
        assert sent == [("aggregations.refresh", {"name": NAME, "params": params})]


class TestOwnWrite:
    """A caller that names the time of its write gets an answer that has seen it."""

    @pytest.mark.usefixtures("world")
    def test_not_remembered(self, database: Database[Json], seeded: SeededPayment) -> None:
        """What is remembered, and was invalidated by nobody, is passed over; without a time it is served."""
        asked = {"name": NAME, "params": {"contract_id": seeded.contract_id}}
        before = aggregations.run(**asked)["data"]
        database["contracts"].update_one({"_id": seeded.contract}, {"$set": {"employee": []}})
        at = operation_time(database)
        assert at is not None
        assert aggregations.run(**asked)["data"] == before != []
        assert aggregations.run(**asked, cluster_time=written(at))["data"] == []

    @pytest.mark.usefixtures("world")
    def test_future(self, seeded: SeededPayment) -> None:
        """A time far in the database's future is refused, naming the field."""
        with pytest.raises(InvalidArguments, match=r"^cluster_time: expected "):
            aggregations.run(NAME, {"contract_id": seeded.contract_id}, cluster_time="4294967295.1")


class TestInvalidate:
    """The database's time travels with an invalidation."""

    def test_now(self, world: World, database: Database[Json], seeded: SeededPayment, token: Any) -> None:
        """Without a time the primary's present one is taken."""
        before = operation_time(database)
        assert before is not None
        assert aggregations.invalidate([f"contract:{seeded.contract_id}"]) == {"invalidated": 1}
        after = operation_time(world.db)
        told = latest([token()])
        assert after is not None
        assert told is not None
        assert before <= told <= after

    def test_told(self, seeded: SeededPayment, token: Any) -> None:
        """A time that is told is kept."""
        aggregations.invalidate([f"contract:{seeded.contract_id}"], written(Timestamp(1_700_000_000, 7)))
        assert latest([token()]) == Timestamp(1_700_000_000, 7)

    @pytest.mark.usefixtures("world")
    @pytest.mark.parametrize("time", ["", "1", "1.2.3", "-1.0", "4294967296.0", "4294967295.1", 1.5])
    def test_no_time(self, time: object) -> None:
        """What is no time of the database, or lies far in its future, is refused, naming the field."""
        with pytest.raises(InvalidArguments, match=r"^cluster_time: expected "):
            aggregations.invalidate(["users"], time)

    def test_database_away(self, seeded: SeededPayment, token: Any, mongo: EmbeddedMongo) -> None:
        """While the database is silent what is remembered becomes a miss all the same."""
        aggregations.run(NAME, {"contract_id": seeded.contract_id})
        before = token()
        mongo.freeze(0)
        try:
            aggregations.invalidate([f"contract:{seeded.contract_id}"])
        finally:
            mongo.thaw(0)
        assert token() not in (None, before)
        assert latest([token()]) is None

    def test_cache_away(self, seeded: SeededPayment, valkey: EmbeddedValkey, world: World) -> None:
        """An invalidation that cannot be written is an error that is tried again for longer than an answer lives."""
        valkey.kill()
        with pytest.raises(Exception, match="refused") as failed:
            aggregations.invalidate([f"contract:{seeded.contract_id}"])
        assert may_pass(failed.value)
        waits = range(1, INVALIDATION.max_attempts)
        longest = max(row.hard_seconds for row in world.aggregations.catalogue.values())
        assert isinstance(aggregations.invalidate, DomainTask)
        assert aggregations.invalidate.policy is INVALIDATION
        # With full jitter the mean wait is half of the longest; of so many the sum strays little.
        assert sum(map(INVALIDATION.ceiling, waits)) / 2 > longest
