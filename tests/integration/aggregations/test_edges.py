import json
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from bson import Decimal128, ObjectId
from pymongo.database import Database

from aggregations.catalogue import CATALOGUE
from aggregations.errors import NotFound
from aggregations.expressions import money
from aggregations.runner import AggregationRunner
from tests.support.cms import mongoose
from tests.support.random_cms import MEMBERS, NOW, SECRET, SIZES, event, identity, members

Json = dict[str, Any]


@pytest.fixture
def runner(database: Database[Json]) -> AggregationRunner:
    """The runner, its clock standing still."""
    return AggregationRunner(database, clock=lambda: NOW)


def ask(runner: AggregationRunner, name: str, **asked: Any) -> Any:
    """Give an answer's data."""
    return runner.run(name, CATALOGUE[name].parameters.model_validate(asked))["data"]


class TestMoney:
    """Amounts leave as plain decimal text, exact."""

    @pytest.mark.parametrize(
        ("amount", "text"),
        [
            (Decimal128("115"), "115.00"), (Decimal128("0E-15"), "0.00"), (Decimal128("-0"), "0.00"), (0, "0.00"),
            (Decimal128("0.300000000000000"), "0.30"), (Decimal128("-12.1250"), "-12.125"),
            (Decimal128("1E+3"), "1000.00"), (Decimal128("123456789012345678901234567890.125"),
             "123456789012345678901234567890.125"),
        ],
    )  # fmt: skip
    def test_text(self, amount: object, text: str) -> None:
        """Two places at least, more where they count, and never an exponent."""
        assert money(amount) == text

    def test_booked(self, runner: AggregationRunner, database: Database[Json]) -> None:
        """A contract counts what the gateway has booked, to the cent, whatever the status says of the whole."""
        contract = mongoose(title="Villa")
        terms = {"amount": "100.00", "currency": "sar", "contractId": contract["_id"]}
        booked: Json = {"captured": "100.00", "refunded": "0", "released": "0"}
        database["contracts"].insert_one(contract)
        database["payments"].insert_many(
            [
                mongoose(**terms, status="paid", gateway=booked | {"refunded": "33.33"}),
                mongoose(**terms, status="paid", gateway=booked | {"captured": "40.00"}),
                mongoose(**terms, status="paid", gateway=booked | {"captured": "40.00", "released": "60.00"}),
                # Under review the CMS reads "pending"; the money was taken all the same, here twice.
                mongoose(**terms, status="pending", gateway=booked | {"captured": "200.00"}),
                mongoose(**terms, status="failed", gateway=booked),
                mongoose(**terms),
            ]
        )
        assert ask(runner, "contract_balance", contract_id=str(contract["_id"])) == {
            "balances": [
                {
                    "currency": "SAR", "payments": 5, "due": "440.00", "paid": "380.00", "refunded": "33.33",
                    "outstanding": "160.00",
                }
            ],
            "unreadable": 0,
        }  # fmt: skip

    def test_nothing_yet(self, runner: AggregationRunner, database: Database[Json]) -> None:
        """A contract without payments has a balance, and it is empty."""
        contract = mongoose(paymentsIds=None)
        database["contracts"].insert_one(contract)
        assert ask(runner, "contract_balance", contract_id=str(contract["_id"])) == {"balances": [], "unreadable": 0}


class TestSpan:
    """The gateway is judged by what was recorded from the beginning of a span up to, and without, its end."""

    def test_edges(self, runner: AggregationRunner, database: Database[Json]) -> None:
        """The first instant counts and the last does not; the time to pay is in whole seconds."""
        since = NOW - timedelta(days=30)
        told = [("T1", since, None), ("T1", since + timedelta(seconds=61.9), "A"), ("T2", NOW, "A")]
        told += [("T3", since - timedelta(milliseconds=1), "A"), ("T4", NOW - timedelta(milliseconds=1), "D")]
        database["payment_events"].insert_many([self.event(*one) for one in told])
        answer = ask(runner, "gateway_performance")
        assert {name: count for name, count in answer["outcomes"].items() if count} == {"succeeded": 1, "declined": 1}
        assert answer["success_rate"] == "0.5000"
        assert answer["declines"] == [{"outcome": "declined", "code": "481", "charges": 1}]
        assert answer["time_to_pay"] == {"charges": 1, "median_seconds": 61, "p95_seconds": 61}
        assert (answer["since"], answer["until"]) == ("2026-06-01T09:00:00.000Z", "2026-07-01T09:00:00.000Z")

    def event(self, tran_ref: str, at: datetime, status: str | None) -> Json:
        """Make a page's opening, or what was said of a sale."""
        said = {"status": status, "tran_type": "sale"} | ({"code": "481"} if status == "D" else {})
        kind = "TransactionObserved" if status else "PageOpened"
        return {"type": kind, "recorded_at": at, "data": {"tran_ref": tran_ref} | (said if status else {})}


