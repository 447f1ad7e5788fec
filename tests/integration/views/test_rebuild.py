import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from aggregations import view_desk, view_refresh, view_turn
from aggregations.parameters import ContractParameters, SpanParameters
from aggregations.view_desk import ViewDesk
from aggregations.view_groups import GroupReader
from aggregations.views import VIEWS, View
from tests.support.views import Views, utc_now

Json = dict[str, Any]

#: Some contracts; each has a payment on a day of its own.
CONTRACTS = [ObjectId(f"a{number:023x}") for number in range(5)]

NOW = datetime.now(UTC)


@pytest.fixture
def settled(views: Views) -> Views:
    """Five contracts with a payment each, in the views."""
    views.db["contracts"].insert_many([{"_id": one} for one in CONTRACTS])
    payment = {"amount": "10", "currency": "SAR", "status": "pending"}
    views.db["payments"].insert_many(
        [
            {**payment, "contractId": one, "createdAt": NOW - timedelta(days=20 * days)}
            for days, one in enumerate(CONTRACTS)
        ]
    )
    views.settle()
    return views


def agree(views: Views, unanswered: ObjectId | None = None) -> None:
    """Check the views against their pipelines, and that of one contract no answer is given."""
    asked: list[tuple[str, Any]] = [("payments_summary", SpanParameters())]
    asked += [("contract_balance", ContractParameters(contract_id=str(one))) for one in CONTRACTS]
    now = datetime.now(UTC)
    for name, parameters in asked:
        given = views.by_view(name, parameters, now)
        if isinstance(parameters, ContractParameters) and parameters.contract_id == str(unanswered):
            assert given is None
        else:
            assert given == views.by_pipeline(name, parameters, now)


class TestDrift:
    """What is not as it should be although nothing says so."""

    def test_damage(self, settled: Views) -> None:
        """A changed group, a missing one, one of nothing and a crooked month are found, told, and mended."""
        balances, months = settled.db["mv_contract_balances"], settled.db["mv_payments_monthly"]
        balances.update_one({"_id": CONTRACTS[0]}, {"$set": {"rows.0.payments": 99}})
        balances.delete_one({"_id": CONTRACTS[1]})
        balances.insert_many([{"_id": ObjectId(), "rows": [{"_id": 1}]}, {"_id": "gossip", "rows": [{"_id": 1}]}])
        settled.db["mv_receivables"].insert_one({"_id": 5, "rows": [{"_id": 1}]})
        months.update_one({"_id": f"month:{NOW:%Y-%m}"}, {"$set": {"rows.0.payments": 99}})
        months.insert_one({"_id": "month:1999-01", "rows": []})
        settled.follow()
        found = settled.rebuild()
        assert found == dict.fromkeys(VIEWS, 0) | {
            "mv_contract_balances": 4, "mv_payments_monthly": 1, "mv_receivables": 1,
        }  # fmt: skip
        assert set(settled.told.alerts) == {("view_drift", name) for name, count in found.items() if count}
        assert balances.count_documents({}) == len(CONTRACTS)
        assert months.find_one({"_id": "month:1999-01"}) is None
        agree(settled)
        assert set(settled.rebuild().values()) == {0}
        assert settled.told.alerts == []

    def test_pending_is_no_drift(self, settled: Views) -> None:
        """A change that is marked, or not even followed yet when the rebuild reads it, has not drifted."""
        settled.db["payments"].update_one({"contractId": CONTRACTS[0]}, {"$set": {"amount": "11"}})
        settled.follow()
        assert set(settled.rebuild().values()) == {0}
        agree(settled)

    def test_nobody_watches(self, settled: Views) -> None:
        """What differs while the watcher stands still is mended, and said to be unjudged."""
        settled.db["payments"].update_one({"contractId": CONTRACTS[0]}, {"$set": {"amount": "11"}})
        view = VIEWS["mv_contract_balances"]
        settled.desk.begin_rebuild(view)
        settled.desk.go_on(view, 10.0)
        row = settled.desk.state.row(view.name)["last_rebuild"]
        assert (row["count"], row["unjudged"]) == (0, 1)
        assert settled.told.alerts == []
        settled.settle()
        agree(settled)


