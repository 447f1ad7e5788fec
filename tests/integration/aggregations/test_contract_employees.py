import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from bson import Decimal128, ObjectId
from celery import Celery
from pymongo.database import Database

from aggregations.catalogue import ContractParameters, find
from aggregations.errors import NotFound, UnknownAggregation
from aggregations.runner import AggregationRunner, to_json
from config.settings import Settings
from tasks import aggregations
from tasks.arguments import RunAggregation
from tasks.base import check
from tasks.errors import InvalidArguments
from tasks.wiring import build_world, use_world
from tests.support.cms import PASSWORD_HASH, SeededPayment, mongoose, seed_payment
from tests.support.system import serving

Json = dict[str, Any]

#: The runner's clock stands here: noon in Riyadh, so that a wrong zone shows.
NOW = datetime(2026, 7, 1, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=3)))

#: A well-formed id that no document has.
NOBODY = "0" * 24


@pytest.fixture
def runner(database: Database[Json]) -> AggregationRunner:
    """The runner on this test's database, its clock standing still."""
    return AggregationRunner(database, clock=lambda: NOW)


@pytest.fixture
def seeded(database: Database[Json]) -> SeededPayment:
    """A contract with its client and its employee."""
    return seed_payment(database)


def ask(runner: AggregationRunner, contract_id: str) -> Json:
    """Run the aggregation for a contract."""
    return runner.run("contract_employees", ContractParameters(contract_id=contract_id))


class TestAnswer:
    """The contract's employees, as plain JSON, with the time that they stand for."""

    def test_exact(self, runner: AggregationRunner, database: Database[Json], seeded: SeededPayment) -> None:
        """Every public member of the one employee and nothing else, the CMS's other users included."""
        stored = database["users"].find_one({"_id": seeded.employee})
        assert stored is not None
        created = stored["createdAt"].isoformat(timespec="milliseconds").replace("+00:00", "Z")
        employee = {
            "_id": str(seeded.employee),
            "fullName": "Omar Engineer",
            "username": stored["username"],
            "email": "omar@example.com",
            "phone": stored["phone"],
            "Age": 34,
            "address": {
                "title": "Home",
                "street": "12 King Fahd Road",
                "city": "Riyadh",
                "state": "Riyadh",
                "country": "SA",
            },
            "isEmployee": True,
            "isAdmin": False,
            "employeeType": "Engineer",
            "createdAt": created,
            "updatedAt": created,
        }
        assert ask(runner, seeded.contract_id) == {
            "data": [employee],
            "as_of": "2026-07-01T09:00:00.123Z",
            "source": "primary",
        }

    def test_nothing_secret(self, runner: AggregationRunner, database: Database[Json], seeded: SeededPayment) -> None:
        """Neither the password nor a member that the CMS may come to have leaves the database."""
        database["users"].update_one({"_id": seeded.employee}, {"$set": {"resetToken": "r3set", "salary": 9000}})
        told = json.dumps(ask(runner, seeded.contract_id))
        assert "Omar Engineer" in told
        assert all(secret not in told for secret in ("password", PASSWORD_HASH, "$2b$", "resetToken", "salary"))

    @pytest.mark.parametrize("loss", ["no employee", "null employee", "deleted employee"])
    def test_no_employee(
        self, runner: AggregationRunner, database: Database[Json], seeded: SeededPayment, loss: str
    ) -> None:
        """A contract that names nobody, or somebody who is gone, has no employees; that is no error."""
        contract = {"_id": seeded.contract}
        if loss == "no employee":
            database["contracts"].update_one(contract, {"$unset": {"employee": ""}})
        elif loss == "null employee":
            database["contracts"].update_one(contract, {"$set": {"employee": None}})
        else:
            database["users"].delete_one({"_id": seeded.employee})
        assert ask(runner, seeded.contract_id)["data"] == []

    def test_unknown_contract(self, runner: AggregationRunner, seeded: SeededPayment) -> None:
        """A contract that does not exist is named by its parameter, also when another document has the id."""
        for contract_id in (NOBODY, seeded.payment_id):
            with pytest.raises(NotFound, match=r"^contract_id: expected ") as failed:
                ask(runner, contract_id)
            assert failed.value.field == "contract_id"


class TestOnTheServer:
    """Whoever looks at the database's operations can tell a heavy read, and none runs without an end."""

    @pytest.fixture
    def profiled(
        self, runner: AggregationRunner, database: Database[Json], settings: Settings, seeded: SeededPayment
    ) -> Json:
        """The command as the server's profiler has seen it."""
        assert settings.mongo_timeout_ms > find("contract_employees").budget_ms
        database.command("profile", 2)
        try:
            ask(runner, seeded.contract_id)
        finally:
            database.command("profile", 0)
        (seen,) = database["system.profile"].find({"op": "command", "command.aggregate": "contracts"})
        return dict(seen["command"])

    def test_comment(self, profiled: Json, settings: Settings) -> None:
        """The server was given the aggregation's name, and an end at the latest when the task stops waiting."""
        assert profiled["comment"] == "aggregations.contract_employees"
        assert 0 < profiled["maxTimeMS"] <= settings.mongo_timeout_ms

    def test_budget(self, profiled: Json) -> None:
        """The server was given the aggregation's own time budget, not the client's longer one."""
        assert 0 < profiled["maxTimeMS"] <= find("contract_employees").budget_ms


