"""Aggregations about earnings: profit and loss, added up as decimals.

Earnings are numbers in the CMS. An earning is unreadable when its amount is no finite number below 10^15, its currency
no code of three letters or its type neither profit nor loss; it is in no sum and counted in `unreadable`. A negative
amount is a correction and is added as it stands.
"""

from bson import ObjectId

from aggregations.aggregation import Aggregation, Document, Stage
from aggregations.expressions import Expression, count_if, currency, is_null, money, number_amount, one_of
from aggregations.lists import the_one
from aggregations.parameters import EarningsParameters, OrgParameters

#: What an earning is.
TYPES = ("profit", "loss")

#: What an earning may be for.
PERIODS = ("monthly", "4-month", "cumulative-quarter", "yearly")

#: Where projects' and organisations' earnings are.
OF_PROJECTS, OF_ORGS = "projectearnings", "orgzearnings"


def readable(*, period: bool = False) -> list[Stage]:
    """Return the stages that read an earning: `currency`, `type` and `amount`, all null where one of them cannot be."""
    read = {"currency": currency("$currency"), "type": one_of("$type", TYPES, None), "amount": number_amount("$amount")}
    lost = {"$or": [is_null(f"${name}") for name in read]}
    only = {"period": one_of("$period", PERIODS, None)} if period else {}
    return [
        {"$project": {"_id": 0, **read, **only}},
        {"$project": {"lost": lost, **{name: {"$cond": [lost, None, f"${name}"]} for name in (*read, *only)}}},
    ]


def by_result(key: Expression) -> Stage:
    """Return the group that adds up profit and loss under a key; the unreadable ones are counted."""

    def of(kind: str) -> Document:
        return {"$sum": {"$cond": [{"$eq": ["$type", kind]}, "$amount", 0]}}

    return {
        "$group": {
            "_id": key, "earnings": {"$sum": 1}, "unreadable": count_if("$lost"),
            "profit": of("profit"), "loss": of("loss"),
            "net": {"$sum": {"$cond": [{"$eq": ["$type", "loss"]}, {"$multiply": ["$amount", -1]}, "$amount"]}},
        }
    }  # fmt: skip


def results(rows: list[Document], *names: str) -> Document:
    """Return what `by_result` gave under a key of `names`, in their order, with what could not be read."""
    kept = [row for row in rows if row["_id"]["currency"] is not None]
    kept.sort(key=lambda row: [row["_id"].get(name) or "" for name in names])
    results = [
        {name: row["_id"].get(name) for name in names}
        | {"earnings": row["earnings"]}
        | {name: money(row[name]) for name in ("profit", "loss", "net")}
        for row in kept
    ]
    return {"results": results, "unreadable": sum(row["unreadable"] for row in rows)}


def earnings_compound(asked: EarningsParameters) -> list[Stage]:
    """Return the pipeline over `projectearnings` and `orgzearnings` that totals a set of earnings.

    Today's has no group key and adds up `period`, which is text: the server refuses it. An id counts once, however
    often it is asked about.
    """
    ids = [ObjectId(one) for one in dict.fromkeys(asked.earning_ids)]
    read = [{"$match": {"_id": {"$in": ids}}}, *readable()]
    return [
        *read,
        {"$unionWith": {"coll": OF_ORGS, "pipeline": read}},
        {
            "$group": {
                "_id": {"currency": "$currency", "type": "$type"}, "amount": {"$sum": "$amount"},
                "earnings": {"$sum": 1}, "asked": {"$first": {"$literal": len(ids)}},
            }
        },
        {"$sort": {"_id": 1}},
    ]  # fmt: skip


def _compound(found: list[Document]) -> Document:
    the_one(found, "earning_ids", "at least one earning")
    kept = [row for row in found if row["_id"]["currency"] is not None]
    counted = sum(row["earnings"] for row in found)
    return {
        "totals": [{**row["_id"], "earnings": row["earnings"], "amount": money(row["amount"])} for row in kept],
        "unreadable": counted - sum(row["earnings"] for row in kept),
        "unknown": found[0]["asked"] - counted,
    }


def org_earnings(org_id: str) -> list[Stage]:
    """Return the pipeline over `orgzs` that gives an organisation's own earnings by currency and period.

    Only `orgzearnings` are added up: they are made of projects' earnings already (`earningIds`), which would count
    twice.
    """
    organisation = ObjectId(org_id)
    key = {"currency": "$currency", "period": "$period"}
    grouped = [{"$match": {"orgz": organisation}}, *readable(period=True), by_result(key)]
    return [
        {"$match": {"_id": organisation}},
        {"$lookup": {"from": OF_ORGS, "pipeline": grouped, "as": "earnings"}},
        {"$project": {"_id": 0, "earnings": 1}},
    ]


def _org(found: list[Document]) -> Document:
    return results(the_one(found, "org_id", "an organisation")["earnings"], "currency", "period")


ROWS = (
    Aggregation(
        name="earnings_compound",
        about="The total of a set of earnings, of projects or organisations, by currency and type.",
        parameters=EarningsParameters,
        collections=(OF_PROJECTS, OF_ORGS),
        build=lambda asked, _now: earnings_compound(asked),
        answer=_compound,
        tags=lambda _asked: ("earnings",),
        indexes=(),
        soft_seconds=30.0,
        hard_seconds=300.0,
        budget_ms=2_000,
    ),
    Aggregation(
        name="org_earnings",
        about="An organisation's profit, loss and net, by currency and period.",
        parameters=OrgParameters,
        collections=("orgzs", OF_ORGS),
        build=lambda asked, _now: org_earnings(asked.org_id),
        answer=_org,
        tags=lambda asked: (f"org:{asked.org_id}", "earnings"),
        indexes=("nw_orgzearnings_orgz",),
        soft_seconds=60.0,
        hard_seconds=600.0,
        budget_ms=3_000,
    ),
)
