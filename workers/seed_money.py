"""Seeded payments: amounts as the CMS's text, and the small share of documents that a reader has to put up with."""

from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from typing import Any

from bson import ObjectId

from workers.seed_people import RARELY, SELDOM, currency, mongoose
from workers.seed_plan import SeedPlan

Document = dict[str, Any]

#: How many payments one family has room for among the ids.
ROOM = 32

#: Statuses of twenty payments; None stands for a field that is not there, as the CMS's first versions left it.
STATUSES = ("paid",) * 13 + ("pending",) * 3 + ("failed",) + ("refunded",) + (None,) * 2

#: Amounts that nobody can add up.
UNREADABLE = ("", "abc", "1,200.00", "12.50 SAR", "-", None)

#: Statuses of what PayTabs has a reference of.
REFERRED = frozenset({"paid", "refunded", "failed"})

#: The part of the paid payments that this system has taken, as its projection writes it.
TAKEN_BY_US = 0.2


def payment(plan: SeedPlan, family: int, child: int, made: datetime, random: Random) -> Document:
    """Make one payment of a family's contract."""
    number = family * ROOM + child
    drawn = currency(random)
    amount = _amount(drawn, random)
    status = STATUSES[int(random.random() * len(STATUSES))]
    fields: Document = {
        "title": f"Instalment {child + 1}", "content": "Due when the plastering is done", "date": f"{made:%Y-%m-%d}",
        "status": status, "amount": amount, "currency": drawn, "contractId": plan.contract_id(family),
        "client": plan.client(family * 7),
    }  # fmt: skip
    if status is None:
        del fields["status"]
    if status in REFERRED:
        fields["transR"] = f"TST{plan.seed % 100:02d}{number:011d}"
    if status in ("paid", "refunded") and random.random() < TAKEN_BY_US:
        fields["gateway"] = _gateway(status, amount, drawn.upper(), fields["transR"])
    _make_awkward(fields, plan, number, random)
    document = mongoose(plan, "payments", number, made, **fields)
    if status in REFERRED:
        document["updatedAt"] = made + timedelta(minutes=3)
    if random.random() < RARELY:
        del document["createdAt"], document["updatedAt"]
    return document


def _amount(in_currency: str, random: Random) -> str:
    """Draw a decimal text with as many places as the currency has; a few have none at all."""
    minor = 1_000 + int(random.random() ** 2 * 2_000_000)
    if random.random() < SELDOM:
        return str(minor // 100)
    return (
        f"{minor // 1000}.{minor % 1000:03d}" if in_currency.upper() == "KWD" else f"{minor // 100}.{minor % 100:02d}"
    )


def _make_awkward(fields: Document, plan: SeedPlan, number: int, random: Random) -> None:
    way = int(random.random() / RARELY)
    if way < len(AWKWARD):
        AWKWARD[way](fields, plan.nobody(number), random)


def _gateway(status: str, amount: str, in_currency: str, tran_ref: str) -> Document:
    """Return what this system's projection has written into a payment that it took."""
    refunded = amount if status == "refunded" else "0"
    return {
        "version": 5 if status == "paid" else 8, "state": "PAID" if status == "paid" else "REFUNDED",
        "amount": amount, "currency": in_currency, "tran_ref": tran_ref, "redirect_url": None, "authorised": amount,
        "captured": amount, "released": "0", "refunded": refunded, "refund_pending": "0", "flags": [], "review": [],
    }  # fmt: skip


def _unreadable(fields: Document, _nobody: ObjectId, random: Random) -> None:
    fields["amount"] = UNREADABLE[int(random.random() * len(UNREADABLE))]


#: What can be wrong with a payment, each as rare as the others.
AWKWARD: tuple[Callable[[Document, ObjectId, Random], object], ...] = (
    _unreadable,
    lambda fields, _nobody, _random: fields.pop("amount"),
    lambda fields, _nobody, _random: fields.pop("currency"),
    lambda fields, nobody, _random: fields.update(client=nobody),
    lambda fields, nobody, _random: fields.update(contractId=nobody),
)
