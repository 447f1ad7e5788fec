import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from celery import Celery

from aggregations.catalogue import CATALOGUE, Aggregation
from aggregations.errors import NotFound
from aggregations.hot import LEAST_USES, HotRead, HotReads
from config.connections import redis_client
from config.settings import Settings
from schedules.aggregations import REFRESH_SECONDS
from tasks.aggregations import between_refreshes, refresh_hot
from tasks.wiring import World, build_world, use_world
from tests.support.broker import Broker
from tests.support.system import serving
from tests.support.waiting import eventually

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)


class Counting:
    """What counts uses, with clocks that the test moves."""

    def __init__(self, url: str) -> None:
        self.now, self.seconds = NOW, 0.0
        self.reads = HotReads(
            redis_client(url), clock=lambda: self.now, outages=(redis.exceptions.RedisError,),
            monotonic=lambda: self.seconds,
        )  # fmt: skip

    def use(self, contract: str, times: int) -> None:
        """Ask for something so often, and let the time pass after which counts are carried."""
        for number in range(times):
            self.seconds += 2.0 if number == times - 1 else 0.0
            self.reads.note("contract_employees", {"contract_id": contract})

    def hot(self) -> list[tuple[str, int]]:
        """List what is hot and how often it was used."""
        return [(one.params["contract_id"], one.uses) for one in self.reads.hottest(3)]


@pytest.fixture
def counting(settings: Settings) -> Counting:
    """Counts in the test run's cache, which is empty."""
    return Counting(str(settings.cache_url))


class TestHot:
    """What is asked for often is known, over all processes."""

    def test_by_use(self, counting: Counting) -> None:
        """The most used come first, as many as are wanted; what was used twice is not hot."""
        for contract, times in {"a": 5, "b": 9, "c": 2, "d": 3, "e": 4}.items():
            counting.use(contract, times)
        assert counting.hot() == [("b", 9), ("a", 5), ("e", 4)]

    def test_processes(self, counting: Counting, settings: Settings) -> None:
        """Two processes' uses add up."""
        counting.use("a", 2)
        Counting(str(settings.cache_url)).use("a", 2)
        assert counting.hot() == [("a", 4)]

    def test_cools_down(self, counting: Counting) -> None:
        """What nobody has asked for in ten minutes is not hot any more."""
        counting.use("a", 5)
        counting.now += timedelta(minutes=5)
        assert counting.hot() == [("a", 5)]
        counting.now += timedelta(minutes=5)
        assert counting.hot() == []

    def test_bounded(self, counting: Counting, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
        """However many different reads there are, only those that were asked for most are kept."""
        monkeypatch.setattr("aggregations.hot.MOST_KEPT", 3)
        for contract, times in {"a": 5, "b": 9, "c": 2, "d": 3, "e": 4}.items():
            counting.use(contract, times)
        cache = redis_client(str(settings.cache_url))
        assert [cache.zcard(key) for key in cache.keys("nestcms:hot:*")] == [3]
        assert counting.hot() == [("b", 9), ("a", 5), ("e", 4)]

    def test_cache_away(self, silent_port: int) -> None:
        """Without a cache nothing is counted, and nobody is stopped by that."""
        away = Counting(f"redis://127.0.0.1:{silent_port}/2")
        away.use("a", 5)
        assert away.hot() == []

    def test_pause(self) -> None:
        """A cache that does not answer holds up one read, and the next one half a minute later."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            away = Counting(f"redis://127.0.0.1:{silent.getsockname()[1]}/2")
            asked, pipeline = [], away.reads._store.pipeline

            def noted(**options: Any) -> Any:
                asked.append(away.seconds)
                return pipeline(**options)

            vars(away.reads._store)["pipeline"] = noted
            for _ in range(17):  # two seconds each, by the counting's clock
                away.use("a", 1)
        assert len(asked) == 2


class TestTask:
    """Beat has them built anew."""

    @pytest.fixture
    def world(self, settings: Settings) -> Iterator[World]:
        """A world on real servers."""
        with serving(settings) as app:
            assert isinstance(app, Celery)
            built = build_world(settings, clock=lambda: NOW)
            use_world(built)
            yield built
            use_world(None)

    def test_only_answered(self, world: World) -> None:
        """A question that has no answer is never hot, however often it is asked."""
        missing = CATALOGUE["contract_employees"].parameters.model_validate({"contract_id": "f" * 24})
        for _ in range(2 * LEAST_USES):
            with pytest.raises(NotFound):
                world.aggregations.run("contract_employees", missing)
        world.hot._carry_at = 0.0  # the time has come to carry what was counted
        world.hot.note("another", {})
        assert world.hot.hottest(9) == []

    def test_refreshed(self, world: World, counting: Counting, settings: Settings) -> None:
        """Each hot read is enqueued by its name and parameters; one that is fresh is left alone there."""
        counting.use("a" * 24, 5)
        counting.use("b" * 24, 1)
        assert world.hot.hottest(9)
        assert refresh_hot.apply(throw=True).get() == {"enqueued": 1}
        (message,) = Broker(str(settings.redis_url)).messages("aggregations.refreshes")
        assert message["task"] == "aggregations.refresh"
        assert message["kwargs"] == {"name": "contract_employees", "params": {"contract_id": "a" * 24}}
        assert refresh_hot.apply(throw=True).get() == {"enqueued": 0}  # its time is not yet

    def test_again(self, world: World) -> None:
        """It is due again after its time, and not before."""
        read = HotRead("user_permissions", {"user_id": "a" * 24}, 9)
        assert [world.hot.due(read, 600), world.hot.due(read, 600)] == [True, False]
        soon = HotRead("user_permissions", {"user_id": "b" * 24}, 9)
        assert world.hot.due(soon, 0.3)
        eventually(lambda: world.hot.due(soon, 0.3), within_seconds=60, what="its time")

    @pytest.mark.parametrize("row", CATALOGUE.values(), ids=CATALOGUE.keys())
    def test_before_the_end(self, row: Aggregation) -> None:
        """The oldest that a refresh leaves alone is refreshed before its hard age, also when two looks are late."""
        oldest_left = row.soft_seconds
        assert oldest_left + between_refreshes(row) + 2 * REFRESH_SECONDS < row.hard_seconds
