"""How the CMS's documents become a payment's terms and a page's customer; nothing is written here."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from bson import ObjectId
from pymongo.database import Database
from pymongo.read_preferences import ReadPreference

from payments.cms_word import SETTLED, Unreadable, read_id, read_reference, read_status
from payments.errors import InvalidArgument, Refusal
from paytabs.errors import InvalidRequest
from paytabs.money import parse_amount
from paytabs.parties import party

Document = dict[str, Any]


@dataclass(frozen=True)
class CmsPayment:
    """A payment as the CMS holds it; `amount` in major units of `currency`.

    `status` is one of its four words, None where nothing stands; `unread_ref` is what stands in `transR` and is no
    reference.
    """

    payment_id: str
    title: str
    amount: Decimal
    currency: str
    client_id: str | None
    contract_id: str | None
    tran_ref: str | None
    status: str | None
    unread_ref: str | None = None

    @property
    def settled_outside(self) -> bool:
        """Return whether the CMS calls it settled and no transaction of PayTabs stands behind that."""
        return self.status in SETTLED and self.tran_ref is None and self.unread_ref is None


class CmsReader:
    """Reads the CMS's payments and the people on them, from the primary."""

    def __init__(self, database: Database[Document]) -> None:
        """Read from the CMS's database."""
        self._db = database.with_options(read_preference=ReadPreference.PRIMARY)

    def payment(self, payment_id: str) -> CmsPayment:
        """Return one payment.

        Raises:
            InvalidArgument: there is no such payment, or its amount, currency or status cannot be read.
        """
        found = self._db["payments"].find_one({"_id": ObjectId(payment_id)})
        if found is None:
            raise InvalidArgument(
                "payment_id",
                f"the id of a payment of the CMS; there is none with {payment_id}",
                Refusal.PAYMENT_UNKNOWN,
            )
        return _payment(found)

    def client_of(self, payment_id: str) -> str | None:
        """Return whose payment it is as the document stands now; None for nobody's, and for one that is gone."""
        return read_id((self._find("payments", payment_id, {"client": 1}) or {}).get("client"))

    def by_tran_ref(self, tran_ref: str) -> str | None:
        """Return the id of the payment that carries a transaction reference."""
        found = self._db["payments"].find_one({"transR": tran_ref}, {"_id": 1})
        return str(found["_id"]) if found else None

    def parties(self, client_id: str | None, contract_id: str | None) -> tuple[Document, Document]:
        """Return customer and shipping details: the payment's client and the contract's employee, empty if unknown."""
        contract = self._find("contracts", contract_id, {"employee": 1})
        employee = read_id(contract.get("employee")) if contract else None
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
    reference = read_reference(found.get("transR"))
    return CmsPayment(
        payment_id=str(found["_id"]),
        title=str(found.get("title") or "").strip(),
        amount=amount,
        currency=currency,
        client_id=read_id(found.get("client")),
        contract_id=read_id(found.get("contractId")),
        tran_ref=reference if isinstance(reference, str) else None,
        status=readable_status(found.get("status")),
        unread_ref=reference.shown if isinstance(reference, Unreadable) else None,
    )


def readable_status(value: object) -> str | None:
    """Return the CMS's status as one of its four words; None where nothing stands.

    Raises:
        InvalidArgument: it is none of them; names the value.
    """
    status = read_status(value)
    if isinstance(status, Unreadable):
        expected = f"pending, paid, refunded, failed or nothing; it is {status.shown}"
        raise InvalidArgument("payments.status", expected, Refusal.STATUS_UNREADABLE)
    return status


def _text(value: object) -> object:
    return value.strip() if isinstance(value, str) else value


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
