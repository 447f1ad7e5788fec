"""What may leave the database about people, and that no password does, whatever it stands in."""

from typing import Any

#: What a user shows to others. A list of what may leave, so that a field added to the CMS stays inside by default;
#: the password hash never leaves the database.
PUBLIC_USER = {
    "_id": 1, "fullName": 1, "username": 1, "email": 1, "phone": 1, "Age": 1, "address.title": 1, "address.street": 1,
    "address.city": 1, "address.state": 1, "address.country": 1, "isEmployee": 1, "isAdmin": 1, "employeeType": 1,
    "adminType": 1, "createdAt": 1, "updatedAt": 1,
}  # fmt: skip

#: A project's worker holds a user's fields, the password hash too.
PUBLIC_WORKER = PUBLIC_USER | {"role": 1, "project": 1}

#: What a payment shows; of what the gateway said, what a person may want to know.
PUBLIC_PAYMENT = {
    "title": 1, "content": 1, "date": 1, "contractId": 1, "client": 1, "transR": 1, "createdAt": 1, "updatedAt": 1,
    "gateway.state": 1, "gateway.captured": 1, "gateway.refunded": 1, "gateway.released": 1, "gateway.flags": 1,
}  # fmt: skip

#: Documents that are not about people are given whole, but for Mongoose's counter and what was never theirs.
WHOLE = {"password": 0, "__v": 0}

#: Of a project among many its lists of ids are left out: they have aggregations of their own, and no bound.
PROJECT_IN_A_LIST = WHOLE | {"designs": 0, "steps": 0, "workers": 0, "earnings": 0}


def without_passwords(value: Any) -> Any:  # noqa: ANN401 - whatever an answer is made of
    """Return an answer without any member that is named after a password, however deep; the last of three nets."""
    if isinstance(value, dict):
        return {name: without_passwords(one) for name, one in value.items() if "password" not in str(name).lower()}
    return [without_passwords(one) for one in value] if isinstance(value, list) else value
