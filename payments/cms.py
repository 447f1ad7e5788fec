"""How the CMS's documents become a payment's terms and a page's customer; nothing is written here."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from bson import ObjectId
from pymongo.database import Database
from pymongo.read_preferences import ReadPreference

from payments.errors import InvalidArgument, Refusal
from paytabs.errors import InvalidRequest
from paytabs.money import parse_amount
from paytabs.parties import party

Document = dict[str, Any]


@dataclass(frozen=True)
class CmsPayment:
    """A payment as the CMS holds it; `amount` in major units of `currency`."""

    payment_id: str
    title: str
    amount: Decimal
    currency: str
    client_id: str | None
    contract_id: str | None
    tran_ref: str | None
    status: str | None


class CmsReader:
    """Reads the CMS's payments and the people on them, from the primary."""

    def __init__(self, database: Database[Document]) -> None:
        """Read from the CMS's database."""
        self._db = database.with_options(read_preference=ReadPreference.PRIMARY)

    def payment(self, payment_id: str) -> CmsPayment:
        """Return one payment.

        Raises:
            InvalidArgument: there is no such payment, or its amount or currency cannot be read.
        """
        found = self._db["payments"].find_one({"_id": ObjectId(payment_id)})
        if found is None:
            raise InvalidArgument(
                "payment_id",
                f"the id of a payment of the CMS; there is none with {payment_id}",
                Refusal.PAYMENT_UNKNOWN,
            )
        return _payment(found)

    def by_tran_ref(self, tran_ref: str) -> str | None:
        """Return the id of the payment that carries a transaction reference."""
        found = self._db["payments"].find_one({"transR": tran_ref}, {"_id": 1})
        return str(found["_id"]) if found else None

    def parties(self, client_id: str | None, contract_id: str | None) -> tuple[Document, Document]:
        """Return customer and shipping details: the payment's client and the contract's employee, empty if unknown."""
        contract = self._find("contracts", contract_id, {"employee": 1})
        employee = _reference(contract.get("employee")) if contract else None
        return _details(self._user(client_id)), _details(self._user(employee))

    def _user(self, user_id: str | None) -> Document | None:
        return self._find("users", user_id, {"fullName": 1, "email": 1, "phone": 1, "address": 1})

    def _find(self, collection: str, document_id: str | None, fields: Mapping[str, int]) -> Document | None:
        return self._db[collection].find_one({"_id": ObjectId(document_id)}, fields) if document_id else None


def _payment(found: Document) -> CmsPayment:
    currency = str(found.get("currency") or "").strip().upper()
    try:
        amount = parse_amount(_text(found.get("amount")), currency)
    except InvalidRequest as error:
        raise InvalidArgument(f"payments.{error.field}", error.expected) from error
    return CmsPayment(
        payment_id=str(found["_id"]),
        title=str(found.get("title") or "").strip(),
        amount=amount,
        currency=currency,
        client_id=_reference(found.get("client")),
        contract_id=_reference(found.get("contractId")),
        tran_ref=str(found["transR"]) if found.get("transR") else None,
        status=str(found["status"]) if found.get("status") else None,
    )


def _text(value: object) -> object:
    return value.strip() if isinstance(value, str) else value


def _reference(value: object) -> str | None:
    return str(value) if isinstance(value, ObjectId) else None


def _details(user: Document | None) -> Document:
    if user is None:
        return {}
    known = user.get("address")
    address: Document = known if isinstance(known, dict) else {}
    return party(
        {
            "name": user.get("fullName"),
            "email": user.get("email"),
            "phone": user.get("phone"),
            "street1": address.get("street"),
            "city": address.get("city"),
            "state": address.get("state"),
            "country": address.get("country"),
        }
    )
