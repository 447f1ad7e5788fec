import dataclasses
import math
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId, Timestamp
from prometheus_client import REGISTRY

from aggregations.views import VIEWS
from config.queues import queue_of
from config.settings import Settings
from tasks import views as tasks_views
from tasks import wiring
from tasks.arguments import RefreshViews
from tasks.base import check
from tasks.errors import InvalidArguments
from tasks.viewing import forget_tags, make_watcher
from tasks.wiring import World, build_world, ensure_indexes, use_world
from tests.support.views import Views

Json = dict[str, Any]


@pytest.fixture
def sent() -> list[tuple[str, Json]]:
    """What was enqueued."""
    return []


@pytest.fixture
def world(settings: Settings, sent: list[tuple[str, Json]]) -> Iterator[World]:
    """The world of a task, whose messages nobody gets."""

    def send(task_name: str, *, correlation_id: str, countdown: float = 0, **arguments: Any) -> bool:
        assert correlation_id
        assert not countdown
        sent.append((task_name, arguments))
        return True

    built = build_world(settings, send=send)
    ensure_indexes(built)
    use_world(built)
    yield built
    use_world(None)


class TestRefresh:
    """`views.refresh`, with a name and without."""

    def test_by_itself(self, world: World, views: Views, sent: list[tuple[str, Json]]) -> None:
        """Without a name every view is sent that has something to do; each is then built; and nothing is left."""
        contract = ObjectId()
        world.db["contracts"].insert_one({"_id": contract})
        views.follow()
        assert tasks_views.refresh() == {"enqueued": len(VIEWS)}
        assert sent == [("views.refresh", {"name": name}) for name in VIEWS]
        for name in VIEWS:
            report = tasks_views.refresh(name=name)
            assert (report["rebuilding"], report["left"], report["taken"]) == (True, False, False)
        sent.clear()
        assert tasks_views.refresh() == {"enqueued": 0}
        world.db["payments"].insert_one({"contractId": contract, "createdAt": datetime.now(UTC)})
        views.follow()
        tasks_views.refresh()
        assert [asked["name"] for _, asked in sent] == ["mv_payments_monthly", "mv_receivables", "mv_contract_balances"]
        assert tasks_views.refresh(name="mv_contract_balances")["groups"] == 1

    def test_full(self, world: World, views: Views, sent: list[tuple[str, Json]]) -> None:
        """`full` without a name rebuilds all; with one a rebuild is begun, and what is left is sent again."""
        views.settle()
        assert tasks_views.refresh(full=True) == {"enqueued": len(VIEWS)}
        assert all(asked["full"] for _, asked in sent)
        world.db["mv_receivables"].insert_one({"_id": "1999-01-01", "of": "month:1999-01", "rows": [{"_id": 1}]})
        views.follow()
        with views.watching():
            assert tasks_views.refresh(name="mv_receivables", full=True)["drift"] == 2  # the day, and its month
        assert world.alerts.open_keys("view_drift") == ["mv_receivables"]

    def test_nobody_watches(self, world: World, views: Views) -> None:
        """A watcher that does not run is told, and so is that it does again."""
        tasks_views.refresh()
        assert world.alerts.open_keys("watcher_behind") == ["watcher"]
        views.follow()
        tasks_views.refresh()
        assert world.alerts.open_keys("watcher_behind") == []

    def test_stuck(self, world: World, views: Views) -> None:
        """A rebuild that does not end, a view that is not built, an old mark: told while it is so."""
        views.settle()
        name, row = "mv_receivables", {"_id": "mv_receivables"}
        world.views.begin_rebuild(VIEWS[name])
        tasks_views.refresh()
        assert world.alerts.open_keys("view_stuck") == []
        long_ago = {"rebuild.started_at": datetime.now(UTC) - timedelta(hours=2), "built": 0}
        world.db["mv_meta"].update_one(row, {"$set": long_ago})
        at = views.desk.state.position().at
        assert at is not None
        world.views.marks.change([("mv_org_earnings", ObjectId(), Timestamp(at.time - 900, 1))])
        tasks_views.refresh()
        assert {*world.alerts.open_keys("view_stuck")} == {name, "mv_org_earnings"}
        detail = str(world.alerts.rows.find_one({"key": name}, {"detail": 1}))
        assert "rebuild goes on" in detail
        assert "not built" in detail
        views.refresh()
        tasks_views.refresh()
        assert world.alerts.open_keys("view_stuck") == []

    def test_cured(self, world: World, views: Views) -> None:
        """What a rebuild of all views cures is closed by it, and by no rebuild that began before it was told."""
        views.settle()
        for name in tasks_views.CURED:
            world.alerts.raise_alert(name, "payments", "told")
        tasks_views.refresh()
        assert [world.alerts.open_keys(name) for name in tasks_views.CURED] == [["payments"]] * 2
        views.rebuild()
        tasks_views.refresh()
        assert [world.alerts.open_keys(name) for name in tasks_views.CURED] == [[]] * 2

    def test_shown(self, world: World, views: Views) -> None:
        """Metrics show how far the watcher is, the generation, and of each view whether it is built and its marks."""

        def shown(name: str, **labels: str) -> float | None:
            return REGISTRY.get_sample_value(f"nestcms_{name}", labels)

        tasks_views.refresh()
        assert shown("watcher_behind_seconds") == math.inf
        assert (shown("views_generation"), shown("view_built", view="mv_receivables")) == (0, 0)
        views.settle()
        world.db["payments"].insert_one({"createdAt": datetime.now(UTC)})
        views.follow()
        tasks_views.refresh()
        behind = shown("watcher_behind_seconds")
        assert behind is not None
        assert behind < 60
        assert (shown("views_generation"), shown("view_built", view="mv_receivables")) == (1, 1)
        assert (shown("view_marks", view="mv_receivables"), shown("view_marks", view="mv_org_earnings")) == (1, 0)

    def test_unknown(self) -> None:
        """A view that there is not is refused by its field, with those that there are; the tasks have their queues."""
        with pytest.raises(InvalidArguments, match="name: expected one of mv_payments_monthly"):
            check(RefreshViews, (), {"name": "mv_gossip"})
        assert queue_of("views.refresh") == "aggregations.refreshes"
        assert queue_of("maintenance.rebuild_views") == "maintenance"


