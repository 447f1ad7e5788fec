"""One watcher after the other while the cache is away: what is owed, and how far the views are."""

from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId

from aggregations.errors import LeaseLost
from aggregations.watching import Watcher
from tests.support.views import Views

Json = dict[str, Any]

PAYMENT, CONTRACT = ObjectId("d" * 24), ObjectId("a" * 24)

#: Whom the payment is of, one after the other.
CLIENTS = [ObjectId(f"c{number:023x}") for number in range(4)]


class Cache:
    """A cache that is away or not."""

    def __init__(self, views: Views) -> None:
        """Have what arrives noted in what the views have told."""
        self.away, self._told = True, views.told

    def parts(self) -> dict[str, Any]:
        """Return what a watcher needs of it."""
        return {"invalidate": self._answering(self._told.invalidate), "forget": self._answering(self._told.forget)}

    def _answering(self, call: Any) -> Any:
        def answer(*arguments: Any) -> None:
            if self.away:
                raise ConnectionError
            call(*arguments)

        return answer


@pytest.fixture
def settled(views: Views) -> Views:
    """A payment of the first client, in the views."""
    views.db["contracts"].insert_one({"_id": CONTRACT})
    paid = {"amount": "10", "currency": "SAR", "status": "paid", "client": CLIENTS[0], "contractId": CONTRACT}
    views.db["payments"].insert_one({"_id": PAYMENT, "createdAt": datetime.now(UTC), **paid})
    views.settle()
    views.watcher.stop()
    return views


def give(views: Views, number: int) -> None:
    """Give the payment to another client."""
    views.db["payments"].update_one({"_id": PAYMENT}, {"$set": {"client": CLIENTS[number]}})


class TestPosition:
    """How far the views are does not depend on what the cache has been told."""

    def test_never_back(self, settled: Views) -> None:
        """Who takes over from a token that lies behind does not say that the views are where that is."""
        cache = Cache(settled)
        first = settled.another_watcher(**cache.parts())
        settled.watcher = first
        give(settled, 1)
        settled.follow()
        reached = settled.desk.state.position().at
        first.stop()
        settled.watcher = settled.another_watcher(**cache.parts())
        assert settled.watcher.step(1)
        at = settled.desk.state.position().at
        assert at is not None
        assert reached is not None
        assert at >= reached


class TestOwing:
    """Tags that nobody knows any more."""

    def test_once(self, settled: Views) -> None:
        """What was owed is forgotten once; after that nothing is owed, and no later watcher forgets anything."""
        cache = Cache(settled)
        settled.watcher = settled.another_watcher(**cache.parts())
        give(settled, 1)
        settled.follow()
        settled.watcher.stop()
        cache.away, forgotten = False, settled.told.forgotten
        for number in (2, 3):
            settled.watcher = settled.another_watcher(**cache.parts())
            give(settled, number)
            settled.follow()
            settled.watcher.stop()
        assert settled.told.forgotten == forgotten + 1

    def test_same_process(self, settled: Views) -> None:
        """Who has kept the tags sends them when the cache is back, and forgets nothing."""
        cache = Cache(settled)
        settled.watcher = settled.another_watcher(**cache.parts())
        give(settled, 1)
        settled.follow()
        settled.watcher.reset()
        cache.away, forgotten = False, settled.told.forgotten
        settled.told.tags.clear()
        settled.follow()
        assert f"client:{CLIENTS[0]}" in settled.told.tags
        assert settled.told.forgotten == forgotten

    @pytest.mark.parametrize("lost", ["holder", "fence"])
    def test_lease_lost(self, settled: Views, monkeypatch: pytest.MonkeyPatch, lost: str) -> None:
        """Who finds the lease taken has the other forget what itself could not tell."""
        cache, say = Cache(settled), Watcher._say
        settled.watcher = settled.another_watcher(**cache.parts())
        settled.follow()
        other = settled.another_watcher()

        def say_late(self: Watcher, batch: Any) -> None:
            monkeypatch.setattr(Watcher, "_say", say)
            settled.db["mv_meta"].update_one({"_id": "watcher"}, {"$set": {"holder": None}})
            assert other.step(50)
            assert other.step(1)
            if lost == "fence":
                other.stop()
            say(self, batch)

        give(settled, 1)
        monkeypatch.setattr(Watcher, "_say", say_late)
        forgotten = settled.told.forgotten
        try:
            while settled.watcher.step(20):
                pass
        except LeaseLost:
            assert lost == "fence"
            settled.watcher.stop()
        told = settled.told.forgotten
        assert told > forgotten  # it was noted before the map was changed
        settled.watcher = other
        settled.follow()
        settled.follow()
        assert settled.told.forgotten > told
