"""What may be sent about invoices: a bill with its lines, and the word that it was paid outside PayTabs.

What the payer is asked for is the cart's amount; an invoice whose own total says something else is refused, because
nobody could tell which of the two a payer owed.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import (
    AwareDatetime,
    BeforeValidator,
    Field,
    StrictBool,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from paytabs.errors import InvalidRequest
from paytabs.money import minor_digits, parse_amount
from paytabs.parties import phone_number
from paytabs.shapes import ExactNumber, GatewayRequest, Nested, PageLife, PartyDetails, PayerRequest, Url
from paytabs.texts import cleaned

#: Characters of a line's texts that are sent; the contract states no length.
_LONGEST_TEXT = 255

#: The largest rate, in per cent.
_WHOLE = 100

#: Members of a line or an invoice that are amounts of the invoice's currency.
_LINE_AMOUNTS = ("unit_cost", "net_total", "discount_amount", "tax_total", "total")
_INVOICE_AMOUNTS = ("shipping_charges", "extra_charges", "extra_discount", "total")


def _read_moment(value: object, info: ValidationInfo) -> object:
    # Pydantic would take a number for seconds since 1970.
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            value = 0
    if value is None or isinstance(value, datetime):
        return value
    raise InvalidRequest(str(info.field_name), "an ISO 8601 time with its offset, such as 2026-08-06T10:15:30+03:00")


_Moment = Annotated[AwareDatetime | None, BeforeValidator(_read_moment)]


class LineItem(GatewayRequest):
    """One line of an invoice; rates in per cent, amounts in the invoice's currency."""

    sku: str | None = None
    description: str | None = None
    url: Url | None = None
    quantity: ExactNumber = None
    unit_cost: ExactNumber = None
    net_total: ExactNumber = None
    discount_rate: ExactNumber = None
    discount_amount: ExactNumber = None
    tax_rate: ExactNumber = None
    tax_total: ExactNumber = None
    total: ExactNumber = None

    @field_validator("sku", "description")
    @classmethod
    def _for_people(cls, value: str | None) -> str | None:
        return cleaned(value, _LONGEST_TEXT) if value is not None else None

    @field_validator("quantity")
    @classmethod
    def _some(cls, value: Decimal | None) -> Decimal | None:
        if value is not None and value <= 0:
            raise InvalidRequest("quantity", "a quantity greater than zero")
        return value

    @field_validator("discount_rate", "tax_rate")
    @classmethod
    def _per_cent(cls, value: Decimal | None, info: ValidationInfo) -> Decimal | None:
        if value is not None and not 0 <= value <= _WHOLE:
            raise InvalidRequest(str(info.field_name), f"a rate from 0 to {_WHOLE} per cent")
        return value


class InvoiceTerms(GatewayRequest):
    """What stands on an invoice beside its cart."""

    lang: Literal["en", "ar", "tr"] | None = None
    shipping_charges: ExactNumber = None
    extra_charges: ExactNumber = None
    extra_discount: ExactNumber = None
    total: ExactNumber = None
    activation_date: _Moment = None
    due_date: _Moment = None
    expiry_date: _Moment = None
    disable_edit: StrictBool | None = None
    line_items: tuple[LineItem, ...] = Field(min_length=1)

    @field_validator("line_items", mode="before")
    @classmethod
    def _number_the_lines(cls, value: object) -> object:
        return tuple(_read_lines(value)) if isinstance(value, (list, tuple)) else value


class InvoiceRequest(PayerRequest):
    """A bill that PayTabs shows under a link of its own.

    Raises:
        InvalidRequest: From the constructor, naming the first member at fault.
    """

    tran_type: Literal["sale", "auth"] = "sale"
    tran_class: Literal["ecom"] = "ecom"
    hide_shipping: StrictBool | None = None
    paypage_ttl: PageLife | None = None
    invoice: Annotated[InvoiceTerms, Nested]

    @model_validator(mode="after")
    def _one_currency_one_total(self) -> Self:
        for path, amount in _amounts_of(self.invoice):
            parse_amount(amount, self.cart_currency, field=f"invoice.{path}", allow_zero=True)
        if self.invoice.total not in (None, self.cart_amount):
            raise InvalidRequest("invoice.total", "the cart_amount, for that is what the payer is asked for")
        return self


class InvoicePaidRequest(GatewayRequest):
    """The word that an invoice was paid outside PayTabs.

    Raises:
        InvalidRequest: From the constructor, naming the first member at fault.
    """

    invoice_id: Annotated[int, Field(gt=0, strict=True)]
    invoice_currency: str
    invoice_total: Decimal
    pay_method: Literal["cash", "cheque", "banktransfer", "pointofsale"]
    pay_description: Annotated[str, StringConstraints(min_length=1)]

    @field_validator("pay_description")
    @classmethod
    def _for_people(cls, value: str) -> str:
        text = cleaned(value, _LONGEST_TEXT)
        if not text:
            raise InvalidRequest("pay_description", "a few words")
        return text

    @field_validator("invoice_currency")
    @classmethod
    def _known_currency(cls, value: str) -> str:
        minor_digits(value, field="invoice_currency")
        return value

    @field_validator("invoice_total", mode="before")
    @classmethod
    def _exact_total(cls, value: object, info: ValidationInfo) -> Decimal:
        return parse_amount(value, info.data.get("invoice_currency", "USD"), field="invoice_total")


def sms_members(phone: str) -> Mapping[str, object]:
    """Give the members that ask for an invoice's link by SMS.

    Raises:
        InvalidRequest: When it is none.
    """
    number = phone_number(phone) if isinstance(phone, str) else None
    if number is None:
        raise InvalidRequest("phone", "a telephone number of 5 to 17 digits, perhaps after a plus")
    return {"customer_details": PartyDetails(phone=number).to_members()}


def _read_lines(lines: list[object] | tuple[object, ...]) -> Iterator[LineItem]:
    for position, line in enumerate(lines):
        try:
            yield LineItem.model_validate(line)
        except InvalidRequest as error:
            # A line that is no object at all has no member to name.
            path = f"line_items.{position}" + (f".{error.field}" if error.field != "request" else "")
            raise InvalidRequest(path, error.expected) from None


def _amounts_of(terms: InvoiceTerms) -> Iterator[tuple[str, Decimal]]:
    named = [(name, getattr(terms, name)) for name in _INVOICE_AMOUNTS]
    for position, line in enumerate(terms.line_items):
        named += [(f"line_items.{position}.{name}", getattr(line, name)) for name in _LINE_AMOUNTS]
    return ((path, amount) for path, amount in named if amount is not None)
