"""Aggregations about contracts and their people."""

from bson import ObjectId

from aggregations.aggregation import Aggregation, Document, Stage
from aggregations.lists import by_ids, the_one
from aggregations.parameters import ContractParameters
from aggregations.public import PUBLIC_USER


def contract_employees(contract_id: str) -> list[Stage]:
    """Return the pipeline over `contracts` that gives the employees of one contract.

    Today's pipeline returns every field of the user, the password hash included; this one projects inside the lookup,
    so that the hash is not even carried between the stages.

    Args:
        contract_id: 24 hexadecimal digits.

    Returns:
        Stages whose one result has `employees`, a list of users; no result when there is no such contract.
    """
    return [
        {"$match": {"_id": ObjectId(contract_id)}},
        by_ids("users", "employee", [{"$project": PUBLIC_USER}], "employees"),
        {"$project": {"_id": 0, "employees": 1}},
    ]


def _employees(found: list[Document]) -> list[Document]:
    employees: list[Document] = the_one(found, "contract_id", "a contract")["employees"]
    return employees


ROWS = (
    Aggregation(
        name="contract_employees",
        about="The employees of a contract, without anything secret.",
        parameters=ContractParameters,
        collections=("contracts", "users"),
        build=lambda asked, _now: contract_employees(asked.contract_id),
        answer=_employees,
        tags=lambda asked: (f"contract:{asked.contract_id}", "users"),
        indexes=(),
        soft_seconds=30.0,
        hard_seconds=300.0,
        budget_ms=2_000,
    ),
)
