"""What MongoDB says of the payments under way, looked up once a round for all stories together."""

from collections import defaultdict
from collections.abc import Collection

from bson import ObjectId
from pymongo.database import Database

from tests.chaos.stage import Json


class Board:
    """The CMS's documents and the operations of some payments, as they stood at the last look.

    Args:
        database: The system's database.
    """

    def __init__(self, database: Database[Json]) -> None:
        self._database = database
        self._documents: dict[ObjectId, Json] = {}
        self._rows: dict[ObjectId, list[Json]] = {}

    def look(self, payments: Collection[ObjectId]) -> None:
        """Look again, at these payments only; documents whose collection is away are as they were."""
        named = {"$in": list(payments)}
        there = self.is_there()
        documents = {one["_id"]: one for one in self._database["payments"].find({"_id": named})}
        if there and self.is_there():
            self._documents = documents
        rows: dict[ObjectId, list[Json]] = defaultdict(list)
        for row in self._database["payment_operations"].find({"payment_id": named}).sort("created_at", 1):
            rows[row["payment_id"]].append(row)
        self._rows = rows

    def is_there(self) -> bool:
        """Tell whether the CMS's collection of payments is there."""
        return bool(self._database.list_collection_names(filter={"name": "payments"}))

    def state(self, payment: ObjectId) -> str:
        """Tell a payment's state as the CMS reads it, NEW before there is any."""
        return str(self._gateway(payment).get("state", "NEW"))

    def has(self, payment: ObjectId) -> bool:
        """Tell whether the CMS has the payment's document."""
        return payment in self._documents

    def card(self, payment: ObjectId) -> str | None:
        """Tell the id of the stored card that the payment is about, as the CMS reads it."""
        return (self._gateway(payment).get("card") or {}).get("card_id")

    def review(self, payment: ObjectId) -> list[str]:
        """List why a human is needed, as the CMS reads it."""
        return list(self._gateway(payment).get("review", []))

    def rows(self, payment: ObjectId) -> list[Json]:
        """List a payment's operations, oldest first."""
        return self._rows.get(payment, [])

    def row(self, payment: ObjectId, operation_id: str) -> Json | None:
        """Give one of them."""
        return next((row for row in self.rows(payment) if row["_id"] == operation_id), None)

    def _gateway(self, payment: ObjectId) -> Json:
        return dict(self._documents.get(payment, {}).get("gateway", {}))
