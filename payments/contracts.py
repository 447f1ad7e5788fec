"""What a contract and its projects come to when its payments change: counted anew each time, never added up.

A contract counts the payments it names and those that name it, without the failed ones. Its document is changed in
every transaction that counts, so that of two that race the older one has to count again.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import pymongo
from bson import ObjectId
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from payments.cms_word import either, read_id, read_status

Document = dict[str, Any]

#: What the CMS reads of a contract all of whose payments are paid, or some.
PAID, PARTIALLY_PAID = "paid", "partially_paid"

#: Where the status stands that a contract had before the first payment: a refund of everything gives it back.
MARKS = "contract_marks"

#: Projects that are over, or under way already, stay what they are.
NOT_STARTED_AGAIN = ("active", "completed", "done", "finished", "closed", "cancelled", "canceled", "archived")


def contract_status(payments: Iterable[object]) -> str | None:
    """Return what the payments' statuses make of their contract, or None when none of them is paid.

    Args:
        payments: `payments.status` of each, as it stands there; nothing stands for pending, and what cannot be read
            counts as not paid.
    """
    counted = [status for status in map(read_status, payments) if status != "failed"]
    paid = counted.count("paid")
    if not paid:
        return None
    return PAID if paid == len(counted) else PARTIALLY_PAID


class Contracts:
    """Writes `contracts.status` and `projects.status`, within the transactions of others."""

    def __init__(
        self, database: Database[Document], missing: Callable[[ObjectId, ClientSession], object] = lambda _, __: None
    ) -> None:
        """Write to the CMS's database; `missing` is told of a contract that is not there, within the transaction."""
        self._missing = missing
        self._client = database.client
        self._contracts, self._payments = database["contracts"], database["payments"]
        self._projects, self._marks = database["projects"], database[MARKS]

    def of_payment(self, payment_id: str, known: str | None, session: ClientSession) -> list[ObjectId]:
        """List the contracts that a payment belongs to: the one it named, the one it names, those that name it."""
        payment = ObjectId(payment_id)
        document = self._payments.find_one({"_id": payment}, {"contractId": 1}, session=session) or {}
        named = self._contracts.find({"paymentsIds": either(payment)}, {"_id": 1}, session=session)
        found = [known, document.get("contractId"), *(one["_id"] for one in named)]
        return [ObjectId(one) for one in dict.fromkeys(map(read_id, found)) if one]

    def recount(self, contract_id: ObjectId, now: datetime, session: ClientSession) -> str | None:
        """Set a contract's status to what its payments make of it.

        Returns:
            The status that was set, None when there is no such contract or it keeps the one it has.
        """
        # Changed before anything is read: whoever counts at the same time conflicts here, and counts again.
        touched = {"$set": {"updatedAt": now}}
        contract = self._contracts.find_one_and_update({"_id": contract_id}, touched, session=session)
        if contract is None:
            self._missing(contract_id, session)
            return None
        due = self._due(contract, session)
        if due is None:
            return None
        new, original = due
        self._contracts.update_one({"_id": contract_id}, {"$set": {"status": new, "updatedAt": now}}, session=session)
        noted = {"$set": {"set": new, "before": original}}
        self._marks.update_one({"_id": contract_id}, noted, upsert=True, session=session)
        return new

    def recount_if_due(self, contract_id: ObjectId, now: datetime) -> bool:
        """Recount a contract in a transaction of its own, if a look shows that its status is another than it should be.

        A contract that is right is not touched: whoever follows the contracts' changes would have it counted for ever.
        """
        with pymongo.timeout(self._client.options.timeout), self._client.start_session() as session:
            try:
                if self.due(contract_id, session) is None:
                    return False
            except LookupError:
                return False
            session.with_transaction(
                lambda within: self.recount(contract_id, now, within),
                read_concern=ReadConcern("snapshot"),
                write_concern=WriteConcern("majority", j=True),
                read_preference=ReadPreference.PRIMARY,
            )
            return True

    def due(self, contract_id: ObjectId, session: ClientSession) -> tuple[str | None, str] | None:
        """Return the status that a contract has and the one it should have; None when it has that one.

        Raises:
            LookupError: there is no such contract.
        """
        contract = self._contracts.find_one({"_id": contract_id}, session=session)
        if contract is None:
            raise LookupError(f"contract {contract_id}")
        due = self._due(contract, session)
        return (contract.get("status"), due[0]) if due else None

    def activate_projects(self, contract_id: ObjectId, now: datetime, session: ClientSession) -> int:
        """Set a contract's projects to `active`, those apart that are over; return how many were set."""
        waiting = {"contract": contract_id, "status": {"$nin": list(NOT_STARTED_AGAIN)}}
        set_to = {"$set": {"status": "active", "updatedAt": now}}
        return self._projects.update_many(waiting, set_to, session=session).modified_count

    def _due(self, contract: Document, session: ClientSession) -> tuple[str, str | None] | None:
        """Return a contract's new status and the one it had before any payment; None when nothing changes."""
        mark = self._marks.find_one({"_id": contract["_id"]}, session=session)
        before = contract.get("status")
        # What the CMS has changed since we set it is the CMS's own again.
        original = mark["before"] if mark and before == mark["set"] else before
        new = contract_status(self._statuses(contract, session)) or (original if mark else None)
        return None if new is None or new == before else (new, original)

    def _statuses(self, contract: Document, session: ClientSession) -> list[object]:
        named = contract.get("paymentsIds")
        ids = [ObjectId(one) for one in map(read_id, named if isinstance(named, list) else []) if one]
        wanted = {"$or": [{"_id": {"$in": ids}}, {"contractId": either(contract["_id"])}]}
        return [one.get("status") for one in self._payments.find(wanted, {"status": 1}, session=session)]
