"""The materialised views: one row per view, with what it is made of and which groups a source document is in.

A view holds, per group, what a pipeline of the catalogue gives when it reads nothing but that group; so there is one
definition of every amount, currency and month. What an answer depends on beside the data, such as today's date, is
left to the read.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bson import MinKey, ObjectId

from aggregations.aggregation import Stage
from aggregations.balances import contract_balance
from aggregations.earnings import OF_ORGS, OF_PROJECTS, org_earnings
from aggregations.overview import project_overview
from aggregations.parameters import AgeParameters, SpanParameters
from aggregations.payments import payments_summary
from aggregations.receivables import receivables_ageing
from aggregations.view_keys import NOTHING, Group, days_of, ids, within

#: The statuses of payments that nobody has to wait for any more; whatever else there is may be unpaid.
SETTLED = ("paid", "refunded", "failed")

#: What an overview counts; projects and their workers are read when asked for, so that no view holds people.
COUNTED = {"_id": 0, "counted_designs": 1, "counted_steps": 1, "counted_notes": 1, "counted_earnings": 1}

#: The groups of a view that a document with these fields is in.
GroupsOf = Callable[[Mapping[str, Any]], tuple[Group, ...]]


@dataclass(frozen=True)
class View:
    """One view.

    Attributes:
        name: its collection.
        aggregation: which aggregation of the catalogue it answers.
        collection: where its pipeline starts.
        groups: for each source collection, which groups a document is in.
        referring: the source collections whose documents list others by id; a change to a listed one is theirs too.
        pipeline: what a group holds, as the catalogue would say it.
        dated: whether groups are days; else they are the ids of `collection`.
        folded: what a group is folded into, such as a day into its month; None where groups are read as they are.
    """

    name: str
    aggregation: str
    collection: str
    groups: Mapping[str, GroupsOf]
    pipeline: Callable[[Group], list[Stage]]
    dated: bool = False
    referring: tuple[str, ...] = ()
    folded: Callable[[Group], str] | None = None


def own(fields: Mapping[str, Any]) -> tuple[Group, ...]:
    """Return the group of what a view is about."""
    return ids(fields.get("_id"))


def by(name: str) -> GroupsOf:
    """Return the groups that a reference names."""
    return lambda fields: ids(fields.get(name))


def _day(fields: Mapping[str, Any]) -> tuple[Group, ...]:
    return days_of(fields.get("createdAt"))


def _day_unpaid(fields: Mapping[str, Any]) -> tuple[Group, ...]:
    return () if fields.get("status") in SETTLED else _day(fields)


def _noted(fields: Mapping[str, Any]) -> tuple[Group, ...]:
    model = fields.get("onModel")
    return ids(fields.get("onId")) if not isinstance(model, str) or model == "Project" else ()


def _about(pipeline: Callable[[str], list[Stage]]) -> Callable[[Group], list[Stage]]:
    return lambda group: pipeline(str(group)) if isinstance(group, ObjectId) else [{"$match": NOTHING}]


def month_of(group: Group) -> str:
    """Return what a day is folded into: its month."""
    return f"month:{str(group)[:7]}"


def _summary(day: Group) -> list[Stage]:
    # The empty bound on the status is there for the index, whose second field is the day.
    return [{"$match": {"status": {"$gte": MinKey()}, **within(str(day))}}, *payments_summary(SpanParameters())]


def _receivables(day: Group) -> list[Stage]:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return [{"$match": within(str(day))}, *receivables_ageing(AgeParameters(brackets_days=[1]), epoch)]


#: Every view by its name.
VIEWS: dict[str, View] = {
    view.name: view
    for view in (
        View(
            name="mv_payments_monthly",
            aggregation="payments_summary",
            collection="payments",
            groups={"payments": _day},
            pipeline=_summary,
            dated=True,
            folded=month_of,
        ),
        View(
            name="mv_receivables",
            aggregation="receivables_ageing",
            collection="payments",
            groups={"payments": _day_unpaid},
            pipeline=_receivables,
            dated=True,
            folded=month_of,
        ),
        View(
            name="mv_contract_balances",
            aggregation="contract_balance",
            collection="contracts",
            groups={"contracts": own, "payments": by("contractId")},
            pipeline=_about(contract_balance),
            referring=("contracts",),
        ),
        View(
            name="mv_org_earnings",
            aggregation="org_earnings",
            collection="orgzs",
            groups={"orgzs": own, OF_ORGS: by("orgz")},
            pipeline=_about(org_earnings),
        ),
        View(
            name="mv_project_overview",
            aggregation="project_overview",
            collection="projects",
            groups={"projects": own, "notes": _noted, OF_PROJECTS: by("project")},
            pipeline=_about(lambda project: [*project_overview(project), {"$project": COUNTED}]),
            referring=("projects",),
        ),
    )
}

#: The view that answers an aggregation.
ANSWERING: dict[str, View] = {view.aggregation: view for view in VIEWS.values()}


def groups_of(view: View, collection: str, fields: Mapping[str, Any]) -> tuple[Group, ...]:
    """Return the groups of a view that a document of a source collection is in."""
    read = view.groups.get(collection)
    return read(fields) if read else ()
