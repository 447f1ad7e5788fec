"""CMS-shaped contracts and payments for measurements of views: many days, some currencies, all statuses."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from bson import ObjectId
from pymongo import InsertOne
from pymongo.database import Database

Document = dict[str, Any]

#: How many there are at scale 1.
PAYMENTS, CONTRACTS = 500_000, 50_000

#: Over how many days the payments are spread: three years.
DAYS = 1_096

#: What a payment of the CMS has beside what is added up, to give documents their usual size.
TEXT = "Second instalment, foundations and ground floor as agreed. " * 4

#: How many documents are written at once.
CHUNK = 5_000


def fill(db: Database[Document], scale: float, seed: int = 1) -> list[ObjectId]:
    """Insert contracts and payments; return the contracts' ids."""
    source = random.Random(seed)  # noqa: S311 - figures, not secrets
    contracts = [ObjectId() for _ in range(max(20, int(CONTRACTS * scale)))]
    _insert(db, "contracts", ({"_id": one, "title": "Villa", "paymentsIds": []} for one in contracts))
    _insert(db, "payments", (payment(source, contracts) for _ in range(max(200, int(PAYMENTS * scale)))))
    return contracts


def payment(source: random.Random, contracts: list[ObjectId]) -> Document:
    """Return a payment of one of the contracts."""
    created = datetime.now(UTC) - timedelta(seconds=source.randrange(DAYS * 86_400))
    return {
        "title": "Instalment",
        "content": TEXT,
        "status": source.choices(("paid", "pending", "refunded", "failed"), (70, 20, 3, 7))[0],
        "amount": f"{source.randrange(1, 10**6)}.{source.randrange(100):02d}",
        "currency": source.choice(("SAR", "AED", "EGP", "usd", "OMR")),
        "contractId": source.choice(contracts),
        "client": ObjectId(),
        "createdAt": created,
        "updatedAt": created,
        "__v": 0,
    }


def _insert(db: Database[Document], name: str, documents: Iterator[Document]) -> None:
    while part := list(islice(documents, CHUNK)):
        db[name].bulk_write([InsertOne(one) for one in part], ordered=False)
