"""What is still to be paid, by age. The age counts from `createdAt`: a payment's `date` is free text of the CMS.

Unpaid is what is pending or has no status. Of a pending payment that the gateway has taken something for already, only
the rest is open; where nothing is left, it is no receivable.
"""

from datetime import datetime, timedelta

from aggregations.aggregation import Aggregation, Document, Stage
from aggregations.balances import booked, owed
from aggregations.expressions import UNPAID, Expression, count_if, currency, money, text_amount
from aggregations.parameters import AgeParameters


def receivables_ageing(asked: AgeParameters, now: datetime) -> list[Stage]:
    """Return the pipeline over `payments` with one row per currency and age bracket.

    One member is added to each payment, and the rest is done where they are grouped: of a hundred thousand payments
    every further stage copies each, which costs more than to read them. A currency is looked at once per row.
    """
    return [
        {"$match": {"status": UNPAID}},
        {"$set": {"open": _open()}},
        {
            "$group": {
                "_id": {"currency": "$currency", "bracket": _bracket(asked.brackets_days, now)},
                "amount": {"$sum": "$open"}, "payments": count_if({"$ne": ["$open", 0]}),
                "lost": count_if({"$eq": ["$open", None]}),
            }
        },
        {
            "$group": {
                "_id": {"currency": currency("$_id.currency"), "bracket": "$_id.bracket"},
                "amount": {"$sum": "$amount"}, "payments": {"$sum": "$payments"}, "lost": {"$sum": "$lost"},
                "brackets": {"$first": {"$literal": asked.brackets_days}},
            }
        },
        {"$sort": {"_id": 1}},
    ]  # fmt: skip


def _open() -> Expression:
    """Return what is open of a payment; null when its amount cannot be read."""
    amount = text_amount("$amount")
    taken = {"$add": [booked("captured", 0), booked("released", 0)]}
    rest = {"$cond": [{"$eq": ["$$amount", None]}, None, owed("$$amount", taken)]}
    # Mostly the gateway has not been asked yet, and all of it is open.
    return {"$cond": [{"$lte": ["$gateway", None]}, amount, {"$let": {"vars": {"amount": amount}, "in": rest}}]}


def _bracket(days: list[int], now: datetime) -> Expression:
    """Return which bracket a payment is in, from 0 on; null when it does not say how old it is."""
    branches = [
        {"case": {"$gt": ["$createdAt", now - timedelta(days=day)]}, "then": place} for place, day in enumerate(days)
    ]
    dated = {"$eq": [{"$type": "$createdAt"}, "date"]}
    return {"$cond": [dated, {"$switch": {"branches": branches, "default": len(days)}}, None]}


def _ageing(found: list[Document]) -> Document:
    readable = [row for row in found if row["_id"]["currency"] is not None]
    lost = sum(row["payments"] for row in found if row["_id"]["currency"] is None)
    return {
        "brackets": [_row(row) for row in readable if row["payments"] > row["lost"]],
        "unreadable": lost + sum(row["lost"] for row in readable),
    }


def _row(row: Document) -> Document:
    place, edges = row["_id"]["bracket"], [0, *row["brackets"], None]
    from_days, to_days = (None, None) if place is None else (edges[place], edges[place + 1])
    return {
        "currency": row["_id"]["currency"], "from_days": from_days, "to_days": to_days,
        "payments": row["payments"] - row["lost"], "amount": money(row["amount"]),
    }  # fmt: skip


ROWS = (
    Aggregation(
        name="receivables_ageing",
        about="What is unpaid, by currency and age.",
        parameters=AgeParameters,
        collections=("payments",),
        build=receivables_ageing,
        answer=_ageing,
        tags=lambda _asked: ("payments",),
        # Of a quarter of all payments an index finds nothing sooner than a scan; what is asked often reads the view.
        indexes=(),
        soft_seconds=60.0,
        hard_seconds=900.0,
        budget_ms=5_000,
    ),
)
