"""What became of a call: one of five outcomes, and what the answer said."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from paytabs.transactions import Transaction


class Outcome(StrEnum):
    """What became of a call."""

    SUCCEEDED = "succeeded"
    PENDING = "pending"
    REFUSED = "refused"
    DID_NOT_HAPPEN = "did_not_happen"
    UNKNOWN = "unknown"


class Call(StrEnum):
    """Which shape of answer a call expects."""

    REQUEST = "request"
    CHARGE = "charge"
    FOLLOW_UP = "follow_up"
    FREEING = "freeing"
    QUERY_TRAN = "query_tran"
    QUERY_CART = "query_cart"
    QUERY_TOKEN = "query_token"  # noqa: S105 - the name of a call
    DELETE_TOKEN = "delete_token"  # noqa: S105 - the name of a call
    CREATE_INVOICE = "create_invoice"
    INVOICE_STATUS = "invoice_status"
    CANCEL_INVOICE = "cancel_invoice"
    SEND_INVOICE_SMS = "send_invoice_sms"
    MARK_INVOICE_PAID = "mark_invoice_paid"


#: What a response status says of the call. V is no success; a letter that is not listed is neither success nor failure.
OUTCOME_OF_STATUS: Mapping[str, Outcome] = MappingProxyType(
    {
        "A": Outcome.SUCCEEDED,
        "P": Outcome.PENDING,
        "H": Outcome.PENDING,
        "D": Outcome.REFUSED,
        "E": Outcome.REFUSED,
        "C": Outcome.REFUSED,
        "X": Outcome.REFUSED,
        "V": Outcome.REFUSED,
    }
)


@dataclass(frozen=True)
class Answer:
    """What became of one call, whether or not the gateway answered.

    Attributes:
        outcome: One of the five.
        detail: One machine word for why the outcome is what it is.
        http_status: The status received, if any.
        transaction: The one transaction an object answer describes.
        transactions: The transactions of a query by cart, newest first as received.
        error_code: The error envelope's code.
        message: The error envelope's text; not a contract, not for payers.
        trace: What identifies the call on PayTabs' side.
        retry_after_seconds: How long the answer asked to wait.
        invoice_id: The invoice the answer is about.
        invoice_link: Where the payer finds a new invoice.
        invoice_status: What PayTabs says of an invoice, in lower case. It stays `paid` after the payment was voided:
            the outcome takes the transaction's status into account.
        not_taken: The member for which the answer was not taken: it cannot be read, or names other terms than asked.
        key_in_doubt: Whether the call was refused for the key, or for what stood in it: a question has to tell.
    """

    outcome: Outcome
    detail: str
    http_status: int | None = None
    transaction: Transaction | None = None
    transactions: tuple[Transaction, ...] = ()
    error_code: int | None = None
    message: str | None = None
    trace: str | None = None
    retry_after_seconds: float | None = None
    invoice_id: int | None = None
    invoice_link: str | None = None
    invoice_status: str | None = None
    not_taken: str | None = None
    key_in_doubt: bool = False


#: The detail of an answer that nobody gave: the call was not made, and `retry_after_seconds` says when to ask again.
PARKED = "parked"

#: An answer that is JSON and yet none of those its call can have.
UNEXPECTED = Answer(Outcome.UNKNOWN, "unexpected_shape")
