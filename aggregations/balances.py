"""What a contract's payments come to, per currency, as exact decimals.

A contract counts the payments it names in `paymentsIds` and those that name it in `contractId`, each once and without
the failed ones. What the gateway has booked (`gateway.captured`, `refunded`, `released`) goes before what a status
says; where there is no such text, or nothing was booked although the status says so, it was settled outside the
gateway: a paid or refunded payment was paid in full, and a refunded one refunded in full.
"""

from bson import ObjectId

from aggregations.aggregation import Aggregation, Document, Stage
from aggregations.expressions import Expression, count_if, currency, is_null, money, payment_status, text_amount
from aggregations.lists import by_ids, the_one
from aggregations.parameters import ContractParameters

#: What is added up of each payment.
SUMS = ("due", "paid", "refunded", "outstanding")


def booked(member: str, otherwise: Expression) -> Expression:
    """Return what the gateway has booked; where it has booked nothing, what can be told without it."""
    text = f"$gateway.{member}"
    # Mostly nothing is booked, which is written "0": that is told apart first, because reading text is what costs.
    return {"$cond": [{"$eq": [text, "0"]}, otherwise, {"$ifNull": [text_amount(text), otherwise]}]}


def owed(due: Expression, paid: Expression) -> Expression:
    """Return what is still to be paid: nothing where more was paid than is due."""
    return {"$max": [0, {"$subtract": [due, paid]}]}


def _lean() -> list[Stage]:
    """Return the stages that make of a payment what is added up; of an unreadable one nothing but that it is there."""
    amount, settled = text_amount("$amount"), {"$in": ["$word", ["paid", "refunded"]]}
    in_full = {"$cond": [settled, amount, 0]}
    given_back = {"$cond": [{"$eq": ["$word", "refunded"]}, amount, 0]}
    by_hand = {"$and": [settled, {"$eq": ["$gateway.captured", "0"]}]}
    return [
        {"$set": {"word": payment_status("$status")}},
        {"$match": {"word": {"$ne": "failed"}}},
        {
            "$project": {
                "currency": currency("$currency"), "amount": amount, "paid": booked("captured", in_full),
                "refunded": booked("refunded", given_back),
                "released": {"$cond": [by_hand, 0, booked("released", 0)]},
            }
        },
        {"$set": {"due": {"$max": [0, {"$subtract": ["$amount", "$released"]}]}}},
        {"$set": {"outstanding": owed("$due", "$paid"), "unreadable": _unreadable()}},
    ]  # fmt: skip


def _unreadable() -> Expression:
    return {"$or": [is_null("$currency"), is_null("$amount")]}


def contract_balance(contract_id: str) -> list[Stage]:
    """Return the pipeline over `contracts` with one row per currency, and one for what cannot be read.

    The payments that name the contract are read first, by index; of those it names only the others are read then, so
    that none is read twice, and none counted twice that changes in between.
    """
    contract = ObjectId(contract_id)
    lean = _lean()
    named = {"$cond": [{"$isArray": "$paymentsIds"}, "$paymentsIds", []]}
    sums = {name: {"$sum": {"$cond": ["$payments.unreadable", 0, f"$payments.{name}"]}} for name in SUMS}
    return [
        {"$match": {"_id": contract}},
        {"$lookup": {"from": "payments", "pipeline": [{"$match": {"contractId": contract}}, *lean], "as": "own"}},
        {"$project": {"own": 1, "others": {"$setDifference": [named, "$own._id"]}}},
        by_ids("payments", "others", lean),
        {"$project": {"payments": {"$concatArrays": ["$own", "$others"]}}},
        {"$unwind": {"path": "$payments", "preserveNullAndEmptyArrays": True}},
        {
            "$group": {
                "_id": {"$cond": ["$payments.unreadable", None, "$payments.currency"]},
                "payments": count_if({"$ne": [{"$type": "$payments"}, "missing"]}),
                **sums,
            }
        },
        {"$sort": {"_id": 1}},
    ]


def _balance(found: list[Document]) -> Document:
    the_one(found, "contract_id", "a contract")
    readable = [row for row in found if row["_id"] is not None]
    return {
        "balances": [
            {"currency": row["_id"], "payments": row["payments"], **{name: money(row[name]) for name in SUMS}}
            for row in readable
        ],
        "unreadable": sum(row["payments"] for row in found if row["_id"] is None),
    }


ROWS = (
    Aggregation(
        name="contract_balance",
        about="What is due, paid, refunded and outstanding of a contract, per currency.",
        parameters=ContractParameters,
        collections=("contracts", "payments"),
        build=lambda asked, _now: contract_balance(asked.contract_id),
        answer=_balance,
        # A payment that only the contract names does not say whose it is when it changes: hence every payment's tag.
        tags=lambda asked: (f"contract:{asked.contract_id}", "payments"),
        indexes=("nw_payments_contract_status",),
        soft_seconds=5.0,
        hard_seconds=30.0,
        budget_ms=2_000,
        # It decides about money: whether a contract is paid must not be read from a node that lags.
        read="primary",
    ),
)
