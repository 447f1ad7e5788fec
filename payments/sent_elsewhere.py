"""Operations that are known to have been asked for, though the ledger may have no row of them.

After a restore the file of seals knows which operations were sent within the forgotten time, and the audit trail who
asked for what. PayTabs is asked about them by their carts, which can be made from their ids.
"""

from collections.abc import Iterable
from typing import Any, Final

from bson import ObjectId
from pymongo import IndexModel, UpdateOne
from pymongo.database import Database
from pymongo.read_preferences import ReadPreference

from payments.audit_entries import AuditEntries

Document = dict[str, Any]

#: What the audit trail calls the acts that PayTabs is sent.
_COMMANDS = frozenset({"payments.capture", "payments.void", "payments.release", "payments.refund"})

#: The collection of what the file of seals knew.
COLLECTION = "forgotten_sends"


class SentElsewhere:
    """Reads and writes `forgotten_sends`, and reads the audit trail."""

    #: A payment's operations.
    INDEXES: Final = (IndexModel("payment_id", name="payment_id_1"),)

    def __init__(self, database: Database[Document]) -> None:
        """Use a database whose writes are acknowledged by a majority."""
        self.rows = database.get_collection(COLLECTION, read_preference=ReadPreference.PRIMARY)
        self._entries = AuditEntries(database)

    def ensure_indexes(self) -> None:
        """Create the index by which a payment's operations are found; harmless when it is there."""
        self.rows.create_indexes(list(self.INDEXES))

    def keep(self, sent: Iterable[tuple[str, str]]) -> int:
        """Keep operations, each a payment's id and its own, that were sent in a forgotten time; returns how many."""
        writes = [
            UpdateOne(
                {"_id": f"{payment_id} {operation_id}"},
                {"$set": {"payment_id": ObjectId(payment_id), "operation_id": operation_id}},
                upsert=True,
            )
            for payment_id, operation_id in sent
            if ObjectId.is_valid(payment_id)
        ]
        if writes:
            self.rows.bulk_write(writes, ordered=False)
        return len(writes)

    def of(self, payment_id: str) -> list[str]:
        """Return the operations of a payment that are known so, in an order that is always the same."""
        kept = {str(row["operation_id"]) for row in self.rows.find({"payment_id": ObjectId(payment_id)})}
        return sorted(kept | self._acted(payment_id))

    def payments(self) -> list[str]:
        """Return the payments whose sends the file of seals knew."""
        return sorted({str(one) for one in self.rows.distinct("payment_id")})

    def _acted(self, payment_id: str) -> set[str]:
        """Return the captures, voids, releases and refunds that the audit trail tells were accepted."""
        accepted = (
            entry.get("arguments")
            for entry in self._entries.of_payment(payment_id)
            if entry.get("command") in _COMMANDS and str(entry.get("outcome")).startswith("accepted")
        )
        return {str(one["operation_id"]) for one in accepted if isinstance(one, dict) and one.get("operation_id")}
