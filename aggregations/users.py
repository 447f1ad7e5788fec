"""Aggregations about one user: what it may do, and what it works on. No user leaves with more than `PUBLIC_USER`."""

from bson import ObjectId

from aggregations.aggregation import Aggregation, Document, Stage
from aggregations.lists import cut, part, the_one
from aggregations.parameters import PermissionsPage, UserPage
from aggregations.public import PROJECT_IN_A_LIST, PUBLIC_USER, WHOLE


def _user_with(name: str, lookup: Document, asked: UserPage) -> list[Stage]:
    return [
        {"$match": {"_id": ObjectId(asked.user_id)}},
        {"$project": PUBLIC_USER},
        {"$lookup": {**lookup, "as": name}},
        {"$set": cut(name, asked)},
    ]


def user_permissions(asked: UserPage) -> list[Stage]:
    """Return the pipeline over `users` that gives the permissions a user was granted.

    Today's joins two fields that neither side has, so that every permission of every user matches. The user that a
    permission is for stands in `_for`, and one that is rejected or revoked is none.
    """
    granted = {"_for": ObjectId(asked.user_id), "status": "granted"}
    listed = [{"$match": granted}, *part(asked), {"$project": WHOLE}]
    return _user_with("permissions_have", {"from": "permissions", "pipeline": listed}, asked)


def user_projects(asked: UserPage) -> list[Stage]:
    """Return the pipeline over `users` that gives the projects whose `employee` is the user."""
    listed = [*part(asked), {"$project": PROJECT_IN_A_LIST}]
    theirs = {"from": "projects", "localField": "_id", "foreignField": "employee", "pipeline": listed}
    return _user_with("projects", theirs, asked)


def _user(found: list[Document]) -> Document:
    user: Document = the_one(found, "user_id", "a user")
    return user


ROWS = (
    Aggregation(
        name="user_permissions",
        about="A user with the permissions it was granted.",
        parameters=PermissionsPage,
        collections=("users", "permissions"),
        build=lambda asked, _now: user_permissions(asked),
        answer=_user,
        tags=lambda asked: (f"user:{asked.user_id}", "permissions"),
        indexes=("nw_permissions_for_status",),
        soft_seconds=2.0,
        hard_seconds=10.0,
        budget_ms=2_000,
        # It decides about permissions: one that was revoked must not come back from a node that lags.
        read="primary",
    ),
    Aggregation(
        name="user_projects",
        about="A user with the projects it works on.",
        parameters=UserPage,
        collections=("users", "projects"),
        build=lambda asked, _now: user_projects(asked),
        answer=_user,
        tags=lambda asked: (f"user:{asked.user_id}", "projects"),
        indexes=("nw_projects_employee",),
        soft_seconds=30.0,
        hard_seconds=300.0,
        budget_ms=2_000,
    ),
)
