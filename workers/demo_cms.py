"""The CMS of the demo: its documents as Mongoose 8 writes them, and what can be seen of them afterwards."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from bson import ObjectId
from pymongo.database import Database

Document = dict[str, Any]

#: A bcrypt hash of nothing anybody uses: what must never leave the database.
PASSWORD_HASH = "$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"  # noqa: S105 - a published example

#: Fields of the CMS's payments that this system may write.
OURS = frozenset({"status", "transR", "gateway", "updatedAt"})


@dataclass(frozen=True)
class SeededCms:
    """The ids of what the demo put into the CMS."""

    contract: ObjectId
    employee: ObjectId
    project: ObjectId
    payments: tuple[ObjectId, ...]
    client: ObjectId
    by_card: tuple[ObjectId, ...]


def seed(database: Database[Document]) -> SeededCms:
    """Insert a client, an employee, their contract and its three payments, and two of another one by stored card."""
    client, employee = _user("Huda Payer"), _user("Omar Engineer", employeeType="Engineer", isEmployee=True)
    contract_id = ObjectId()
    titles = {"First instalment": "115.00", "Second instalment": "2300.50", "Third instalment": "75.25"}
    payments = [
        _mongoose(
            title=title, content="Villa 12, finishing works", date="2024-04-01", status="pending", amount=amount,
            currency="SAR", contractId=contract_id, client=client["_id"],
        )
        for title, amount in titles.items()
    ]  # fmt: skip
    ids = [payment["_id"] for payment in payments]
    contract = _mongoose(
        title="Villa 12, finishing works", content="Finishing works of the ground floor", creationDate="2024-03-01",
        status="active", path="contracts/villa-12.pdf", client=client["_id"], employee=employee["_id"],
        paymentsIds=ids,
    )  # fmt: skip
    database["users"].insert_many([client, employee])
    project = _mongoose(
        startDate="2024-03-15", endDate="2024-09-30", content="Finishing works", status="pending",
        employee=employee["_id"], contract=contract_id,
    )  # fmt: skip
    database["contracts"].insert_one(contract | {"_id": contract_id})
    database["projects"].insert_one(project)
    database["payments"].insert_many(payments)
    by_card = _paid_by_card(database, client["_id"], employee["_id"])
    return SeededCms(contract_id, employee["_id"], project["_id"], tuple(ids), client["_id"], by_card)


def _paid_by_card(database: Database[Document], client: ObjectId, employee: ObjectId) -> tuple[ObjectId, ...]:
    """Insert the client's contract for upkeep, whose first payment keeps the card that the second is charged to."""
    contract_id = ObjectId()
    payments = [
        _mongoose(
            title=title, content="Villa 12, upkeep", date="2024-05-01", status="pending", amount="49.00",
            currency="SAR", contractId=contract_id, client=client,
        )
        for title in ("Upkeep in May", "Upkeep in June")
    ]  # fmt: skip
    ids = tuple(payment["_id"] for payment in payments)
    contract = _mongoose(
        title="Villa 12, upkeep", content="Upkeep of the garden", creationDate="2024-05-01", status="active",
        path="contracts/villa-12-upkeep.pdf", client=client, employee=employee, paymentsIds=list(ids),
    )  # fmt: skip
    database["contracts"].insert_one(contract | {"_id": contract_id})
    database["payments"].insert_many(payments)
    return ids


class CmsEyes:
    """Reads what the CMS would read, and the rows that this system keeps beside it."""

    def __init__(self, database: Database[Document]) -> None:
        self._db = database

    def payment(self, payment_id: ObjectId) -> Document:
        """Give a payment's document."""
        return self._db["payments"].find_one({"_id": payment_id}) or {}

    def add_payment(self, like: ObjectId, title: str) -> ObjectId:
        """Add a payment of the same client as another one's, of nobody's contract."""
        old = self.payment(like)
        kept = {name: old[name] for name in ("content", "date", "amount", "currency", "client")}
        new = _mongoose(title=title, status="pending", **kept)
        self._db["payments"].insert_one(new)
        return ObjectId(str(new["_id"]))

    def others(self, payment_id: ObjectId) -> Document:
        """Give the fields of a payment that nobody but the CMS may write."""
        return {name: value for name, value in self.payment(payment_id).items() if name not in OURS}

    def status(self, collection: str, document_id: ObjectId) -> str | None:
        """Give the status of a contract or a project."""
        found = self._db[collection].find_one({"_id": document_id}) or {}
        return found.get("status")

    def captured(self, payment_id: ObjectId) -> Decimal:
        """Give what is booked as taken."""
        return Decimal(str(self.payment(payment_id).get("gateway", {}).get("captured", "0")))

    def carts(self, payment_id: ObjectId) -> set[str]:
        """Name the carts under which a payment was sent to PayTabs."""
        started = self._db["payment_events"].find({"payment_id": payment_id, "type": "AttemptStarted"})
        return {str(event["data"]["cart_id"]) for event in started}

    def busy_deliveries(self) -> int:
        """Count the deliveries that are recorded and not yet applied."""
        return self._db["webhook_inbox"].count_documents({"status": {"$in": ["received", "processing"]}})

    def holds(self, texts: Collection[str]) -> bool:
        """Tell whether any document of ours, or of the CMS's payments, has one of these texts."""
        ours = [name for name in self._db.list_collection_names() if "_" in name or name in ("payments", "alerts")]
        rows = (row for name in ours for row in self._db[name].find())
        return any(text in repr(row) for row in rows for text in texts)

    def picture(self) -> dict[str, Any]:
        """Give all that a notice could change, for a comparison."""
        names = ("payments", "payment_events", "webhook_inbox")
        return {name: list(self._db[name].find({}, {"sweep_at": 0}).sort("_id", 1)) for name in names}


def _user(full_name: str, **fields: Any) -> Document:  # noqa: ANN401 - BSON values
    first_name = full_name.partition(" ")[0].lower()
    phone = f"+9665{len(full_name):08d}"
    address = {"title": "Home", "street": "12 King Fahd Road", "city": "Riyadh", "state": "Riyadh", "country": "SA"}
    common = {"Age": 34, "address": address, "isEmployee": False, "isAdmin": False, "password": PASSWORD_HASH}
    unique = {"username": first_name, "phone": phone, "email": f"{first_name}@example.com"}
    return _mongoose(fullName=full_name, **unique, **{**common, **fields})


def _mongoose(**fields: Any) -> Document:  # noqa: ANN401 - BSON values
    now = datetime.now(UTC)
    return {"_id": ObjectId(), **fields, "createdAt": now, "updatedAt": now, "__v": 0}
