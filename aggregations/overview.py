"""One project at a glance: how many designs, steps by status, notes by status, its workers and its earnings."""

from bson import ObjectId

from aggregations.aggregation import Aggregation, Document, Stage
from aggregations.earnings import OF_PROJECTS, by_result, readable, results
from aggregations.lists import by_ids, cut, part, the_one
from aggregations.parameters import Page, ProjectParameters
from aggregations.public import PROJECT_IN_A_LIST, PUBLIC_WORKER

#: The workers that an overview names.
WORKERS = Page(limit=100)


def _by_status(name: str) -> list[Stage]:
    """Return the stages that count documents by status; what is no text counts as none."""
    status = {"$cond": [{"$eq": [{"$type": "$status"}, "string"]}, "$status", None]}
    return [
        {"$group": {"_id": status, "count": {"$sum": 1}}},
        {"$sort": {"_id": 1}},
        {"$project": {"_id": 0, "status": "$_id", name: "$count"}},
    ]


def project_overview(project_id: str) -> list[Stage]:
    """Return the pipeline over `projects` with everything in one document; what is listed twice counts once."""
    project = ObjectId(project_id)
    notes = [{"$match": {"onModel": "Project", "onId": project}}, *_by_status("notes")]
    earnings = [{"$match": {"project": project}}, *readable(), by_result({"currency": "$currency"})]
    return [
        {"$match": {"_id": project}},
        by_ids("designs", "designs", [{"$group": {"_id": None, "count": {"$sum": 1}}}], "counted_designs"),
        by_ids("projectsteps", "steps", _by_status("steps"), "counted_steps"),
        by_ids("projectworkers", "workers", [*part(WORKERS), {"$project": PUBLIC_WORKER}], "known_workers"),
        {"$lookup": {"from": "notes", "pipeline": notes, "as": "counted_notes"}},
        {"$lookup": {"from": OF_PROJECTS, "pipeline": earnings, "as": "counted_earnings"}},
        {"$project": PROJECT_IN_A_LIST},
        {"$set": cut("known_workers", WORKERS)},
    ]


def _overview(found: list[Document]) -> Document:
    project = the_one(found, "project_id", "a project")
    designs, steps, notes, workers, earnings = (
        project.pop(name)
        for name in ("counted_designs", "counted_steps", "counted_notes", "known_workers", "counted_earnings")
    )
    return {
        "designs": designs[0]["count"] if designs else 0,
        "steps": steps,
        "notes": notes,
        "workers": {"workers": workers, "more": project.pop("more")},
        "earnings": results(earnings, "currency"),
        "project": project,
    }


ROWS = (
    Aggregation(
        name="project_overview",
        about="A project's designs, steps by status, notes, workers and earnings in one answer.",
        parameters=ProjectParameters,
        collections=("projects", "designs", "projectsteps", "notes", "projectworkers", OF_PROJECTS),
        build=lambda asked, _now: project_overview(asked.project_id),
        answer=_overview,
        tags=lambda asked: (f"project:{asked.project_id}", "designs", "steps", "notes", "earnings"),
        indexes=("nw_notes_on", "nw_projectearnings_project"),
        soft_seconds=30.0,
        hard_seconds=300.0,
        budget_ms=3_000,
    ),
)
