"""Views and their watcher at the edges: odd documents, damaged rows, deaths at the worst moments."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import Decimal128, Int64, ObjectId
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from aggregations import change_stream, view_answers, view_filling
from aggregations.change_stream import ChangeStream
from aggregations.parameters import AgeParameters, ContractParameters, Parameters, SpanParameters
from aggregations.view_groups import GroupReader
from aggregations.views import VIEWS
from aggregations.watching import Watcher
from tests.support.views import Views
from tests.support.waiting import eventually

Json = dict[str, Any]

#: Four contracts, two clients, one payment.
CONTRACTS = [ObjectId(f"a{number:023x}") for number in range(4)]
ONE_CLIENT, OTHER_CLIENT = ObjectId("1" * 24), ObjectId("2" * 24)
PAYMENT = ObjectId("d" * 24)

NOW = datetime.now(UTC)

#: A hundred thousand years and more, in milliseconds.
FAR_MS = 10**15


class Killed(BaseException):
    """Raised where a process is said to die."""


def paid(**changes: Any) -> Json:
    """Return a paid payment of the first contract."""
    new = {"_id": PAYMENT, "createdAt": NOW, "amount": "10", "currency": "SAR", "status": "paid", "client": ONE_CLIENT}
    return {**new, "contractId": CONTRACTS[0], **changes}


def fill(views: Views) -> None:
    """Store the contracts and the payment."""
    views.db["contracts"].insert_many([{"_id": one} for one in CONTRACTS])
    views.db["payments"].insert_one(paid())


@pytest.fixture
def settled(views: Views) -> Views:
    """The contracts and the payment, all in the views."""
    fill(views)
    views.settle()
    return views


def right(views: Views) -> None:
    """Check that every view gives an answer, and the one of its pipeline."""
    now = datetime.now(UTC)
    asked: list[tuple[str, Parameters]] = [
        ("payments_summary", SpanParameters()),
        ("receivables_ageing", AgeParameters()),
        *(("contract_balance", ContractParameters(contract_id=str(one))) for one in CONTRACTS),
    ]
    for name, parameters in asked:
        assert views.by_view(name, parameters, now) == views.by_pipeline(name, parameters, now), (name, parameters)


def change(views: Views, update: Any) -> None:
    """Change the payment."""
    views.db["payments"].update_one({"_id": PAYMENT}, update)


class TestOddValues:
    """Values that no schema of the CMS allows, and no server refuses."""

    @pytest.mark.parametrize("moved_ms", [FAR_MS, -FAR_MS // 10])
    def test_far_date(self, settled: Views, moved_ms: int) -> None:
        """A time that Python has no room for is counted as the pipeline counts it, and stops no rebuild."""
        change(settled, [{"$set": {"createdAt": {"$add": ["$createdAt", moved_ms]}}}])
        settled.settle()
        right(settled)
        assert set(settled.rebuild().values()) == {0}
        right(settled)

    def test_list_of_dates(self, settled: Views) -> None:
        """A payment with a list of times is counted once."""
        settled.db["payments"].insert_one(paid(_id=ObjectId(), createdAt=[NOW]))
        change(settled, {"$set": {"amount": "11"}})
        settled.settle()
        right(settled)

    @pytest.mark.parametrize(
        "update", [{"$push": {"contractId": CONTRACTS[1]}}, {"$set": {"contractId.0": CONTRACTS[1]}}]
    )
    def test_part_of_a_list(self, settled: Views, update: Json) -> None:
        """An update within a list of references marks the group that it names, as one of the whole list does."""
        change(settled, {"$set": {"contractId": [CONTRACTS[0]]}})
        settled.settle()
        change(settled, update)
        settled.settle()
        right(settled)

    def test_number(self, settled: Views) -> None:
        """An id is the same whatever kind of number it is written as, as it is to the database."""
        settled.db["payments"].insert_one(paid(_id=Int64(7), contractId=None))
        settled.db["contracts"].update_one({"_id": CONTRACTS[3]}, {"$set": {"paymentsIds": [7.0]}})
        settled.settle()
        settled.db["payments"].update_one({"_id": 7}, {"$set": {"amount": "3"}})
        settled.settle()
        right(settled)

    def test_first_moment(self, settled: Views) -> None:
        """A span that ends before all time is empty."""
        parameters, now = SpanParameters(until=datetime(1, 1, 1, tzinfo=UTC)), datetime.now(UTC)
        assert settled.by_view("payments_summary", parameters, now) == {"rows": [], "unreadable": 0, "more": False}

    def test_large_change(self, settled: Views) -> None:
        """A change whose event is larger than the database can send does not stop the watcher for ever."""
        ids = [ObjectId() for _ in range(450_000)]
        settled.db["contracts"].update_one({"_id": CONTRACTS[3]}, {"$set": {"paymentsIds": ids}})
        change(settled, {"$set": {"contractId": CONTRACTS[1]}})
        until = settled.now()
        for _ in range(6):
            try:
                settled.watcher.step(20)
            except OperationFailure:
                settled.watcher.reset()
        at = settled.desk.state.position().at
        assert at is not None
        assert at >= until

    def test_event_too_large(self, settled: Views) -> None:
        """What cannot be sent however it is asked for is a lost history: told, and everything is made anew."""
        settled.db["notes"].insert_one({"onModel": "Project"})
        settled.settle()
        settled.db["notes"].update_one({}, {"$set": {"onModel": "x" * 9_000_000}})
        change(settled, {"$set": {"contractId": CONTRACTS[1]}})
        settled.settle()
        right(settled)
        assert settled.told.alerts == [("views_history_lost", "watcher")]


class TestDamage:
    """Whatever somebody has written into a view is found and mended."""

    @pytest.mark.parametrize("name", ["mv_contract_balances", "mv_payments_monthly"])
    @pytest.mark.parametrize("update", [{"$unset": {"rows": 1}}, {"$set": {"rows": 5}}])
    def test_no_rows(self, settled: Views, name: str, update: Json) -> None:
        """So is a group that has lost its rows."""
        settled.db[name].update_many({}, update)
        settled.follow()
        assert settled.rebuild()[name] > 0
        right(settled)

    @pytest.mark.parametrize("name", ["mv_payments_monthly", "mv_receivables"])
    @pytest.mark.parametrize("month", ["month:2026-5", "month:abc"])
    def test_no_month(self, settled: Views, name: str, month: str) -> None:
        """So is a month that is none."""
        row = {"_id": {"currency": "SAR", "status": "paid", "month": None, "bracket": 1}, "payments": 1, "lost": 0}
        settled.db[name].insert_one({"_id": month, "rows": [{**row, "amount": Decimal128("5")}]})
        settled.follow()
        settled.rebuild()
        assert settled.db[name].find_one({"_id": month}) is None
        right(settled)


class TestUnreadableGroup:
    """A view whose building has left a group out, because the database could not read it."""

    @pytest.fixture
    def refused(self, views: Views, monkeypatch: pytest.MonkeyPatch) -> Views:
        """Views that were built while the groups of an older payment could not be read."""
        fill(views)
        older = NOW - timedelta(days=5)
        views.db["payments"].insert_one(paid(_id=ObjectId(), createdAt=older, contractId=CONTRACTS[1]))
        read = GroupReader.read

        def refuse(self: GroupReader, view: Any, groups: Any, after: Any) -> Any:
            if {f"{older:%Y-%m-%d}", CONTRACTS[1]} & {*groups}:
                raise OperationFailure("an index was dropped", 175)
            return read(self, view, groups, after)

        views.follow()
        with monkeypatch.context() as patched:
            patched.setattr(GroupReader, "read", refuse)
            for view in VIEWS.values():
                views.desk.go_on(view, 10.0)
        return views

    def test_not_left_out(self, refused: Views) -> None:
        """No answer is given without it."""
        now = datetime.now(UTC)
        given = refused.by_view("payments_summary", SpanParameters(), now)
        assert given is None or given == refused.by_pipeline("payments_summary", SpanParameters(), now)

    def test_told_to_be_over(self, refused: Views) -> None:
        """Once it could be read its alert is closed."""
        refused.refresh()
        right(refused)
        assert [name for name, _ in refused.told.alerts] == []


class TestTags:
    """What is remembered under the client that a payment had before."""

    class Cache:
        """A cache that is away or not."""

        def __init__(self, views: Views) -> None:
            """Say what arrives to what the views have told."""
            self.away, self._told = True, views.told

        def parts(self) -> dict[str, Any]:
            """Return what a watcher needs of it."""

            def invalidate(*arguments: Any) -> None:
                self._fail()
                self._told.invalidate(*arguments)

            def forget() -> None:
                self._fail()
                self._told.forget()

            return {"invalidate": invalidate, "forget": forget}

        def _fail(self) -> None:
            if self.away:
                raise ConnectionError

    def out_of_date(self, views: Views, forgotten: int) -> bool:
        """Tell whether what was remembered of the client is so no more."""
        return f"client:{ONE_CLIENT}" in views.told.tags or views.told.forgotten > forgotten

    def test_killed_while_away(self, settled: Views, monkeypatch: pytest.MonkeyPatch) -> None:
        """The cache is away and the watcher dies after the map was written: the next one makes up for it."""
        cache = self.Cache(settled)
        settled.watcher.stop()
        settled.watcher = settled.another_watcher(**cache.parts())
        settled.follow()
        settled.told.tags.clear()
        forgotten = settled.told.forgotten

        def die(*_: Any) -> None:
            raise Killed

        with monkeypatch.context() as patched:
            patched.setattr(Watcher, "_say", die)
            change(settled, {"$set": {"client": OTHER_CLIENT}})
            with pytest.raises(Killed):
                settled.follow()
        settled.db["mv_meta"].update_one({"_id": "watcher"}, {"$set": {"holder": None}})
        cache.away = False
        settled.watcher = settled.another_watcher(**cache.parts())
        settled.follow()
        assert self.out_of_date(settled, forgotten)

    def test_killed_twice_while_away(self, settled: Views) -> None:
        """Two watchers end one after the other while the cache is away: the third still knows what is due."""
        cache = self.Cache(settled)
        settled.watcher.stop()
        settled.watcher = settled.another_watcher(**cache.parts())
        settled.follow()
        settled.told.tags.clear()
        forgotten = settled.told.forgotten
        change(settled, {"$set": {"client": OTHER_CLIENT}})
        settled.follow()
        settled.watcher.stop()
        second = settled.another_watcher(**cache.parts())
        second.step(1)
        second.stop()
        cache.away = False
        settled.watcher = settled.another_watcher(**cache.parts())
        settled.follow()
        assert self.out_of_date(settled, forgotten)

    def test_while_filling(self, views: Views, monkeypatch: pytest.MonkeyPatch) -> None:
        """A payment that goes to another client while the map is being made leaves nothing behind."""
        fill(views)
        read, begun = view_filling._documents, [0]

        def change_first(database: Any, collection: str, at: Any) -> Any:
            if collection == "payments":
                begun.append(views.told.forgotten)
                change(views, {"$set": {"client": OTHER_CLIENT}})
            yield from read(database, collection, at)

        monkeypatch.setattr(view_filling, "_documents", change_first)
        views.follow()
        assert self.out_of_date(views, begun[-1])

    def test_part_of_a_list(self, settled: Views) -> None:
        """One more client of a payment is told as well."""
        change(settled, {"$set": {"client": [ONE_CLIENT]}})
        settled.follow()
        change(settled, {"$push": {"client": OTHER_CLIENT}})
        settled.follow()
        assert f"client:{OTHER_CLIENT}" in settled.told.tags


class TestTransactions:
    """Changes of one transaction have one time, and may come in several batches."""

    def test_followed_in_part(
        self, settled: Views, monkeypatch: pytest.MonkeyPatch, streaming: MongoClient[Json]
    ) -> None:
        """While only a part of it is followed the watcher does not say that it has followed its time."""
        monkeypatch.setattr(change_stream, "BATCH", 1)
        with streaming.start_session() as session, session.start_transaction():
            for contract in CONTRACTS[1:]:
                rows = streaming[settled.db.name]["payments"]
                rows.update_one({"_id": PAYMENT}, {"$set": {"contractId": contract}}, session=session)
        seen = len(settled.told.times)
        while len(settled.told.times) == seen:
            settled.watcher.step(20)
        at = settled.desk.state.position().at
        assert at is not None
        assert at < settled.told.times[-1]

    def test_frozen(self, settled: Views, monkeypatch: pytest.MonkeyPatch, streaming: MongoClient[Json]) -> None:
        """A frozen watcher with the first part in its hands does not put the map back to it."""
        monkeypatch.setattr(change_stream, "BATCH", 1)
        frozen = settled.another_watcher(lease_seconds=0.1)
        settled.watcher.stop()
        assert frozen.step(1)
        settled.watcher = settled.another_watcher()
        read = ChangeStream.next

        def freeze(self: ChangeStream, await_ms: int) -> Any:
            batch = read(self, await_ms)
            if batch.events:
                monkeypatch.setattr(ChangeStream, "next", read)
                eventually(lambda: settled.watcher.step(1), within_seconds=5, what="the end of the frozen one's lease")
                settled.settle()
            return batch

        with streaming.start_session() as session, session.start_transaction():
            rows = streaming[settled.db.name]["payments"]
            for contract in CONTRACTS[1:3]:
                rows.update_one({"_id": PAYMENT}, {"$set": {"contractId": contract}}, session=session)
        monkeypatch.setattr(ChangeStream, "next", freeze)
        for _ in range(20):
            if not frozen.step(50):
                break
        settled.settle()
        change(settled, {"$set": {"contractId": CONTRACTS[3]}})
        settled.settle()
        right(settled)


class TestOneMoment:
    """An answer is of one moment, although its parts are read one after the other."""

    def test_moved_between(self, settled: Views, monkeypatch: pytest.MonkeyPatch) -> None:
        """A payment whose day changes between two readings is not counted twice."""
        change(settled, {"$set": {"createdAt": datetime(2026, 5, 10, 12, tzinfo=UTC)}})
        settled.settle()
        read = view_answers._now

        def move_first(*arguments: Any) -> Any:
            change(settled, {"$set": {"createdAt": datetime(2026, 8, 15, 18, tzinfo=UTC)}})
            return read(*arguments)

        monkeypatch.setattr(view_answers, "_now", move_first)
        parameters = SpanParameters(until=datetime(2026, 8, 15, 20, tzinfo=UTC))
        given = settled.by_view("payments_summary", parameters, datetime.now(UTC))
        assert given is None or sum(row["payments"] for row in given["rows"]) == 1
