"""Pipelines about contracts; pure builders, nothing is read here."""

from typing import Any

from bson import ObjectId

Stage = dict[str, Any]

#: What a user shows to others. A list of what may leave, so that a field added to the CMS stays inside by default;
#: the password hash never leaves the database.
PUBLIC_USER = {
    "_id": 1, "fullName": 1, "username": 1, "email": 1, "phone": 1, "Age": 1, "address": 1, "isEmployee": 1,
    "isAdmin": 1, "employeeType": 1, "adminType": 1, "createdAt": 1, "updatedAt": 1,
}  # fmt: skip


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
        {
            "$lookup": {
                "from": "users",
                "localField": "employee",
                "foreignField": "_id",
                "pipeline": [{"$project": PUBLIC_USER}],
                "as": "employees",
            }
        },
        {"$project": {"_id": 0, "employees": 1}},
    ]
