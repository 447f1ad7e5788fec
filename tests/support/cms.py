"""CMS documents as Mongoose 8 writes them, for tests that need the CMS to have been there before."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId
from pymongo.database import Database

Document = dict[str, Any]

#: The password hash of every seeded user: a text that must never be found in anything a task returns.
PASSWORD_HASH = "$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"


@dataclass(frozen=True)
class SeededPayment:
    """The ids of one payment and of what it refers to."""

    payment: ObjectId
    contract: ObjectId
    client: ObjectId
    employee: ObjectId

    @property
    def payment_id(self) -> str:
        """The payment's id as tasks take it: 24 hexadecimal digits."""
        return str(self.payment)

    @property
    def contract_id(self) -> str:
        """The contract's id as tasks take it."""
        return str(self.contract)


def mongoose(**fields: Any) -> Document:
    """Give a document the members that Mongoose adds to every one it creates."""
    now = datetime.now(UTC)
    now = now.replace(microsecond=now.microsecond // 1000 * 1000)
    return {"_id": ObjectId(), **fields, "createdAt": now, "updatedAt": now, "__v": 0}


def user(full_name: str, *, employee: bool = False, **fields: Any) -> Document:
    """Make a user whose unique members are unique, an employee or a client."""
    unique, first_name = ObjectId(), full_name.partition(" ")[0].lower()
    document = mongoose(
        fullName=full_name,
        username=f"{first_name}.{unique}",
        phone=f"+9665{int(str(unique)[-8:], 16) % 10**8:08d}",
        email=f"{first_name}@example.com",
        password=PASSWORD_HASH,
        Age=34,
        address={
            "title": "Home",
            "street": "12 King Fahd Road",
            "city": "Riyadh",
            "state": "Riyadh",
            "country": "SA",
        },
        isEmployee=employee,
        isAdmin=False,
    )
    if employee:
        document["employeeType"] = "Engineer"
    return document | fields


def seed_payment(
    database: Database[Document],
    *,
    amount: str | None = "115.00",
    currency: str | None = "SAR",
    status: str | None = "pending",
    tran_ref: str | None = None,
    with_contract: bool = True,
    **fields: Any,
) -> SeededPayment:
    """Insert a payment with its client, contract and the contract's employee.

    Args:
        database: The CMS's database.
        amount: The payment's decimal text; None leaves the field out.
        currency: Its currency; None leaves the field out.
        status: Its status; None leaves the field out, as the CMS's first versions did.
        tran_ref: A PayTabs reference in `transR`, as the CMS's old code wrote it.
        with_contract: Whether the contract that the payment names exists.
        **fields: Further or other fields of the payment.
    """
    client, employee = user("Huda Payer"), user("Omar Engineer", employee=True)
    payment_id = ObjectId()
    contract = mongoose(
        title="Villa 12, finishing works",
        content="Finishing works of the ground floor",
        creationDate="2024-03-01",
        status="active",
        path="contracts/villa-12.pdf",
        client=client["_id"],
        employee=employee["_id"],
        paymentsIds=[payment_id],
    )
    optional = {"status": status, "amount": amount, "currency": currency, "transR": tran_ref}
    payment = mongoose(
        title="Second instalment",
        content="Due when the plastering is done",
        date="2024-04-01",
        **{name: value for name, value in optional.items() if value is not None},
        contractId=contract["_id"],
        client=client["_id"],
    )
    payment |= {"_id": payment_id, **fields}
    database["users"].insert_many([client, employee])
    if with_contract:
        database["contracts"].insert_one(contract)
    database["payments"].insert_one(payment)
    return SeededPayment(payment_id, contract["_id"], client["_id"], employee["_id"])
