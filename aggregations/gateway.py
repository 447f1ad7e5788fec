"""How the gateway does: how many charges succeed, why others are declined, how long payers take.

Read from `payment_events`, the only place that has codes and times; the events of at most 92 days, by the index that
their store makes over `recorded_at`. One charge is one transaction of PayTabs (`tran_ref`) that was heard of within the
span, follow-ups such as refunds left out. Of the statuses it was seen in, A counts before all others, then V; else the
first that ended it.
"""

from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from aggregations.aggregation import Aggregation, Document, Stage
from aggregations.expressions import Expression
from aggregations.parameters import RecentParameters

#: What PayTabs' letters mean for a charge.
ENDED = {"D": "declined", "E": "errored", "C": "cancelled", "X": "expired"}

#: What a charge can have come to.
OUTCOMES = ("succeeded", *ENDED.values(), "voided", "on_hold", "pending")

#: Outcomes that the gateway or a bank decided against the payer.
REFUSED = ("declined", "errored")

#: Transactions that act upon another one.
FOLLOW_UPS = ("refund", "capture", "void", "release")

#: Longer than this counts as this long, in seconds: whoever takes a day has not paid at once.
LONGEST_SECONDS = 86_400

#: Nobody reads more codes than this.
MOST_CODES = 200


def gateway_performance(asked: RecentParameters, now: datetime) -> list[Stage]:
    """Return the pipeline over `payment_events` whose one document has the charges, counted, and the span."""
    since = asked.since or now - timedelta(days=asked.days)
    until = since + timedelta(days=asked.days)
    charge = {"data.previous_tran_ref": None, "data.tran_type": {"$nin": list(FOLLOW_UPS)}}
    about = {"$or": [{"type": "PageOpened"}, {"type": "TransactionObserved", **charge}]}
    return [
        {"$match": {"recorded_at": {"$gte": since, "$lt": until}, **about}},
        {"$group": {"_id": "$data.tran_ref", **_seen()}},
        {
            "$group": {
                "_id": {"outcome": _outcome(), "code": "$ended.code", "seconds": _seconds()},
                "count": {"$sum": 1},
            }
        },
        {"$facet": {"rows": [{"$match": {}}]}},
        {"$set": {"since": since, "until": until}},
    ]


def _seen() -> Document:
    """Return what is gathered of one charge: what was ever seen of it, and when what happened first."""

    def first(condition: Expression, value: Expression) -> Document:
        return {"$min": {"$cond": [condition, value, None]}}

    ended = {"at": "$recorded_at", "status": "$data.status", "code": {"$ifNull": ["$data.code", None]}}
    return {
        "voided": {"$max": {"$eq": ["$data.status", "V"]}},
        "held": {"$max": {"$eq": ["$data.status", "H"]}},
        "ended": first({"$in": ["$data.status", list(ENDED)]}, ended),
        "opened": first({"$eq": ["$type", "PageOpened"]}, "$recorded_at"),
        "paid": first({"$eq": ["$data.status", "A"]}, "$recorded_at"),
    }


def _outcome() -> Expression:
    words = [{"case": {"$eq": ["$ended.status", letter]}, "then": word} for letter, word in ENDED.items()]
    return {
        "$switch": {
            "branches": [
                {"case": {"$ne": ["$paid", None]}, "then": "succeeded"},
                {"case": "$voided", "then": "voided"},
                *words,
                {"case": "$held", "then": "on_hold"},
            ],
            "default": "pending",
        }
    }


def _seconds() -> Expression:
    """Return the time to pay in whole seconds, so that there is a bound to what is carried however many charges."""
    seconds = {"$floor": {"$divide": [{"$subtract": ["$paid", "$opened"]}, 1000]}}
    known = {"$and": [{"$ne": ["$opened", None]}, {"$ne": ["$paid", None]}]}
    return {"$cond": [known, {"$min": [LONGEST_SECONDS, {"$max": [0, seconds]}]}, None]}


def _performance(found: list[Document]) -> Document:
    (seen,) = found
    outcomes, declines, times = Counter[str](), Counter[tuple[str, str | None]](), Counter[int]()
    for row in seen["rows"]:
        outcome, seconds = row["_id"]["outcome"], row["_id"]["seconds"]
        outcomes[outcome] += row["count"]
        if outcome in REFUSED:
            declines[outcome, row["_id"].get("code")] += row["count"]
        if seconds is not None:
            times[int(seconds)] += row["count"]
    return {
        "since": seen["since"], "until": seen["until"], "outcomes": {word: outcomes[word] for word in OUTCOMES},
        "success_rate": _rate(outcomes["succeeded"], sum(outcomes[word] for word in REFUSED)),
        "declines": _declines(declines), "time_to_pay": _time_to_pay(sorted(times.items())),
    }  # fmt: skip


def _declines(counted: Counter[tuple[str, str | None]]) -> list[Document]:
    ranked = sorted(counted.items(), key=lambda one: (-one[1], one[0][0], one[0][1] or ""))
    return [{"outcome": outcome, "code": code, "charges": count} for (outcome, code), count in ranked[:MOST_CODES]]


def _rate(succeeded: int, refused: int) -> str | None:
    """Return the share that succeeded of what the gateway decided; the payer's own no is not the gateway's."""
    decided = succeeded + refused
    return f"{(Decimal(succeeded) / decided).quantize(Decimal('0.0001'))}" if decided else None


def _time_to_pay(counts: list[tuple[int, int]]) -> dict[str, Any]:
    charges = sum(count for _, count in counts)
    return {
        "charges": charges,
        "median_seconds": _percentile(counts, charges, 50),
        "p95_seconds": _percentile(counts, charges, 95),
    }


def _percentile(counts: list[tuple[int, int]], charges: int, percent: int) -> int | None:
    """Return the smallest time that at least this many in a hundred stayed within."""
    within = 0
    for seconds, count in counts:
        within += count
        if within * 100 >= charges * percent:
            return seconds
    return None


ROWS = (
    Aggregation(
        name="gateway_performance",
        about="The gateway's success rate, its declines by code, and how long payers take.",
        parameters=RecentParameters,
        collections=("payment_events",),
        build=gateway_performance,
        answer=_performance,
        tags=lambda _asked: ("payments",),
        # Its range goes by `recorded`, an index of the events' own, which their store makes; none of the CMS's.
        indexes=(),
        soft_seconds=60.0,
        hard_seconds=900.0,
        budget_ms=5_000,
    ),
)
