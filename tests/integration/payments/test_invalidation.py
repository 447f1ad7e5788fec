"""Reads are out of date as soon as a reaction says so: nothing of it waits in a queue, and nothing of it is lost."""

from typing import Any

import pytest
from redis.exceptions import RedisError

from aggregations.invalidation import Invalidator
from aggregations.tokens import cluster_time
from config.connections import redis_client
from payments.errors import NotDelivered
from payments.outbox import COLLECTION
from tasks.caching import make_invalidator
from tasks.invalidating import PAUSE_SECONDS, InvalidateAtOnce
from tests.integration.payments.stage import Stage
from tests.integration.payments.test_reactions import react, sweep
from tests.support.cms import SeededPayment


class TestAtOnce:
    """`invalidate_reads` acts on the cache itself."""

    def test_nothing_queued(self, stage: Stage, seeded: SeededPayment) -> None:
        """The tags have tokens with the database's time, and no message was sent for it."""
        stage.paid(seeded)
        react(stage)
        assert stage.messages == []
        with redis_client(str(stage.settings.cache_url)) as cache:
            token = str(cache.get(f"nestcms:tag:payment:{seeded.payment_id}"))
        assert cluster_time(token.partition("@")[2]) is not None

    def test_cache_away(self, stage: Stage, seeded: SeededPayment, silent_port: int) -> None:
        """What the cache does not take is owed until it does."""
        here = stage.world
        stage.world = stage.another_world(cache_url=f"redis://127.0.0.1:{silent_port}/2")
        stage.paid(seeded)
        react(stage)
        owed = {"handler": "invalidate_reads"}
        rows = list(stage.database[COLLECTION].find(owed))
        assert {row["status"] for row in rows} == {"waiting"}
        assert "the cache" in rows[0]["error"]
        assert stage.tags() == set()
        stage.world = here
        stage.clock.advance(200)
        sweep(stage)
        assert {row["status"] for row in stage.database[COLLECTION].find(owed)} == {"done"}
        assert f"payment:{seeded.payment_id}" in stage.tags()

    def test_left_alone(self, stage: Stage) -> None:
        """A cache that has just failed is not waited for again at once: other reactions come first."""
        tries: list[Any] = []
        now = [0.0]

        class Frozen(Invalidator):
            def invalidate(self, tags: Any, **_: Any) -> int:
                tries.append(tags)
                raise RedisError("no answer")

        store = make_invalidator(stage.settings)._store
        at_once = InvalidateAtOnce(Frozen(store), stage.database, monotonic=lambda: now[0])
        for _ in range(5):
            with pytest.raises(NotDelivered):
                at_once(["payments"], "c")
        assert len(tries) == 1
        now[0] += PAUSE_SECONDS
        with pytest.raises(NotDelivered):
            at_once(["payments"], "c")
        assert len(tries) == 2
