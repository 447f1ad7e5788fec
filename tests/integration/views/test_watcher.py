from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from bson import ObjectId, Timestamp
from pymongo import MongoClient

from aggregations import change_stream, changes, following
from aggregations.change_stream import ChangeStream, time_of
from aggregations.errors import LeaseLost
from aggregations.parameters import ContractParameters, SpanParameters
from aggregations.view_members import Members
from aggregations.views import VIEWS
from aggregations.watching import Watcher
from tests.support.views import Views
from tests.support.waiting import eventually

Json = dict[str, Any]

#: Three contracts, for what moves from one to the next.
CONTRACTS = [ObjectId(f"a{number:023x}") for number in range(3)]

#: One payment.
PAYMENT = ObjectId("d" * 24)


class Killed(BaseException):
    """Raised where a process is said to die: nothing after it is done, not even what ends orderly."""


@pytest.fixture
def settled(views: Views) -> Views:
    """Three contracts, one payment in the first, all in the views."""
    views.db["contracts"].insert_many([{"_id": one} for one in CONTRACTS])
    views.db["payments"].insert_one(paid(CONTRACTS[0]))
    views.settle()
    return views


def paid(contract: object, **changes: Any) -> Json:
    """Return a paid payment of a contract."""
    new = {"_id": PAYMENT, "createdAt": datetime.now(UTC), "amount": "10", "currency": "SAR", "status": "paid"}
    return {**new, "contractId": contract, **changes}


def move(views: Views, contract: ObjectId) -> None:
    """Move the payment."""
    views.db["payments"].update_one({"_id": PAYMENT}, {"$set": {"contractId": contract}})


def step_often(watcher: Watcher) -> None:
    """Have a watcher follow for a while."""
    for _ in range(20):
        watcher.step(50)


def balances(views: Views) -> list[Any]:
    """Return what is paid of each contract, as the view itself has it."""
    rows = {row["_id"]: row["rows"] for row in views.db["mv_contract_balances"].find()}
    return [str(rows[one][0]["paid"]) if rows[one][0]["payments"] else "-" for one in CONTRACTS]


def right(views: Views) -> None:
    """Check that every contract's view says what its pipeline says."""
    now = datetime.now(UTC)
    for one in CONTRACTS:
        asked = ContractParameters(contract_id=str(one))
        assert views.by_view("contract_balance", asked, now) == views.by_pipeline("contract_balance", asked, now)
    assert views.by_view("payments_summary", SpanParameters(), now) == views.by_pipeline(
        "payments_summary", SpanParameters(), now
    )


