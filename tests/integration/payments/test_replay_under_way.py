import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import islice
from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database

from payments.events import Context
from payments.facts import ReviewRaised
from payments.replay_pieces import Piece
from payments.replaying import Phase, ReplayTerms
from payments.store import Change, PaymentStore
from tasks.publishing import leave_to_sweeps
from tasks.wiring import World, build_world, utc_now
from tests.integration.payments.stage import ALOOF, Stage
from tests.support.cms import seed_payment
from tests.support.histories import Telling, tellings
from tests.support.reasons import about
from tests.support.replays import EVERYTHING, damage, live, ours, replay, stored
from tests.support.waiting import eventually

Documents = Database[dict[str, Any]]

CONTEXT = Context(correlation_id="late", source="test")
CLAIM = ReviewRaised(**about("slow"), evidence="")


class Slow:
    """A companion that keeps transactions open once everything of theirs is written, until it is let go."""

    def __init__(self) -> None:
        self.reached, self.go = threading.Event(), threading.Event()

    def __call__(self, change: Change, version: int) -> None:
        """Wait."""
        del change, version
        self.reached.set()
        assert self.go.wait(30)


@pytest.fixture
def world(stage: Stage) -> Iterator[World]:
    """A world that goes by the real clock."""
    with closing(build_world(stage.settings, breaker=ALOOF, send=leave_to_sweeps)) as built:
        yield built


def record(store: PaymentStore, payment_id: str) -> None:
    """Record that a human is needed."""
    store.change(payment_id, CONTEXT, lambda change: change.record(CLAIM))


def gateway(database: Documents, payment_id: ObjectId) -> dict[str, Any]:
    """Read what the CMS is told of a payment."""
    found = database["payments"].find_one({"_id": payment_id})
    assert found is not None
    return dict(found["gateway"])


def slow_store(world: World, slow: Slow) -> PaymentStore:
    """Return a store like the world's whose transactions commit late."""
    store = world.store
    return PaymentStore(world.client, world.db, clock=utc_now, companions=(*store._companions, slow))


@contextmanager
def lives(world: World, seeded: list[tuple[str, Telling]]) -> Iterator[list[Future[None]]]:
    """Have payments made meanwhile, some at a time."""
    with ThreadPoolExecutor(3) as threads:
        yield [threads.submit(live, world.store, payment_id, telling.groups) for payment_id, telling in seeded]


class TestUnderWay:
    """Mending while payments are being made."""

    def test_no_difference(self, world: World, database: Documents) -> None:
        """Payments go on, nothing differs at the end, and no event of a slow transaction is missed."""
        old = stored(database, 1_500)
        before = ours(database)
        damage(database, [one.payment_id for one in old[::7]])
        made = [(seed_payment(database).payment_id, telling) for telling in islice(tellings(seed=9), 40)]
        busy = [one.payment_id for one in old[::31]]
        slow = Slow()
        with lives(world, made) as under_way, ThreadPoolExecutor(len(busy)) as threads:
            late = [threads.submit(record, slow_store(world, slow), str(payment_id)) for payment_id in busy]
            assert slow.reached.wait(30)
            begun = threads.submit(replay, world.replayer)
            time.sleep(0.5)
            slow.go.set()
            row = begun.result(60)
            for one in (*under_way, *late):
                one.result(60)
        assert row["counts"]["mended"] >= len(old[::7]) - len(busy)
        assert replay(world.replayer, dry_run=True)["counts"].keys() == {"payments", "events"}
        untouched = before.keys() - set(busy)
        assert {one: now for one, now in ours(database).items() if one in untouched} == {
            one: before[one] for one in untouched
        }
        for payment_id in (*(ObjectId(one) for one, _ in made), *busy):
            assert gateway(database, payment_id)["version"] == len(world.store.load(str(payment_id)))

    def test_slow_to_commit(self, world: World, database: Documents, monkeypatch: pytest.MonkeyPatch) -> None:
        """A document that a slow transaction has written is left to it, and looked at again at the end."""
        monkeypatch.setattr("payments.replay_pieces.LOOK_SECONDS", 0.5)
        (history,) = stored(database, 3)[:1]
        damage(database, [history.payment_id])
        slow, pieces = Slow(), list[Piece]()
        replay_id = world.replayer.begin(ReplayTerms("cms_payments", EVERYTHING, False, "tests"))  # noqa: FBT003
        with ThreadPoolExecutor(2) as threads:
            late = threads.submit(record, slow_store(world, slow), str(history.payment_id))
            assert slow.reached.wait(30)
            done = threads.submit(world.replayer.go_on, replay_id, watch=pieces.append)
            eventually(lambda: world.replayer.row(replay_id)["busy"], within_seconds=30, what="a busy document")
            slow.go.set()
            late.result(30)
            row = done.result(30)
        assert (row["phase"], row["busy"]) == (Phase.DONE, [])
        assert gateway(database, history.payment_id)["version"] == len(history.events) + 1
        assert gateway(database, history.payment_id)["review"] == ["slow"]
        assert replay(world.replayer, dry_run=True)["counts"].keys() == {"payments", "events"}

    def test_mended_first(self, world: World, database: Documents) -> None:
        """A transaction that began before a document was mended writes on top of what was mended."""
        (history,) = stored(database, 3)[:1]
        damage(database, [history.payment_id])
        runs = []

        def work(change: Change) -> None:
            runs.append(change.history[-1].version)
            change.record(CLAIM)
            if len(runs) == 1:
                assert replay(world.replayer)["counts"]["mended"] == 1

        world.store.change(str(history.payment_id), CONTEXT, work)
        assert len(runs) == 2
        assert gateway(database, history.payment_id)["version"] == len(history.events) + 1
        assert replay(world.replayer, dry_run=True)["counts"].keys() == {"payments", "events"}