class TestSlices:
    """Long work is done in slices, by whoever comes."""

    def test_resumed(self, settled: Views, monkeypatch: pytest.MonkeyPatch) -> None:
        """A rebuild that has no time goes on where it was, from other processes too, and ends."""
        monkeypatch.setattr(view_desk, "MARKED", 2)
        monkeypatch.setattr(view_refresh, "CHUNK", 2)
        view, slices = VIEWS["mv_contract_balances"], 0
        settled.db[view.name].update_one({"_id": CONTRACTS[3]}, {"$set": {"rows": []}})
        settled.follow()
        settled.desk.begin_rebuild(view)
        while settled.desk.state.row(view.name).get("rebuild"):
            another = ViewDesk(
                settled.db, holder="another", clock=utc_now, alert=settled.told.alert, resolve=settled.told.resolve
            )
            report = another.go_on(view, 0.0)
            assert not report.taken
            slices += 1
            assert slices < 30
        assert slices > 6
        last = settled.desk.state.row(view.name)["last_rebuild"]
        assert last["groups"] == len(CONTRACTS)
        agree(settled)

    def test_changes_first(self, settled: Views, monkeypatch: pytest.MonkeyPatch) -> None:
        """A change does not wait for the end of a rebuild."""
        view = VIEWS["mv_contract_balances"]
        settled.desk.marks.suspect(view.name, CONTRACTS, settled.now())
        settled.db["payments"].update_one({"contractId": CONTRACTS[4]}, {"$set": {"amount": "11"}})
        settled.follow()
        assert settled.desk.marks.pending(view.name, 1)[0].group == CONTRACTS[4]
        monkeypatch.setattr(view_refresh, "CHUNK", 1)
        assert settled.desk.marks.count(view.name) == len(CONTRACTS)

    def test_taken(self, settled: Views) -> None:
        """While one refreshes a view another leaves it alone."""
        view = VIEWS["mv_receivables"]
        assert settled.desk.state.take(view.name, 10.0) is not None
        assert settled.desk.go_on(view, 1.0).taken

    def test_kept(self, settled: Views, monkeypatch: pytest.MonkeyPatch) -> None:
        """However long a group takes to read, nobody takes the view over meanwhile; the lease is given back then."""
        view, read, tried = VIEWS["mv_contract_balances"], GroupReader.read, []
        monkeypatch.setattr(view_turn, "LEASE_SECONDS", 1.2)
        settled.db["payments"].update_many({}, {"$set": {"amount": "11"}})
        settled.follow()

        def slowly(*arguments: Any) -> Any:
            for _ in range(5):
                time.sleep(0.4)
                tried.append(settled.desk.state.take(view.name, 10.0))
            return read(*arguments)

        monkeypatch.setattr(GroupReader, "read", slowly)
        report = settled.desk.go_on(view, 10.0)
        assert (report.taken, report.groups, tried) == (False, len(CONTRACTS), [None] * 5)
        assert settled.desk.state.take(view.name, 10.0) is not None

    def test_nobody_watched(self, views: Views) -> None:
        """Before there is a watcher nothing is to do, and nobody has taken it."""
        assert not views.desk.go_on(VIEWS["mv_receivables"], 1.0).taken

    def test_bad_group(self, settled: Views) -> None:
        """A group that the database cannot read keeps its mark and holds up no other."""
        good = VIEWS["mv_contract_balances"]

        def pipeline(group: Any) -> list[Json]:
            broken = {"$set": {"broken": {"$divide": [1, 0]}}}
            return [*good.pipeline(group), *([broken] if group == CONTRACTS[2] else [])]

        view: View = replace(good, pipeline=pipeline)
        settled.db["payments"].update_many({}, {"$set": {"amount": "11"}})
        settled.follow()
        report = settled.desk.go_on(view, 10.0)
        assert report.groups == len(CONTRACTS) - 1
        assert settled.desk.marks.count(view.name) == 1
        assert settled.told.alerts == [("view_group_unreadable", view.name)]
        assert settled.told.subjects == [str(CONTRACTS[2])]
        agree(settled, unanswered=CONTRACTS[2])
        settled.refresh()
        assert settled.told.alerts == []
        agree(settled)

    def test_refused_group(self, settled: Views) -> None:
        """Nor does one that the database cannot store, not even when a view is built; its old rows answer nobody."""
        view = VIEWS["mv_contract_balances"]
        settled.db["payments"].update_many({}, {"$set": {"amount": "11"}})
        settled.db.command("collMod", view.name, validator={"_id": {"$ne": CONTRACTS[2]}})
        settled.follow()
        settled.db["mv_meta"].update_one({"_id": view.name}, {"$set": {"built": 0}})
        settled.db["mv_dirty"].delete_many({})
        assert settled.desk.go_on(view, 10.0).groups == len(CONTRACTS) - 1
        assert settled.desk.state.row(view.name)["built"] == settled.desk.state.generation()
        assert settled.told.alerts == [("view_group_unreadable", view.name)]
        assert settled.told.subjects == [str(CONTRACTS[2])]
        assert settled.by_view("contract_balance", ContractParameters(contract_id=str(CONTRACTS[2])), NOW) is None
        settled.db.command("collMod", view.name, validator={})
        settled.desk.go_on(view, 10.0)
        assert settled.told.alerts == []
        assert settled.by_view("contract_balance", ContractParameters(contract_id=str(CONTRACTS[2])), NOW) is not None

    def test_overdue(self, settled: Views) -> None:
        """Views are rebuilt again once their last rebuild is old enough."""
        assert settled.desk.overdue(timedelta(hours=1)) == []
        assert settled.desk.overdue(timedelta(0)) == sorted(VIEWS)