class TestNothingIsLost:
    """Whatever dies between two steps, and whatever happens meanwhile."""

    def test_between_groups(self, settled: Views) -> None:
        """A payment that went through a group while it was refreshed for another reason leaves nothing behind."""
        move(settled, CONTRACTS[1])
        settled.desk.marks.change([("mv_contract_balances", CONTRACTS[1], settled.now())])
        settled.refresh()
        assert balances(settled) == ["10", "10", "-"]  # the first has not been followed yet
        move(settled, CONTRACTS[2])
        settled.settle()
        assert balances(settled) == ["-", "-", "10"]

    def test_mark_during_refresh(self, settled: Views, monkeypatch: pytest.MonkeyPatch) -> None:
        """A change between the reading of a group and its writing raises the mark, which therefore stays."""
        read = settled.desk._reader.__class__.read
        seen: list[str] = []

        def read_and_change(self: Any, *arguments: Any) -> Any:
            found = read(self, *arguments)
            if not seen:
                settled.db["payments"].update_one({"_id": PAYMENT}, {"$set": {"amount": "12"}})
                settled.follow()
            seen.append(arguments[0].name)
            return found

        settled.db["payments"].update_one({"_id": PAYMENT}, {"$set": {"amount": "11"}})
        settled.follow()
        monkeypatch.setattr(settled.desk._reader.__class__, "read", read_and_change)
        settled.desk.go_on(VIEWS["mv_contract_balances"], 10.0)
        assert seen == ["mv_contract_balances"] * 2
        assert balances(settled) == ["12", "-", "-"]
        assert settled.desk.marks.count("mv_contract_balances") == 0

    @pytest.mark.parametrize("place", ["_say", "_tell", "save"])
    def test_killed(self, settled: Views, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
        """Killed after the marks, before the map; before the tags; before the token: another does it all again."""
        dying = settled.another_watcher(lease_seconds=0.1)
        settled.watcher.stop()
        assert dying.step(1)

        def die(*_: Any) -> None:
            raise Killed

        with monkeypatch.context() as patched:
            patched.setattr(Members if place == "save" else Watcher, place, die)
            settled.told.tags.clear()
            move(settled, CONTRACTS[1])
            with pytest.raises(Killed):
                step_often(dying)
        assert settled.desk.marks.count("mv_contract_balances") == 2
        settled.refresh()
        move(settled, CONTRACTS[2])
        settled.watcher = settled.another_watcher()
        eventually(lambda: settled.watcher.step(1), within_seconds=5, what="the end of the dead one's lease")
        settled.settle()
        assert balances(settled) == ["-", "-", "10"]
        assert {f"contract:{one}" for one in CONTRACTS} | {f"payment:{PAYMENT}"} <= settled.told.tags

    def test_two_at_once(self, settled: Views, monkeypatch: pytest.MonkeyPatch) -> None:
        """One that was frozen with a batch in its hands writes it after another has gone on: no harm is done."""
        frozen = settled.another_watcher(lease_seconds=0.1)
        settled.watcher.stop()
        assert frozen.step(1)
        settled.watcher = settled.another_watcher()
        read = ChangeStream.next

        def freeze(self: ChangeStream, await_ms: int) -> Any:
            batch = read(self, await_ms)
            if batch.events:
                monkeypatch.setattr(ChangeStream, "next", read)
                move(settled, CONTRACTS[2])
                eventually(lambda: settled.watcher.step(1), within_seconds=5, what="the end of the frozen one's lease")
                settled.settle()
            return batch

        monkeypatch.setattr(ChangeStream, "next", freeze)
        move(settled, CONTRACTS[1])
        for _ in range(20):
            frozen.step(50)
            if not frozen.step(1):
                break
        move(settled, CONTRACTS[0])
        settled.settle()
        assert balances(settled) == ["10", "-", "-"]
        right(settled)

    def test_standby(self, settled: Views) -> None:
        """While one watches another does nothing; who has lost the lease cannot write how far it is."""
        assert not settled.another_watcher().step(1)
        settled.db["mv_meta"].update_one({"_id": "watcher"}, {"$inc": {"fence": 1}})
        with pytest.raises(LeaseLost):
            settled.watcher.step(1)

    def test_stale_refresh(self, settled: Views, monkeypatch: pytest.MonkeyPatch) -> None:
        """A refresher that was frozen cannot write what it has read over what another has written meanwhile."""
        read = settled.desk._reader.__class__.read

        def read_and_freeze(self: Any, *arguments: Any) -> Any:
            found = read(self, *arguments)
            monkeypatch.setattr(settled.desk._reader.__class__, "read", read)
            settled.db["mv_meta"].update_one({"_id": "mv_contract_balances"}, {"$set": {"holder": None}})
            move(settled, CONTRACTS[2])
            settled.settle()
            return found

        move(settled, CONTRACTS[1])
        settled.follow()
        monkeypatch.setattr(settled.desk._reader.__class__, "read", read_and_freeze)
        assert settled.desk.go_on(VIEWS["mv_contract_balances"], 10.0).taken
        assert balances(settled) == ["-", "-", "10"]


class TestFollowing:
    """What a change comes to."""

    def test_tags(self, settled: Views) -> None:
        """Each collection's changes put out of date what is about the document, and about what it names."""
        project, client, user = ObjectId(), ObjectId(), ObjectId()
        settled.told.tags.clear()
        settled.db["payments"].update_one({"_id": PAYMENT}, {"$set": {"client": client}})
        settled.db["notes"].insert_one({"onModel": "Project", "onId": project})
        settled.db["permissions"].insert_one({"_for": client})
        settled.db["users"].insert_one({"_id": user, "password": "$2b$10$secret"})
        settled.db["orgzearnings"].insert_one({"orgz": CONTRACTS[1]})
        settled.follow()
        assert settled.told.tags == {
            "payments", f"payment:{PAYMENT}", f"contract:{CONTRACTS[0]}", f"client:{client}", "notes", "permissions",
            f"project:{project}", f"user:{user}", f"client:{user}", "users", "earnings", f"org:{CONTRACTS[1]}",
        }  # fmt: skip

    def test_listed(self, settled: Views) -> None:
        """A change to a document that others list is theirs too, also when both happen at once."""
        other = ObjectId()
        settled.db["contracts"].update_one({"_id": CONTRACTS[2]}, {"$set": {"paymentsIds": [other]}})
        settled.db["payments"].insert_one({**paid(None), "_id": other})
        settled.settle()
        assert balances(settled) == ["10", "-", "10"]
        settled.db["payments"].update_one({"_id": other}, {"$set": {"amount": "4"}})
        settled.settle()
        assert balances(settled) == ["10", "-", "4"]
        settled.db["payments"].delete_one({"_id": other})
        settled.settle()
        assert balances(settled) == ["10", "-", "-"]

    def test_list_cut(self, settled: Views, monkeypatch: pytest.MonkeyPatch) -> None:
        """A list of more than the map keeps is told, also when it was there before the map."""
        monkeypatch.setattr(changes, "MOST_LISTED", 2)
        settled.db["contracts"].update_one({"_id": CONTRACTS[2]}, {"$set": {"paymentsIds": [ObjectId(), PAYMENT]}})
        settled.settle()
        assert settled.told.alerts == []
        settled.db["contracts"].update_one({"_id": CONTRACTS[2]}, {"$push": {"paymentsIds": ObjectId()}})
        settled.follow()
        assert (settled.told.alerts, settled.told.subjects[-1]) == ([("view_list_cut", "contracts")], str(CONTRACTS[2]))
        settled.told.alerts.clear()
        settled.db["mv_meta"].update_one({"_id": "watcher"}, {"$set": {"ready": False}})
        settled.watcher.reset()
        settled.settle()
        assert (settled.told.alerts, settled.told.subjects[-1]) == ([("view_list_cut", "contracts")], str(CONTRACTS[2]))
        right(settled)

    def test_times(self, settled: Views) -> None:
        """Tags and marks carry the database's time of the change."""
        before = settled.now()
        settled.told.times.clear()
        move(settled, CONTRACTS[1])
        after = settled.now()
        settled.follow()
        assert [before < at <= after for at in settled.told.times] == [True]
        marks = settled.desk.marks.pending("mv_contract_balances", 10)
        assert {mark.group: mark.changed for mark in marks} == {CONTRACTS[0]: True, CONTRACTS[1]: True}
        assert all(before < mark.at <= after for mark in marks)

    def test_odd_documents(self, settled: Views) -> None:
        """Keys and ids of any type stop nothing."""
        far = {"$add": ["$createdAt", 10**15]}
        settled.db["payments"].insert_many(
            [
                {"_id": "text", "contractId": {"$odd": 1}, "createdAt": [1], "status": {"a": 1}},
                {"_id": {"of": "parts"}, "contractId": [CONTRACTS[1], "x", None], "createdAt": "yesterday"},
                {"_id": 7, "contractId": "y" * 2_000, "createdAt": datetime.now(UTC), "client": [[]]},
            ]
        )
        settled.db["payments"].update_one({"_id": 7}, [{"$set": {"createdAt": far}}])
        settled.db["contracts"].insert_one({"_id": "no id", "paymentsIds": [None, {"a": 1}, 7, "text", PAYMENT]})
        settled.db["notes"].insert_one({"onModel": 3, "onId": True})
        settled.settle()
        right(settled)
        assert settled.told.alerts == []

    def test_unreadable(self, settled: Views, monkeypatch: pytest.MonkeyPatch) -> None:
        """A change that breaks what reads it is told to operators, and those around it are followed."""
        fine = changes.fields_after

        def fails(change: Any, before: Any) -> Any:
            if change.key.one == "bad":
                raise TypeError(change.key)
            return fine(change, before)

        monkeypatch.setattr(following, "fields_after", fails)
        settled.db["payments"].insert_one({"_id": "bad"})
        move(settled, CONTRACTS[2])
        settled.settle()
        assert balances(settled) == ["-", "-", "10"]
        assert settled.told.alerts == [("change_unreadable", "payments")]

    def test_cache_away(self, settled: Views) -> None:
        """While tags cannot be sent marks go on and the token stays behind; whoever comes then has all forgotten."""
        away = [True]

        def invalidate(tags: Any, at: Timestamp) -> None:
            if away[0]:
                raise ConnectionError
            settled.told.invalidate(tags, at)

        settled.watcher.stop()
        settled.watcher = settled.another_watcher(invalidate=invalidate)
        settled.follow()
        token = settled.desk.state.position().token
        settled.told.tags.clear()
        move(settled, CONTRACTS[1])
        settled.settle()
        assert balances(settled) == ["-", "10", "-"]
        assert settled.desk.state.position().token == token
        settled.watcher.stop()
        settled.watcher = settled.another_watcher(invalidate=invalidate)
        away[0], forgotten = False, settled.told.forgotten
        settled.follow()
        assert f"contract:{CONTRACTS[1]}" in settled.told.tags
        assert settled.told.forgotten == forgotten + 1
        assert settled.desk.state.position().token != token

    def test_batches(self, settled: Views, monkeypatch: pytest.MonkeyPatch) -> None:
        """Many changes are followed in batches, and each view is asked to be refreshed once for many."""
        monkeypatch.setattr(change_stream, "BATCH", 100)
        settled.told.refreshes.clear()
        settled.db["payments"].insert_many([paid(CONTRACTS[1]) | {"_id": ObjectId()} for _ in range(450)])
        began = datetime.now(UTC)
        settled.follow()
        took = datetime.now(UTC) - began
        assert settled.told.refreshes.count("mv_contract_balances") <= 2 + took / timedelta(seconds=0.2)
        settled.refresh()
        assert balances(settled) == ["10", "4500", "-"]

    def test_within_transaction(
        self, settled: Views, monkeypatch: pytest.MonkeyPatch, streaming: MongoClient[Json]
    ) -> None:
        """Who takes over in the midst of a transaction does not say that it is followed, until it is."""
        monkeypatch.setattr(change_stream, "BATCH", 1)
        rows = streaming[settled.db.name]["payments"]
        with streaming.start_session() as session, session.start_transaction():
            for contract in CONTRACTS[1:]:
                rows.update_one({"_id": PAYMENT}, {"$set": {"contractId": contract}}, session=session)
        seen = len(settled.told.times)
        while len(settled.told.times) == seen:
            settled.watcher.step(20)
        settled.watcher.stop()
        settled.watcher, of_it, reached = settled.another_watcher(), settled.told.times[-1], []
        for _ in range(3):
            settled.watcher.step(20)
            reached.append(settled.desk.state.position().at)
        assert [at >= of_it for at in reached if at] == [False, False, True]

    def test_position(self, settled: Views) -> None:
        """How far the watcher is only grows, also while nothing happens, and tokens say their time."""
        seen = []
        for _ in range(3):
            settled.watcher.step(1)
            position = settled.desk.state.position()
            seen.append(position.at)
            assert position.at is not None
            token_time = time_of(position.token)
            assert token_time is not None
            assert token_time <= position.at
        assert all(one <= other for one, other in pairwise(seen) if one and other)
        assert time_of({"_data": "no token"}) is time_of(None) is None


class TestGenerations:
    """When the map cannot be gone on with."""

    def test_dropped(self, settled: Views) -> None:
        """A dropped collection has everything built anew, and is told."""
        settled.db["payments"].drop()
        settled.settle()
        assert balances(settled) == ["-", "-", "-"]
        assert settled.told.alerts == [("views_collection_changed", "payments")]
        assert settled.desk.state.position().generation == 2
        right(settled)

    def test_renamed(self, settled: Views) -> None:
        """So has one that another took the place of."""
        settled.db["imported"].insert_one(paid(CONTRACTS[2]) | {"amount": "3"})
        settled.db["imported"].rename("payments", dropTarget=True)
        settled.settle()
        assert balances(settled) == ["-", "-", "3"]

    def test_views_wait(self, settled: Views) -> None:
        """Between two generations no view is read."""
        settled.db["mv_meta"].update_one({"_id": "watcher"}, {"$inc": {"generation": 1}})
        assert settled.by_view("payments_summary", SpanParameters(), datetime.now(UTC)) is None
        settled.refresh()
        right(settled)
