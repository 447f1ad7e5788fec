"""Aggregations that list what belongs to one project: designs, steps, notes."""

from collections.abc import Callable

from bson import ObjectId

from aggregations.aggregation import Aggregation, Document, Stage
from aggregations.lists import by_ids, cut, part, the_one
from aggregations.parameters import ProjectPage
from aggregations.public import WHOLE


def _listed(source: str, field: str, asked: ProjectPage) -> list[Stage]:
    """Return the pipeline over `projects` that lists the documents of a field of ids, in the order of their making."""
    return [
        {"$match": {"_id": ObjectId(asked.project_id)}},
        by_ids(source, field, [*part(asked), {"$project": WHOLE}]),
        {"$project": {"_id": 0, **cut(field, asked)}},
    ]


def project_designs(asked: ProjectPage) -> list[Stage]:
    """Return the pipeline that lists a project's designs; today's crashes when there is no such project."""
    return _listed("designs", "designs", asked)


def project_steps(asked: ProjectPage) -> list[Stage]:
    """Return the pipeline that lists a project's steps; today's reads a collection `steps`, which there is not."""
    return _listed("projectsteps", "steps", asked)


def project_notes(asked: ProjectPage) -> list[Stage]:
    """Return the pipeline that lists the notes on a project, newest first; today's is refused by the server."""
    on_project = {"$match": {"onModel": "Project", "onId": ObjectId(asked.project_id)}}
    notes = [on_project, *part(asked, newest_first=True), {"$project": WHOLE}]
    return [
        {"$match": {"_id": ObjectId(asked.project_id)}},
        {"$lookup": {"from": "notes", "pipeline": notes, "as": "notes"}},
        {"$project": {"_id": 0, **cut("notes", asked)}},
    ]


def _page(found: list[Document]) -> Document:
    page: Document = the_one(found, "project_id", "a project")
    return page


def _row(
    name: str, about: str, source: str, build: Callable[[ProjectPage], list[Stage]], indexes: tuple[str, ...] = ()
) -> Aggregation:
    what = name.removeprefix("project_")
    return Aggregation(
        name=name,
        about=about,
        parameters=ProjectPage,
        collections=("projects", source),
        build=lambda asked, _now: build(asked),
        answer=_page,
        tags=lambda asked: (f"project:{asked.project_id}", what),
        indexes=indexes,
        soft_seconds=30.0,
        hard_seconds=300.0,
        budget_ms=2_000,
    )


ROWS = (
    _row("project_designs", "The designs of a project, oldest first.", "designs", project_designs),
    _row("project_steps", "The steps of a project, oldest first.", "projectsteps", project_steps),
    _row("project_notes", "The notes on a project, newest first.", "notes", project_notes, ("nw_notes_on",)),
)
