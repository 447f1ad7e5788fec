"""What the tasks that move money take: an operation id of the caller's, and amounts as decimal text."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from paytabs.card_data import refuse_card_number
from paytabs.errors import InvalidRequest
from tasks.arguments import Arguments, Decided, OfPayment, OperationId, TranRef, WebAddress
from tasks.arguments_agreement import Amount


def _no_card_number(value: object) -> object:
    try:
        return refuse_card_number(value, field="token") if isinstance(value, str) else value
    except InvalidRequest as error:
        raise PydanticCustomError("card_number", "{reason}", {"reason": error.expected}) from None


#: A reference that PayTabs gave for a card; never the card's own number.
Token = Annotated[
    str, StringConstraints(pattern=r"^[!-~]{1,128}$"), BeforeValidator(_no_card_number), Field(repr=False)
]

#: Why, for PayTabs' records and ours.
Reason = Annotated[str, StringConstraints(min_length=1, max_length=128)]


class FollowUp(OfPayment, Decided):
    """A capture, void or release: all that remains, or an amount."""

    amount: Amount | None = None
    operation_id: OperationId
    reason: Reason | None = None
    tran_ref: TranRef | None = None


class Refund(FollowUp):
    """A refund of all that is left, or of an amount; each transaction that took money is refunded by itself."""


class ChargeToken(OfPayment):
    """A charge of a stored card; `origin` is the reference of the transaction that made its token."""

    token: Token
    operation_id: OperationId
    payer_present: bool = False
    transaction: Literal["sale", "auth"] = "sale"
    callback_url: WebAddress | None = None
    return_url: WebAddress | None = None
    origin: TranRef | None = None


class ManagedForm(OfPayment):
    """A charge of what the payer typed into PayTabs' fields, under the one-use token that they gave."""

    payment_token: Token
    operation_id: OperationId
    transaction: Literal["sale", "auth"] = "sale"
    callback_url: WebAddress | None = None
    return_url: WebAddress | None = None
    tokenise: Annotated[int, Field(ge=2, le=6)] | None = None


class OfToken(Arguments):
    """A stored card."""

    token: Token


class DeleteToken(OfToken, Decided):
    """A stored card that is to be forgotten."""

    operation_id: OperationId


class CreateInvoice(OfPayment):
    """A bill for a payment; `invoice` has PayTabs' members (`line_items`, `due_date` …), amounts as text."""

    invoice: Annotated[dict[str, Any], Field(json_schema_extra={"exact": True})]
    operation_id: OperationId
    transaction: Literal["sale", "auth"] = "sale"
    callback_url: WebAddress | None = None
    return_url: WebAddress | None = None


class ActOnInvoice(OfPayment, Decided):
    """Something done to a payment's invoice."""

    operation_id: OperationId


class SendSms(ActOnInvoice):
    """An invoice's link for a telephone."""

    phone: Annotated[str, StringConstraints(pattern=r"^\+?[0-9 ()-]{5,24}$")]


class MarkPaid(ActOnInvoice):
    """An invoice paid outside PayTabs."""

    pay_method: Literal["cash", "cheque", "banktransfer", "pointofsale"]
    pay_description: Annotated[str, StringConstraints(min_length=1, max_length=128)]
