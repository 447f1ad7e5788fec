"""What was done to an invoice beside making it: one document per caller's id, in the row of the operation that made it.

An act is noted as `sent` before PayTabs is called, so one that still is `sent` when somebody comes back may have been
carried out and counts as `unknown`. An id stands for one kind of act with one set of parameters, of which digests only
are kept: a telephone number is written down nowhere.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from bson import ObjectId

from payments.errors import OperationConflict
from payments.ladder import SETTLING
from payments.operations import Operation, OperationsLedger

Document = dict[str, Any]


class ActState(StrEnum):
    """How far an act came."""

    SENT = "sent"
    UNKNOWN = "unknown"
    DONE = "done"
    REFUSED = "refused"


@dataclass(frozen=True)
class Asked:
    """An act as a caller asks for it."""

    id: str
    kind: str
    params: Mapping[str, object]
    by: str | None

    @property
    def digests(self) -> dict[str, str]:
        """Return a digest of each parameter, of use under this id only."""
        return {name: digest(f"{self.id}\n{name}\n{value}") for name, value in self.params.items()}


class Acts:
    """Reads and writes the acts in `payment_operations`."""

    def __init__(self, ledger: OperationsLedger) -> None:
        """Use the ledger's rows."""
        self._ledger, self._rows = ledger, ledger.rows

    def find(self, row: Operation, asked: Asked, now: datetime) -> Document | None:
        """Return the act that stands under an id, if there is one.

        Raises:
            OperationConflict: the id stands for something else; the difference is named.
        """
        if self._ledger.get(asked.id):
            raise OperationConflict("operation_id", "an id of its own: this one stands for an operation")
        self._date(row, asked, now)
        found = self._rows.find_one({"acts.id": asked.id}, {"acts": 1, "payment_id": 1})
        if found is None:
            return None
        if str(found["payment_id"]) != row.payment_id:
            raise OperationConflict("payment_id", f"{found['payment_id']}, as act {asked.id} was first asked")
        act: Document = next(one for one in found["acts"] if isinstance(one, dict) and one["id"] == asked.id)
        _check_same(act, asked)
        return act

    def state_of(self, row: Operation, act_id: str, kind: str) -> str | None:
        """Return how far an act of a row came; None when the row has none of that id and kind."""
        found = self._rows.find_one({"_id": row.operation_id}, {"acts": 1}) or {}
        acts = (one for one in found.get("acts", ()) if isinstance(one, dict))
        return next((one["state"] for one in acts if (one["id"], one["kind"]) == (act_id, kind)), None)

    def claim(self, row: Operation, asked: Asked, now: datetime, state: ActState = ActState.SENT) -> bool:
        """Note an act before it is done; False when another worker has noted one under the same id."""
        unnoted = {"_id": row.operation_id, "acts.id": {"$ne": asked.id}, "acts": {"$ne": asked.id}}
        return self._rows.update_one(unnoted, {"$push": {"acts": _act(asked, now, state)}}).modified_count == 1

    def claim_again(self, row: Operation, act: Document, now: datetime) -> bool:
        """Note that an act is sent once more; False when it has moved on since it was read."""
        same = {"id": act["id"], "state": act["state"], "at": act["at"]}
        changes = {"acts.$.state": ActState.SENT, "acts.$.at": now}
        query = {"_id": row.operation_id, "acts": {"$elemMatch": same}}
        return self._rows.update_one(query, {"$set": changes}).modified_count == 1

    def end(self, row: Operation, act_id: str, state: ActState) -> None:
        """Write what became of an act; one that is done stays done."""
        open_ = {"id": act_id, "state": {"$ne": ActState.DONE}}
        query = {"_id": row.operation_id, "acts": {"$elemMatch": open_}}
        self._rows.update_one(query, {"$set": {"acts.$.state": state}})

    def forget(self, row: Operation, act_id: str) -> None:
        """Take back the note of an act that provably did not happen."""
        self._rows.update_one({"_id": row.operation_id}, {"$pull": {"acts": {"id": act_id}}})

    def seconds_in_doubt(self, act: Document, now: datetime) -> float:
        """Return for how long its absence at PayTabs says nothing of an act yet; 0 when it counts."""
        wait: timedelta = act["at"] + self._ledger.lease + SETTLING - now
        return max(wait.total_seconds(), 0.0)

    def _date(self, row: Operation, asked: Asked, now: datetime) -> None:
        """Make a document of an act of which an earlier version kept the id alone: it may have been done just now."""
        bare = {"payment_id": ObjectId(row.payment_id), "acts": asked.id}
        self._rows.update_one(bare, {"$set": {"acts.$": _act(asked, now, ActState.UNKNOWN)}})


def digest(text: str) -> str:
    """Return the SHA-256 of a text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def _act(asked: Asked, now: datetime, state: ActState) -> Document:
    return {
        "id": asked.id, "kind": asked.kind, "digest": asked.digests, "by": asked.by, "at": now, "state": state,
    }  # fmt: skip


def _check_same(act: Document, asked: Asked) -> None:
    if act["kind"] != asked.kind:
        raise OperationConflict("operation_id", f"{act['kind']}, as act {asked.id} was first asked")
    for name, value in asked.digests.items():
        if act["digest"].get(name) != value:
            raise OperationConflict(name, f"the same as act {asked.id} was first asked with")
