from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database
from pymongo.errors import OperationFailure

from aggregations.catalogue import CATALOGUE
from aggregations.errors import NotFound
from aggregations.runner import AggregationRunner
from tests.support.cms import PASSWORD_HASH, mongoose, user
from tests.support.random_cms import NOW
from tests.support.todays_pipelines import TODAY

Json = dict[str, Any]

#: One small company: who works on what, and what somebody else may do.
OMAR, LINA = user("Omar Engineer", employee=True), user("Lina Admin", employee=True)
CONTRACT = mongoose(title="Villa 12", employee=OMAR["_id"])
DESIGNS = [mongoose(desc="Ground floor"), mongoose(desc="Roof")]
STEPS = [mongoose(content="Dig", status="done"), mongoose(content="Build", status="open")]
EARNINGS = [
    mongoose(type="profit", period="monthly", amount=0.1, currency="SAR"),
    mongoose(type="profit", period="yearly", amount=0.2, currency="sar"),
    mongoose(type="loss", period="yearly", amount=1234567.891, currency="SAR"),
]
PROJECT = mongoose(
    content="Villa", employee=OMAR["_id"], designs=[one["_id"] for one in DESIGNS], steps=[one["_id"] for one in STEPS]
)
NOTES = [mongoose(onModel=model, onId=PROJECT["_id"], status="seen") for model in ("Project", "Design", "Project")]
GRANTED = mongoose(_for=OMAR["_id"], type="Read", status="granted")
PERMISSIONS = [
    GRANTED, mongoose(_for=OMAR["_id"], type="Write", status="revoke"),
    mongoose(_for=LINA["_id"], type="Approve", status="granted"),
]  # fmt: skip
DOCUMENTS: dict[str, list[Json]] = {
    "users": [OMAR, LINA], "contracts": [CONTRACT], "projects": [PROJECT, mongoose(employee=LINA["_id"])],
    "designs": DESIGNS, "projectsteps": STEPS, "notes": NOTES, "permissions": PERMISSIONS, "projectearnings": EARNINGS,
}  # fmt: skip

ASKED: dict[str, Json] = {
    "contract_employees": {"contract_id": str(CONTRACT["_id"])},
    "project_designs": {"project_id": str(PROJECT["_id"])},
    "project_steps": {"project_id": str(PROJECT["_id"])},
    "project_notes": {"project_id": str(PROJECT["_id"])},
    "earnings_compound": {"earning_ids": [str(one["_id"]) for one in EARNINGS]},
    "user_permissions": {"user_id": str(OMAR["_id"])},
    "user_projects": {"user_id": str(OMAR["_id"])},
}


def ids(documents: list[Json]) -> list[str]:
    """List ids as text."""
    return [str(one["_id"]) for one in documents]


@pytest.fixture
def cms(database: Database[Json]) -> Database[Json]:
    """The company's documents."""
    for name, documents in DOCUMENTS.items():
        database[name].insert_many(documents)
    return database


def today(cms: Database[Json], name: str, asked: Json | None = None) -> list[Json]:
    """Run a pipeline as the CMS runs it."""
    row = TODAY[name]
    return list(cms[row.collection].aggregate(row.build(asked or ASKED[name])))


def ours(cms: Database[Json], name: str, asked: Json | None = None) -> Any:
    """Give our answer."""
    parameters = CATALOGUE[name].parameters.model_validate(asked or ASKED[name])
    return AggregationRunner(cms, clock=lambda: NOW).run(name, parameters)["data"]


class TestSeven:
    """The same documents: what the CMS's pipeline gives today, and what ours gives."""

    def test_all(self) -> None:
        """All seven of the CMS's are compared."""
        assert TODAY.keys() == ASKED.keys()

    def test_contract_employees(self, cms: Database[Json]) -> None:
        """Today the employee comes with the password hash; ours is the same person without."""
        (found,) = today(cms, "contract_employees")
        assert [one["password"] for one in found["employees"]] == [PASSWORD_HASH]
        (employee,) = ours(cms, "contract_employees")
        assert employee["_id"] == str(OMAR["_id"])
        assert employee.keys() == OMAR.keys() - {"password", "__v"}

    def test_project_designs(self, cms: Database[Json]) -> None:
        """Today's is right, and has nothing to read element 0 of when there is no such project; ours says so."""
        (found,) = today(cms, "project_designs")
        answer = ours(cms, "project_designs")
        assert ids(answer["designs"]) == sorted(ids(found["designs"])) == ids(DESIGNS)
        assert answer["more"] is False
        nobody = {"project_id": str(ObjectId())}
        with pytest.raises(IndexError):
            today(cms, "project_designs", nobody)[0]
        with pytest.raises(NotFound, match=r"^project_id: expected the id of a project"):
            ours(cms, "project_designs", nobody)

    def test_project_steps(self, cms: Database[Json]) -> None:
        """Today's reads a collection that there is not, and is always empty."""
        (found,) = today(cms, "project_steps")
        assert found["steps"] == []
        assert ids(ours(cms, "project_steps")["steps"]) == ids(STEPS)

    def test_project_notes(self, cms: Database[Json]) -> None:
        """Today's is refused for a variable's name; ours has the two notes on the project, the newest first."""
        with pytest.raises(OperationFailure, match="'_id' starts with an invalid character for a user variable name"):
            today(cms, "project_notes")
        assert ids(ours(cms, "project_notes")["notes"]) == ids([NOTES[2], NOTES[0]])

    def test_earnings_compound(self, cms: Database[Json]) -> None:
        """Today's is refused for want of a group key; ours is one exact total per currency and type."""
        with pytest.raises(OperationFailure, match="a group specification must include an _id"):
            today(cms, "earnings_compound")
        assert ours(cms, "earnings_compound") == {
            "totals": [
                {"currency": "SAR", "type": "loss", "earnings": 1, "amount": "1234567.891"},
                {"currency": "SAR", "type": "profit", "earnings": 2, "amount": "0.30"},
            ],
            "unreadable": 0,
            "unknown": 0,
        }

    def test_user_permissions(self, cms: Database[Json]) -> None:
        """Today a user has everybody's permissions, revoked ones too; ours has what it was granted."""
        (found,) = today(cms, "user_permissions")
        assert sorted(ids(found["permissions_have"])) == ids(PERMISSIONS)
        assert found["password"] == PASSWORD_HASH
        answer = ours(cms, "user_permissions")
        assert ids(answer["permissions_have"]) == ids([GRANTED])
        assert answer["fullName"] == "Omar Engineer"
        assert "password" not in answer

    def test_user_projects(self, cms: Database[Json]) -> None:
        """Today's is right but for the password hash, and scans all projects; ours has an index."""
        (found,) = today(cms, "user_projects")
        assert found["password"] == PASSWORD_HASH
        answer = ours(cms, "user_projects")
        assert ids(answer["projects"]) == ids(found["projects"]) == ids([PROJECT])
        assert "password" not in answer


@pytest.mark.parametrize("name", sorted(TODAY))
def test_unknown(cms: Database[Json], name: str) -> None:
    """An id that another collection has is unknown: the error names the parameter."""
    (field,) = ASKED[name]
    elsewhere = str(NOTES[0]["_id"])
    with pytest.raises(NotFound, match=rf"^{field}: expected ") as failed:
        ours(cms, name, {field: [elsewhere] if field == "earning_ids" else elsewhere})
    assert failed.value.field == field