class TestNightly:
    """`maintenance.rebuild_views` has views checked once a day."""

    def test_hour(self, world: World, views: Views, sent: list[tuple[str, Json]]) -> None:
        """At its hour those are rebuilt that were not within half a day; at others only what was forgotten for two."""
        views.settle()
        today = datetime.now(UTC)

        def at(hours: float, hour: int) -> int:
            settings = world.settings.model_copy(update={"views_rebuild_hour": hour})
            later = datetime.fromtimestamp(today.timestamp() + 3_600 * hours, UTC)
            moved = dataclasses.replace(world, settings=settings, clock=lambda: later)
            moved.views._clock = lambda: later
            wiring._worlds[os.getpid()] = moved
            return int(tasks_views.rebuild_views()["enqueued"])

        def hour_after(hours: float) -> int:
            return datetime.fromtimestamp(today.timestamp() + 3_600 * hours, UTC).hour

        assert at(1, hour_after(1)) == 0
        assert at(20, hour_after(20)) == len(VIEWS)
        assert at(20, hour_after(21)) == 0
        assert at(49, hour_after(50)) == len(VIEWS)
        assert all(asked["full"] for _, asked in sent)


class TestCache:
    """The watcher as it is wired."""

    def test_tokens(self, world: World, settings: Settings, views: Views) -> None:
        """A change gives its tags other tokens with the time of the change; a new generation removes all of them."""
        from config.connections import redis_client  # noqa: PLC0415

        assert settings.cache_url
        with redis_client(settings.cache_url) as cache:
            cache.set("nestcms:tag:old", "x")
            cache.set("other", "x")
            watcher = make_watcher(
                settings, world.db, views._streaming[world.db.name], alerts=world.alerts, send=world.send
            )
            watcher.step(1)
            assert set(cache.keys("*")) == {"other"}
            payment = world.db["payments"].insert_one({"amount": "1"}).inserted_id
            for _ in range(5):
                watcher.step(20)
            tokens = {key: cache.get(key) for key in cache.keys("nestcms:tag:*")}
            assert set(tokens) == {"nestcms:tag:payments", f"nestcms:tag:payment:{payment}"}
            assert all("@" in str(token) for token in tokens.values())
            forget_tags(cache)
            assert set(cache.keys("*")) == {"other"}
            watcher.stop()
