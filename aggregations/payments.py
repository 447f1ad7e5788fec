"""Aggregations over the CMS's payments: their totals, and those of one client.

`payments.date` is free text of the CMS, so months are those of `createdAt`, in UTC. Amounts are text and are added up
as exact decimals; a payment whose amount or currency cannot be read is in no sum and counted in `unreadable`.
"""

from datetime import UTC, datetime

from bson import ObjectId

from aggregations.aggregation import Aggregation, Document, Stage
from aggregations.expressions import count_if, currency, is_null, is_status, money, payment_status, text_amount
from aggregations.lists import cut, part, the_one
from aggregations.parameters import ClientPage, SpanParameters
from aggregations.public import PUBLIC_PAYMENT

#: The most rows that a summary has; there would have to be a century of months in ten currencies.
MOST_ROWS = 10_000

#: Between these a time has a month that can be written.
FIRST_MOMENT, LAST_MOMENT = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


def payments_summary(asked: SpanParameters) -> list[Stage]:
    """Return the pipeline over `payments` with one row per currency, status and month.

    Rows are grouped by what the documents have, and read afterwards: a currency is looked at once per row instead of
    once per payment.
    """
    month = {"$dateToString": {"date": "$createdAt", "format": "%Y-%m"}}
    # Only times lie between these two; of years beyond four digits the server would refuse to write one.
    within = {"$and": [{"$gte": ["$createdAt", FIRST_MOMENT]}, {"$lte": ["$createdAt", LAST_MOMENT]}]}
    dated = {"$cond": [within, month, None]}
    raw = {"currency": "$currency", "status": "$status", "month": dated}
    read = {
        "currency": currency("$_id.currency"),
        "status": payment_status("$_id.status"),
        "month": {"$ifNull": ["$_id.month", None]},
    }
    return [
        *_within(asked.since, asked.until),
        {"$project": {"_id": 0, "currency": 1, "status": 1, "createdAt": 1, "amount": text_amount("$amount")}},
        {
            "$group": {
                "_id": raw, "amount": {"$sum": "$amount"}, "payments": {"$sum": 1},
                "lost": count_if(is_null("$amount")),
            }
        },
        {
            "$group": {
                "_id": read, "amount": {"$sum": "$amount"}, "payments": {"$sum": "$payments"}, "lost": {"$sum": "$lost"}
            }
        },
        {"$sort": {"_id": 1}},
        {"$limit": MOST_ROWS + 1},
    ]  # fmt: skip


def _within(since: datetime | None, until: datetime | None) -> list[Stage]:
    bounds = {name: moment for name, moment in (("$gte", since), ("$lt", until)) if moment is not None}
    return [{"$match": {"createdAt": bounds}}] if bounds else []


def _summary(found: list[Document]) -> Document:
    kept = [row for row in found[:MOST_ROWS] if row["_id"]["currency"] is not None]
    rows = [
        {**row["_id"], "payments": row["payments"] - row["lost"], "amount": money(row["amount"])}
        for row in kept
        if row["payments"] > row["lost"]
    ]
    lost = sum(row["payments"] for row in found if row["_id"]["currency"] is None)
    return {"rows": rows, "unreadable": lost + sum(row["lost"] for row in kept), "more": len(found) > MOST_ROWS}


def client_payments(asked: ClientPage) -> list[Stage]:
    """Return the pipeline over `users` that lists a client's payments, newest first."""
    client = ObjectId(asked.client_id)
    status = {"status": is_status(asked.status)} if asked.status else {}
    shown = PUBLIC_PAYMENT | {
        "amount": text_amount("$amount"),
        "currency": currency("$currency"),
        "status": payment_status("$status"),
    }
    listed = [{"$match": {"client": client, **status}}, *part(asked, newest_first=True), {"$project": shown}]
    return [
        {"$match": {"_id": client}},
        {"$lookup": {"from": "payments", "pipeline": listed, "as": "payments"}},
        {"$project": {"_id": 0, **cut("payments", asked)}},
    ]


def _client(found: list[Document]) -> Document:
    page: Document = the_one(found, "client_id", "a user")
    for payment in page["payments"]:
        payment["amount"] = None if payment["amount"] is None else money(payment["amount"])
    unreadable = [one for one in page["payments"] if one["amount"] is None or one["currency"] is None]
    return {**page, "unreadable": len(unreadable)}


ROWS = (
    Aggregation(
        name="payments_summary",
        about="How many payments, and what they come to, by currency, status and month.",
        parameters=SpanParameters,
        collections=("payments",),
        build=lambda asked, _now: payments_summary(asked),
        answer=_summary,
        tags=lambda _asked: ("payments",),
        # No index helps to group everything: it was measured that a covering one costs as much as the documents.
        indexes=(),
        soft_seconds=60.0,
        hard_seconds=900.0,
        budget_ms=10_000,
    ),
    Aggregation(
        name="client_payments",
        about="The payments of a client, newest first.",
        parameters=ClientPage,
        collections=("users", "payments"),
        build=lambda asked, _now: client_payments(asked),
        answer=_client,
        tags=lambda asked: (f"client:{asked.client_id}", f"user:{asked.client_id}"),
        indexes=("nw_payments_client_status",),
        soft_seconds=10.0,
        hard_seconds=120.0,
        budget_ms=2_000,
    ),
)
