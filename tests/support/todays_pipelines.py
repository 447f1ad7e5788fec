"""The seven aggregations as the CMS runs them today, mistakes included: to compare ours with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

Stage = dict[str, Any]


@dataclass(frozen=True)
class Today:
    """Where a pipeline starts, how it is made for our parameters, and where its answer stands in the first result."""

    collection: str
    build: Callable[[dict[str, Any]], list[Stage]]
    member: str | None


def _match(parameters: dict[str, Any], name: str) -> Stage:
    return {"$match": {"_id": ObjectId(parameters[name])}}


def _lookup(source: str, local: str, foreign: str, name: str) -> Stage:
    return {"$lookup": {"from": source, "localField": local, "foreignField": foreign, "as": name}}


def _notes(parameters: dict[str, Any]) -> list[Stage]:
    # A variable's name may not begin with an underscore: the server refuses this.
    matching = {"$match": {"$expr": {"$eq": ["$onId", "$$_id"]}}}
    lookup = {"from": "notes", "let": {"_id": "$_id"}, "pipeline": [matching], "as": "notes"}
    return [_match(parameters, "project_id"), {"$lookup": lookup}]


def _compound(parameters: dict[str, Any]) -> list[Stage]:
    # A group needs a key; and what is added up is text.
    ids = [ObjectId(one) for one in parameters["earning_ids"]]
    return [{"$match": {"id": {"$in": ids}}}, {"$group": {"total": {"$sum": "$period"}}}]


#: By our name for each.
TODAY: dict[str, Today] = {
    "contract_employees": Today(
        "contracts", lambda p: [_match(p, "contract_id"), _lookup("users", "employee", "_id", "employees")], "employees"
    ),
    "project_designs": Today(
        "projects", lambda p: [_match(p, "project_id"), _lookup("designs", "designs", "_id", "designs")], "designs"
    ),
    # The collection's name is `projectsteps`.
    "project_steps": Today(
        "projects", lambda p: [_match(p, "project_id"), _lookup("steps", "steps", "_id", "steps")], "steps"
    ),
    "project_notes": Today("projects", _notes, "notes"),
    "earnings_compound": Today("projectearnings", _compound, None),
    # Neither side has the field it is joined by: what is missing equals what is missing.
    "user_permissions": Today(
        "users",
        lambda p: [_match(p, "user_id"), _lookup("permissions", "permissions", "for", "permissions_have")],
        "permissions_have",
    ),
    "user_projects": Today(
        "users", lambda p: [_match(p, "user_id"), _lookup("projects", "_id", "employee", "projects")], "projects"
    ),
}
