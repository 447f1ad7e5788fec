"""How long a payment that the CMS writes takes to show in the answers from the views, and in the views themselves."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from aggregations.catalogue import find
from aggregations.parameters import ContractParameters, Parameters, SpanParameters
from aggregations.view_reads import ViewReads

Json = dict[str, Any]

#: How long a payment may take before it counts as lost, in seconds.
PATIENCE_SECONDS = 60.0

#: How often it is looked, in seconds.
LOOK_SECONDS = 0.01


@dataclass
class Freshness:
    """Seconds from the acknowledged write until each place had it."""

    summary: list[float] = field(default_factory=list)
    balance: list[float] = field(default_factory=list)
    stored: list[float] = field(default_factory=list)


class Shop:
    """Writes payments as the CMS does, and looks for them.

    Args:
        cms: the database, from a client that knows nothing of us.
        ours: the database, from a client of ours.
    """

    def __init__(self, cms: Database[Json], ours: Database[Json]) -> None:
        self._cms, self._ours, self._reads = cms, ours, ViewReads(ours)
        self.contract = ObjectId()
        self.written = 0
        cms["contracts"].insert_one({"_id": self.contract, "title": "Villa", "createdAt": datetime.now(UTC)})

    def write(self) -> None:
        """Write one payment."""
        new = {"amount": "10.00", "currency": "SAR", "status": "paid", "contractId": self.contract}
        self._cms["payments"].insert_one({**new, "createdAt": datetime.now(UTC)})
        self.written += 1

    def pay(self, found: Freshness) -> None:
        """Write one payment and wait until it shows everywhere."""
        self.write()
        began = time.monotonic()
        waiting = {"summary": found.summary, "balance": found.balance, "stored": found.stored}
        while waiting:
            for name in list(waiting):
                if getattr(self, f"_{name}")() == self.written:
                    waiting.pop(name).append(time.monotonic() - began)
            assert time.monotonic() < began + PATIENCE_SECONDS, f"never seen: {', '.join(waiting)}"
            time.sleep(LOOK_SECONDS)

    def _summary(self) -> int | None:
        answer = self._answer("payments_summary", SpanParameters())
        return None if answer is None else sum(row["payments"] for row in answer["rows"])

    def _balance(self) -> int | None:
        answer = self._answer("contract_balance", ContractParameters(contract_id=str(self.contract)))
        return None if answer is None else sum(row["payments"] for row in answer["balances"])

    def _stored(self) -> int | None:
        row = self._ours["mv_contract_balances"].find_one({"_id": self.contract})
        return sum(one["payments"] for one in row["rows"]) if row else None

    def _answer(self, name: str, parameters: Parameters) -> Any:
        row, now = find(name), datetime.now(UTC)
        given = self._reads.from_view(row, parameters, now)
        return row.answer(given.documents) if given and given.documents else None
