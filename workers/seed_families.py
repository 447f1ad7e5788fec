"""Seeded families: a contract with its payments, and its project with designs, steps, workers, notes and earnings."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any

from bson import ObjectId

from workers.seed_money import payment
from workers.seed_people import HALF, RARELY, SELDOM, Made, earning, mongoose, person
from workers.seed_plan import SeedPlan, chosen

Document = dict[str, Any]

#: How many of a kind one family has room for among the ids.
ROOM = 32

PROJECT_STATUSES = ("pending", "active", "active", "done")
STEP_STATUSES = ("pending", "active", "done", "done")

#: The part of the contracts that lists its payments, as the CMS's later versions do, and of the notes on designs.
LISTED, ON_DESIGNS = 0.7, 0.3

ROLES = ("Mason", "Electrician", "Plumber", "Painter")

#: Days between two payments of a contract, and between two things that happen in a project.
DAYS_APART, DAYS_IN_PROJECT = 13, 5


def of_family(plan: SeedPlan, family: int, random: Random) -> Iterator[Made]:
    """Make all documents of a family."""
    made = plan.family_began(family)
    payments = [
        payment(plan, family, child, made + timedelta(days=child * DAYS_APART, minutes=child), random)
        for child in range(plan.size_of("payments", family))
    ]
    yield "contracts", _contract(plan, family, [one["_id"] for one in payments], random)
    for one in payments:
        yield "payments", one
    children = {
        "designs": list(_designs(plan, family, made)),
        "projectsteps": list(_steps(plan, family, made, random)),
        "projectworkers": list(_workers(plan, family, made, random)),
        "projectearnings": list(_earnings(plan, family, random)),
    }
    yield (
        "projects",
        _project(
            plan, family, {kind: [one["_id"] for one in all_of_it] for kind, all_of_it in children.items()}, random
        ),
    )
    for kind, all_of_it in children.items():
        for one in all_of_it:
            yield kind, one
    for child in range(plan.size_of("notes", family)):
        yield "notes", _note(plan, family, child, children["designs"], random)


def _contract(plan: SeedPlan, family: int, payments: list[ObjectId], random: Random) -> Document:
    made = plan.family_began(family)
    fields: Document = {
        "title": f"Villa {family}, finishing works", "content": "Finishing works of the ground floor",
        "creationDate": f"{made:%Y-%m-%d}", "status": "active", "path": f"contracts/{family}.pdf",
        "client": plan.client(family * 7), "employee": plan.employee(family),
    }  # fmt: skip
    awkward = random.random()
    if awkward < RARELY:
        fields["employee"] = plan.nobody(family)
    elif awkward < 2 * RARELY:
        del fields["employee"]
    if random.random() < LISTED:
        fields["paymentsIds"] = payments
    return mongoose(plan, "contracts", family, made, **fields)


def _project(plan: SeedPlan, family: int, children: dict[str, list[ObjectId]], random: Random) -> Document:
    made = plan.family_began(family)
    fields: Document = {
        "startDate": f"{made:%Y-%m-%d}", "endDate": f"{made + timedelta(days=180):%Y-%m-%d}",
        "content": "Finishing works", "status": chosen(PROJECT_STATUSES, random.random()),
        "employee": plan.employee(family), "contract": plan.contract_id(family),
        "orgz": plan.org_id(family % plan.orgs), "designs": children["designs"], "steps": children["projectsteps"],
        "workers": children["projectworkers"], "earnings": children["projectearnings"],
    }  # fmt: skip
    awkward = random.random()
    if awkward < RARELY:
        del fields["designs"], fields["steps"]
    elif awkward < 2 * RARELY:
        fields["steps"] = [*fields["steps"], plan.nobody(family)]
    return mongoose(plan, "projects", family, made, **fields)


def _designs(plan: SeedPlan, family: int, made: datetime) -> Iterator[Document]:
    for child in range(plan.size_of("designs", family)):
        when = made + timedelta(days=child * DAYS_IN_PROJECT)
        fields = {"desc": f"Floor plan {child + 1}", "path": f"designs/{family}-{child}.pdf"}
        yield mongoose(plan, "designs", family * ROOM + child, when, **fields, project=plan.project_id(family))


def _steps(plan: SeedPlan, family: int, made: datetime, random: Random) -> Iterator[Document]:
    for child in range(plan.size_of("projectsteps", family)):
        when = made + timedelta(days=child * DAYS_IN_PROJECT)
        fields: Document = {
            "startDate": f"{when:%Y-%m-%d}", "endDate": f"{when + timedelta(days=DAYS_IN_PROJECT):%Y-%m-%d}",
            "content": f"Step {child + 1}", "status": chosen(STEP_STATUSES, random.random()),
            "project": plan.project_id(family),
        }  # fmt: skip
        if random.random() < RARELY:
            del fields["status"]
        yield mongoose(plan, "projectsteps", family * ROOM + child, when, **fields)


def _workers(plan: SeedPlan, family: int, made: datetime, random: Random) -> Iterator[Document]:
    for child in range(plan.size_of("projectworkers", family)):
        number = family * ROOM + child
        fields = person(plan, number, random) | {"role": chosen(ROLES, random.random())}
        yield mongoose(plan, "projectworkers", number, made, **fields, project=plan.project_id(family))


def _earnings(plan: SeedPlan, family: int, random: Random) -> Iterator[Document]:
    for child in range(plan.size_of("projectearnings", family)):
        fields = earning(random) | {"project": plan.project_id(family)}
        yield mongoose(plan, "projectearnings", family * ROOM + child, plan.earning_made(family, child), **fields)


def _note(plan: SeedPlan, family: int, child: int, designs: list[Document], random: Random) -> Document:
    when = plan.family_began(family) + timedelta(days=child * DAYS_IN_PROJECT, seconds=child)
    kind = random.random()
    on: tuple[ObjectId, str] = (plan.project_id(family), "Project")
    if kind < ON_DESIGNS and designs:
        on = (designs[0]["_id"], "Design")
    elif kind > 1 - SELDOM:
        on = (plan.project_id(family), "Schedule")
    fields: Document = {
        "status": "seen" if random.random() < HALF else "read", "onId": on[0], "onModel": on[1],
        "author": plan.employee(int(random.random() * plan.users)),
    }  # fmt: skip
    return mongoose(plan, "notes", family * ROOM + child, when, **fields)