class TestBounds:
    """No list is without an end, and what is left out is said."""

    def test_pages(self, runner: AggregationRunner, database: Database[Json]) -> None:
        """A client's payments come newest first, a page at a time, until there are no more."""
        client = mongoose(fullName="Huda")
        payments = [mongoose(client=client["_id"], amount="1.00", currency="SAR") for _ in range(5)]
        database["users"].insert_one(client)
        database["payments"].insert_many(payments)
        pages = [ask(runner, "client_payments", client_id=str(client["_id"]), limit=2, skip=skip) for skip in (0, 2, 4)]
        assert [page["more"] for page in pages] == [True, True, False]
        listed = [one["_id"] for page in pages for one in page["payments"]]
        assert listed == [str(one["_id"]) for one in reversed(payments)]


class TestSecrets:
    """No answer has a password, however deep the CMS has put one."""

    def test_none(self, runner: AggregationRunner, database: Database[Json]) -> None:
        """All fourteen over documents that all carry secrets: everything is answered, and no secret with it."""
        chance = Random(5)  # noqa: S311 - an example, not a secret
        for name in SIZES:
            drawn = [members(chance, MEMBERS[name]) for _ in range(6)]
            database[name].insert_many([self.planted(name, place, one) for place, one in enumerate(drawn)])
        database["payment_events"].insert_many([event(chance, place) for place in range(6)])
        answered = {name: len(self.told(runner, name)) for name in CATALOGUE}
        assert len(answered) == 14
        assert min(answered.values()) > 80

    def planted(self, name: str, place: int, drawn: Json) -> Json:
        """Give a document that refers to all the first ones, with passwords at the top and further down."""
        paying = name == "payments"
        own = {
            "contractId": identity("contracts", 0), "client": identity("users", 0), "_for": identity("users", 0),
            "employee": identity("users", 0), "onId": identity("projects", 0), "project": identity("projects", 0),
            "orgz": identity("orgzs", 0), "onModel": "Project", "status": "pending" if paying else "granted",
            "designs": [identity("designs", 0)], "steps": [identity("projectsteps", 0)], "fullName": "Huda",
            "workers": [identity("projectworkers", 0)], "amount": "1.00" if paying else 1, "currency": "SAR",
            "type": "profit",
        }  # fmt: skip
        secrets = {"password": SECRET, "deeper": [{"userPassword": SECRET}], "gateway": {"password": SECRET}}
        secrets |= {"address": {"password": SECRET, "street": "King Fahd Road"}}
        return {**drawn, **own, **secrets, "_id": identity(name, place)}

    def told(self, runner: AggregationRunner, name: str) -> str:
        """Give an answer as text, and see that it keeps the secrets."""
        subjects = {
            "contract_id": "contracts", "project_id": "projects", "user_id": "users", "client_id": "users",
            "org_id": "orgzs", "earning_ids": "projectearnings",
        }  # fmt: skip
        asked: Json = {}
        for field in CATALOGUE[name].parameters.model_fields.keys() & subjects.keys():
            found = str(identity(subjects[field], 0))
            asked[field] = [found] if field == "earning_ids" else found
        text = json.dumps(ask(runner, name, **asked))
        assert SECRET not in text, name
        assert "password" not in text.lower(), name
        return text


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_unknown_subject(runner: AggregationRunner, name: str) -> None:
    """On an empty database what is about somebody says whom it misses; the others answer that there is nothing."""
    fields = CATALOGUE[name].parameters.model_fields
    about = [field for field in fields if field.endswith(("_id", "_ids"))]
    asked: Json = {field: [str(ObjectId())] if field.endswith("s") else str(ObjectId()) for field in about}
    if about:
        with pytest.raises(NotFound, match=rf"^{about[0]}: expected "):
            ask(runner, name, **asked)
    else:
        assert isinstance(ask(runner, name), dict)
