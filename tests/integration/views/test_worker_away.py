"""What writes leave in the broker while no worker of reads is there."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from bson import ObjectId

from aggregations.views import VIEWS
from aggregations.watching import Watcher
from config.settings import Settings
from tasks import views as tasks_views
from tasks.once import ONCE
from tasks.publishing import send_task
from tasks.viewing import make_watcher
from tasks.wiring import World, build_world, ensure_indexes, use_world
from tests.support.broker import Broker
from tests.support.system import serving
from tests.support.views import Views

#: How many changes the CMS makes.
WRITES = 300

#: What may wait after an hour of them, once for each time in which a message is good.
MOST = 500


@pytest.fixture
def world(settings: Settings) -> Iterator[World]:
    """A world whose messages lie in the real broker, where nobody takes them."""
    with serving(settings):
        built = build_world(settings, send=send_task)
        ensure_indexes(built)
        use_world(built)
        yield built
        use_world(None)


@pytest.fixture
def broker(settings: Settings) -> Broker:
    """The broker's queues."""
    return Broker(str(settings.redis_url))


@pytest.fixture
def watcher(settings: Settings, world: World, views: Views) -> Iterator[Watcher]:
    """A watcher as it is wired, that asks for a refresh after every batch; its clock goes on by a minute a look."""
    made = make_watcher(settings, world.db, views._streaming[world.db.name], alerts=world.alerts, send=world.send)
    times = iter(range(0, 60_000_000, 60))
    made._monotonic = lambda: float(next(times))
    yield made
    made.stop()


class TestAway:
    """A worker of reads that is away for an hour under writes finds some hundred messages at most."""

    def test_watcher(self, world: World, watcher: Watcher, broker: Broker) -> None:
        """However many changes there are, each view's refresh waits once, and so does the look at the documents."""
        watcher.step(1)
        contract = world.db["contracts"].insert_one({"_id": ObjectId()}).inserted_id
        steps = 0
        for number in range(WRITES):
            world.db["payments"].insert_one({"contractId": contract, "createdAt": datetime.now(UTC), "n": number})
            if number % 10 == 0:
                steps += watcher.step(20)
        assert steps >= WRITES / 10
        waiting = broker.messages("aggregations.refreshes")
        assert sorted(one["kwargs"]["name"] for one in waiting) == sorted(VIEWS)
        assert broker.depths() == {"aggregations.refreshes": len(VIEWS), "reconcile": 1}
        assert (len(VIEWS) + 1) * 3600 / ONCE["views.refresh"] < MOST

    def test_sweep(self, world: World, watcher: Watcher, broker: Broker) -> None:
        """Nor do the looks of the schedule add any, and what they say is that it has been asked for."""
        watcher.step(1)
        for _ in range(20):
            assert tasks_views.refresh() == {"enqueued": len(VIEWS)}
        assert broker.depths()["aggregations.refreshes"] == len(VIEWS)
        assert world.db.name

    def test_reads(self, world: World, broker: Broker) -> None:
        """Answers that grow old while they are asked for are asked to be refreshed once, each."""
        for _ in range(50):
            for user in range(3):
                world.send("aggregations.refresh", correlation_id="c", name="users", params={"user_id": f"{user:024x}"})
        assert broker.depths() == {"aggregations.refreshes": 3}
