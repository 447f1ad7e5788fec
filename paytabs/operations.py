"""What may be sent: request models that refuse what PayTabs would refuse, or silently misread, before anything is sent.

Lengths and forms are PayTabs' own. Amounts travel as JSON numbers with the currency's exact digits, which the standard
encoder cannot write, hence a serialiser of our own. A mistake is an `InvalidRequest` that names the member.
"""

import json
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    StrictBool,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)

from paytabs.errors import InvalidRequest
from paytabs.money import format_amount, minor_digits, parse_amount

#: PayTabs cuts or refuses longer addresses.
_URL_MAX = 255

_Url = Annotated[str, StringConstraints(max_length=_URL_MAX, pattern=r"^https?://[!-~]+$")]
_UserField = Annotated[str, StringConstraints(pattern=r"^udf[1-9]$")]

#: What each model's members are called on the wire, where the name differs.
_WIRE_NAMES: Mapping[str, str] = MappingProxyType({"return_url": "return"})


class _Request(BaseModel):
    """What all request models share: closed, frozen, with errors in this package's words."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @model_validator(mode="wrap")
    @classmethod
    def _name_the_mistake(cls, data: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(data)
        except ValidationError as error:
            raise _first_mistake(error) from None


class PartyDetails(_Request):
    """Who pays, or where the goods go; what is missing is asked on the hosted page.

    A country is its ISO 3166 code (AE or ARE): anything else has to be left out.
    """

    name: str | None = None
    email: str | None = None
    phone: str | None = None
    street1: str | None = None
    city: str | None = None
    state: str | None = None
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2,3}$")] | None = None
    zip: str | None = None
    ip: str | None = None


class PageRequest(_Request):
    """A hosted page: sale, auth or register.

    Raises:
        InvalidRequest: From the constructor, naming the first member at fault.
    """

    cart_id: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    cart_description: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    cart_currency: str
    cart_amount: Decimal
    tran_type: Literal["sale", "auth", "register"] = "sale"
    tran_class: Literal["ecom"] = "ecom"
    callback: _Url | None = None
    return_url: _Url | None = None
    return_using_get: StrictBool | None = None
    paypage_lang: Literal["en", "ar", "tr"] | None = None
    payment_methods: tuple[Annotated[str, StringConstraints(pattern=r"^-?[a-z]+$")], ...] = ()
    tokenise: Annotated[int, Field(ge=2, le=6, strict=True)] | None = None
    show_save_card: StrictBool | None = None
    customer_details: PartyDetails | None = None
    shipping_details: PartyDetails | None = None
    hide_shipping: StrictBool | None = None
    user_defined: Mapping[_UserField, str] | None = None
    customer_ref: str | None = None

    @field_validator("customer_details", "shipping_details", mode="wrap")
    @classmethod
    def _name_the_party(
        cls, value: object, handler: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> PartyDetails | None:
        try:
            party: PartyDetails | None = handler(value)
        except InvalidRequest as error:
            raise InvalidRequest(f"{info.field_name}.{error.field}", error.expected) from None
        return party

    @field_validator("cart_currency")
    @classmethod
    def _known_currency(cls, value: str) -> str:
        minor_digits(value, field="cart_currency")
        return value

    @field_validator("cart_amount", mode="before")
    @classmethod
    def _exact_amount(cls, value: object, info: ValidationInfo) -> Decimal:
        # An unknown currency is reported by itself; two decimals then stand in, so that a bad amount is still found.
        return parse_amount(value, info.data.get("cart_currency", "USD"), field="cart_amount")

    def to_body(self, profile_id: int) -> bytes:
        """Write the request's JSON body.

        Args:
            profile_id: The profile the server key belongs to.

        Returns:
            UTF-8 JSON; the amount is a number with the currency's digits, empty members are left out.
        """
        members: dict[str, Any] = {"profile_id": profile_id}
        for name, value in self.model_dump().items():
            members[_WIRE_NAMES.get(name, name)] = value
        members["cart_amount"] = _Literal(format_amount(self.cart_amount, self.cart_currency))
        return write_json(members)


class _Literal(str):
    """Text that is already JSON."""

    __slots__ = ()


def write_json(members: Mapping[str, Any]) -> bytes:
    """Write a request body, leaving out members that are null or empty.

    Args:
        members: Strings, integers, booleans, lists and mappings of them.
    """
    return _write(members).encode("ascii")


def _write(value: object) -> str:
    if isinstance(value, _Literal):
        return value
    if isinstance(value, Mapping):
        kept = {name: written for name, written in value.items() if not _is_empty(written)}
        return "{" + ",".join(f"{json.dumps(name)}:{_write(written)}" for name, written in kept.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(_write(entry) for entry in value) + "]"
    if isinstance(value, (str, int)):
        return json.dumps(value)
    raise TypeError(f"{type(value).__name__} has no place in a request")


def _is_empty(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(_is_empty(member) for member in value.values())
    return value is None or value in ("", (), [])


def _first_mistake(error: ValidationError) -> InvalidRequest:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    path = ".".join(str(step) for step in first["loc"] if step != "[key]")
    message = first["msg"].removeprefix("Input should be ")
    return InvalidRequest(path or "request", message[:1].lower() + message[1:])
