"""What to ask of seeded data: parameters for every aggregation, about documents that are there."""

from collections.abc import Callable
from random import Random
from typing import Any

from bson import ObjectId

from workers.seed_families import ROOM
from workers.seed_plan import SeedPlan

Parameters = dict[str, Any]

#: How many earnings are asked about at once, as the CMS does for a handful of projects.
EARNINGS_ASKED = 25


def questions(plan: SeedPlan, random: Random) -> dict[str, Parameters]:
    """Draw parameters for each aggregation, by its name.

    Args:
        plan: What was seeded.
        random: Who draws; another document each time.
    """
    return {name: draw(plan, random) for name, draw in DRAWN.items()}


def _contract(plan: SeedPlan, random: Random) -> Parameters:
    return {"contract_id": str(plan.contract_id(random.randrange(plan.families)))}


def _project(plan: SeedPlan, random: Random) -> Parameters:
    return {"project_id": str(plan.project_id(random.randrange(plan.families)))}


def _user(plan: SeedPlan, random: Random) -> Parameters:
    return {"user_id": str(plan.user_id(random.randrange(plan.users)))}


def _employee(plan: SeedPlan, random: Random) -> Parameters:
    return {"user_id": str(plan.employee(random.randrange(plan.users)))}


def _client(plan: SeedPlan, random: Random) -> Parameters:
    return {"client_id": str(plan.client(random.randrange(plan.users)))}


def _org(plan: SeedPlan, random: Random) -> Parameters:
    return {"org_id": str(plan.org_id(random.randrange(plan.orgs)))}


def _earnings(plan: SeedPlan, random: Random) -> Parameters:
    """Draw the earnings of a few projects that follow each other."""
    family, ids = random.randrange(plan.families), list[str]()
    while len(ids) < EARNINGS_ASKED:
        family = (family + 1) % plan.families
        ids += [str(one) for one in earnings_of(plan, family)]
    return {"earning_ids": list(dict.fromkeys(ids[:EARNINGS_ASKED]))}


def earnings_of(plan: SeedPlan, family: int) -> list[ObjectId]:
    """Return the ids of a project's earnings, each with the time at which it was made."""
    kind = "projectearnings"
    children = range(plan.size_of(kind, family))
    return [plan.object_id(kind, family * ROOM + child, plan.earning_made(family, child)) for child in children]


def _everything(_plan: SeedPlan, _random: Random) -> Parameters:
    return {}


#: Who draws for which aggregation.
DRAWN: dict[str, Callable[[SeedPlan, Random], Parameters]] = {
    "contract_employees": _contract,
    "project_designs": _project,
    "project_steps": _project,
    "project_notes": _project,
    "earnings_compound": _earnings,
    "user_permissions": _user,
    "user_projects": _employee,
    "payments_summary": _everything,
    "client_payments": _client,
    "contract_balance": _contract,
    "org_earnings": _org,
    "project_overview": _project,
    "receivables_ageing": _everything,
    "gateway_performance": _everything,
}
