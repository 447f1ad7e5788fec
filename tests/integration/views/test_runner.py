import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId, Timestamp
from pymongo.database import Database

from aggregations.catalogue import find
from aggregations.errors import NotFound
from aggregations.parameters import SpanParameters
from aggregations.runner import AggregationRunner
from aggregations.views import ANSWERING
from tests.support.views import Views
from workers.stack import EmbeddedMongo

Json = dict[str, Any]


@pytest.fixture
def contract(database: Database[Json]) -> ObjectId:
    """A contract with a paid payment and one that waits."""
    contract_id = ObjectId()
    database["contracts"].insert_one({"_id": contract_id})
    for status, amount in (("paid", "115.00"), ("pending", "20.50")):
        database["payments"].insert_one(
            {"contractId": contract_id, "status": status, "amount": amount, "currency": "sar",
             "createdAt": datetime.now(UTC) - timedelta(days=3)}
        )  # fmt: skip
    return contract_id


@pytest.fixture
def runner(database: Database[Json], views: Views) -> AggregationRunner:
    """Answers from views where it may, and remembers nothing."""
    return AggregationRunner(database, clock=lambda: datetime.now(UTC), views=views.reads)


@pytest.mark.usefixtures("contract")
class TestFromView:
    """Answers come from a view that is fresh enough, and otherwise from the sources, and are the same."""

    def ask(self, runner: AggregationRunner, name: str, max_age_seconds: float | None = None, **params: Any) -> Json:
        """Ask for an aggregation."""
        return runner.run(name, find(name).parameters.model_validate(params), max_age_seconds)

    @pytest.mark.parametrize("name", ["payments_summary", "receivables_ageing"])
    def test_same(self, runner: AggregationRunner, views: Views, name: str) -> None:
        """Not built, the sources answer; built, the view says the same; a change shows before its refresh."""
        before = self.ask(runner, name)
        assert before["source"] == "primary"
        views.settle()
        given = self.ask(runner, name)
        assert (given["source"], given["data"]) == ("view", before["data"])
        views.db["payments"].update_one({"status": "pending"}, {"$set": {"amount": "21.50"}})
        views.follow()
        changed = self.ask(runner, name)
        assert changed["source"] == "view"
        assert changed["data"] != given["data"]
        assert changed["data"] == self.ask(runner, name, 0)["data"]

    def test_silent_primary(self, views: Views, mongo: EmbeddedMongo) -> None:
        """A primary that answers nobody is asked for a second only, whatever the budget of the read."""
        views.settle()
        row, now = find("payments_summary"), datetime.now(UTC)
        assert views.reads.from_view(row, SpanParameters(), now) is not None
        mongo.freeze(0)
        try:
            began = time.monotonic()
            assert views.reads.from_view(row, SpanParameters(), now) is None
            took = time.monotonic() - began
        finally:
            mongo.thaw(0)
        assert took < row.budget_ms / 1000 / 2

    @pytest.mark.parametrize("skew_seconds", [-60, 60])
    def test_wrong_clock(self, views: Views, skew_seconds: int) -> None:
        """How old a view is is told by the database's clock: neither a fast reader nor a slow one is misled."""
        views.settle()
        reader = datetime.now(UTC) + timedelta(seconds=skew_seconds)
        assert views.by_view("payments_summary", SpanParameters(), reader) is not None
        at = views.desk.state.position().at
        assert at is not None
        older = Timestamp(at.time - 30, 1)
        views.db["mv_meta"].update_one({"_id": "watcher"}, {"$set": {"at": older}})
        assert views.by_view("payments_summary", SpanParameters(), reader) is None

    @pytest.mark.parametrize(
        "update",
        [
            {"$set": {"rows": 5}},
            {"$unset": {"rows": 1}},
            {"$set": {"rows.$[].amount": "gossip"}},
            {"$set": {"rows": [{}]}},
        ],
    )
    @pytest.mark.parametrize("name", ["payments_summary", "receivables_ageing"])
    def test_damaged(self, runner: AggregationRunner, views: Views, name: str, update: Json) -> None:
        """A view that somebody has damaged fails no caller: the sources answer."""
        views.settle()
        given = self.ask(runner, name)
        views.db[ANSWERING[name].name].update_many({}, update)
        assert self.ask(runner, name) | {"as_of": ""} == given | {"as_of": "", "source": "primary"}

    def test_age(self, runner: AggregationRunner, views: Views) -> None:
        """A caller who wants nothing that is older than now is answered by the sources."""
        views.settle()
        assert self.ask(runner, "payments_summary", 0)["source"] == "primary"

    def test_money(self, runner: AggregationRunner, views: Views, contract: ObjectId) -> None:
        """What decides about money is read where it is written."""
        views.settle()
        assert self.ask(runner, "contract_balance", contract_id=str(contract))["source"] == "primary"

    def test_young(self, runner: AggregationRunner, views: Views) -> None:
        """What was written after the view's last look exists all the same; what nobody has written does not."""
        views.settle()
        org = views.db["orgzs"].insert_one({"title": "Towers"}).inserted_id
        given = self.ask(runner, "org_earnings", org_id=str(org))
        assert given["source"] == "primary"
        views.settle()
        assert self.ask(runner, "org_earnings", org_id=str(org)) | {"as_of": ""} == given | {
            "source": "view",
            "as_of": "",
        }
        with pytest.raises(NotFound, match=r"^org_id: "):
            self.ask(runner, "org_earnings", org_id=str(ObjectId()))