class TestPlainJson:
    """What MongoDB holds becomes what every JSON reader understands, exactly."""

    def test_values(self) -> None:
        """Ids and exact decimals are text, times are UTC, and lists and documents are looked through."""
        identity, moment = ObjectId(), datetime(2026, 7, 1, 12, 30, tzinfo=timezone(timedelta(hours=3)))
        found = {
            "amount": Decimal128("115.10"),
            "share": Decimal("0.100"),
            "lists": [[identity, [Decimal128("1.500"), None]], {"at": [moment]}],
            "utc": datetime(2026, 7, 1, 12, 0, 0, 5000, tzinfo=UTC),
            7: True,
        }
        plain = to_json(found)
        assert plain == {
            "amount": "115.10",
            "share": "0.100",
            "lists": [[str(identity), ["1.500", None]], {"at": ["2026-07-01T09:30:00.000Z"]}],
            "utc": "2026-07-01T12:00:00.005Z",
            "7": True,
        }
        assert json.loads(json.dumps(plain)) == plain

    def test_through_the_database(
        self, runner: AggregationRunner, database: Database[Json], seeded: SeededPayment
    ) -> None:
        """The same holds for what comes back from MongoDB inside an employee's address."""
        home = ObjectId()
        street = {"rooms": [home, [Decimal128("12.50")]], "since": datetime(2024, 3, 1, tzinfo=UTC)}
        address = {"street": street, "doorCode": "s3cret"}
        database["users"].update_one({"_id": seeded.employee}, {"$set": {"address": address}})
        (employee,) = ask(runner, seeded.contract_id)["data"]
        told = {"rooms": [str(home), ["12.50"]], "since": "2024-03-01T00:00:00.000Z"}
        assert employee["address"] == {"street": told}


@pytest.fixture
def tasks_served(settings: Settings) -> Iterator[Celery]:
    """The tasks as a worker's child has them, on a world of this test's database."""
    with serving(settings) as app:
        use_world(build_world(settings))
        yield app
        use_world(None)


@pytest.mark.usefixtures("tasks_served")
class TestTasks:
    """By its name among all, or as a task of its own: the same answer and the same complaints."""

    def test_same_answer(self, database: Database[Json], seeded: SeededPayment) -> None:
        """Both ways give the same employees."""
        second = mongoose(title="Villa 13", employee=seeded.employee)
        database["contracts"].insert_one(second)
        by_name = aggregations.run(name="contract_employees", params={"contract_id": seeded.contract_id})
        by_task = aggregations.NAMED["contract_employees"](contract_id=str(second["_id"]))
        assert by_name["data"] == by_task["data"]
        assert [one["fullName"] for one in by_name["data"]] == ["Omar Engineer"]

    @pytest.mark.parametrize(
        ("params", "field", "secret"),
        [
            ({}, "params.contract_id", None),
            ({"contract_id": "no-such-secret"}, "params.contract_id", "no-such-secret"),
            ({"contract_id": 4111.25}, "params.contract_id", "4111.25"),
            ({"contract_id": None}, "params.contract_id", None),
            ({"contract_id": NOBODY, "$where": "s3cret"}, r"params.\$where", "s3cret"),
        ],
    )
    def test_wrong_parameters(self, params: Json, field: str, secret: str | None) -> None:
        """A wrong parameter is named with its place, and its value is not repeated."""
        with pytest.raises(InvalidArguments, match=rf"^{field}: ") as failed:
            aggregations.run(name="contract_employees", params=params)
        assert secret is None or secret not in str(failed.value)

    @pytest.mark.parametrize("name", ["Contract Employees", "", "contract_employees;drop", 7, None])
    def test_malformed_name(self, name: object) -> None:
        """What cannot be a name is refused before anything is looked up."""
        with pytest.raises(InvalidArguments, match=r"^name: (expected|should match) "):
            check(RunAggregation, (), {"name": name})
        with pytest.raises(InvalidArguments, match=r"^name: (expected|should match) "):
            aggregations.run(name=name)

    def test_unknown_name(self) -> None:
        """A name that no aggregation has is answered with those there are."""
        with pytest.raises(UnknownAggregation, match=r"^name: expected one of .*contract_employees") as failed:
            aggregations.run(name="everything", params={})
        assert "contract_employees" in failed.value.known

    def test_arguments(self) -> None:
        """Positional arguments have the documented order, and the contract's id has its shape."""
        asked = check(RunAggregation, ("contract_employees", {"contract_id": NOBODY}), {})
        assert (asked.name, asked.params) == ("contract_employees", {"contract_id": NOBODY})
        with pytest.raises(InvalidArguments, match=r"^contract_id: should match "):
            aggregations.NAMED["contract_employees"]("x")

    @pytest.mark.usefixtures("seeded")
    def test_unknown_contract(self) -> None:
        """The task's error names the parameter."""
        with pytest.raises(NotFound, match=r"^contract_id: "):
            aggregations.NAMED["contract_employees"](contract_id=NOBODY)
