"""What all requests share: closed and frozen models, mistakes in this package's words, exact amounts, no card data.

Lengths and forms are PayTabs' own. A mistake is an `InvalidRequest` that names the member with its path and never shows
the value.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    StrictBool,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from paytabs.card_data import refuse_card_data
from paytabs.countries import alpha_2
from paytabs.errors import InvalidRequest
from paytabs.money import minor_digits, parse_amount, read_decimal
from paytabs.writing import write_json

#: PayTabs cuts or refuses longer addresses.
_URL_MAX = 255

#: The length of the longer codes of countries.
_ALPHA_3 = 3

#: More digits than any rate, quantity or price has.
_MAX_DIGITS = 18

#: What some members are called on the wire.
_WIRE_NAMES: Mapping[str, str] = MappingProxyType({"return_url": "return"})


def _whole(value: str) -> str:
    """Refuse an address whose host or port cannot be told."""
    try:
        parts = urlsplit(value)
        is_whole = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        is_whole = False
    if not is_whole:
        raise PydanticCustomError("url", "an http or https address with a host")
    return value


Url = Annotated[str, StringConstraints(max_length=_URL_MAX, pattern=r"^https?://[!-~]+$"), AfterValidator(_whole)]

#: PayTabs' references and tokens are opaque to us; only what could not be one is refused.
Reference = Annotated[str, StringConstraints(max_length=128, pattern=r"^[!-~]+$")]

#: For how many minutes a hosted page lives; PayTabs takes whole ones.
PageLife = Annotated[int, Field(ge=1, strict=True)]

_UserField = Annotated[str, StringConstraints(pattern=r"^udf[1-9]$")]


class GatewayRequest(BaseModel):
    """A part of a request: refuses unknown members, and those for raw card data with the reason."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @model_validator(mode="wrap")
    @classmethod
    def _name_the_mistake(cls, data: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        refuse_card_data(data)
        try:
            return handler(data)
        except ValidationError as error:
            raise _first_mistake(error) from None

    def to_members(self) -> dict[str, Any]:
        """Give the declared members under PayTabs' names; whatever else the object may hold stays behind."""
        return {_WIRE_NAMES.get(name, name): _plain(getattr(self, name)) for name in type(self).model_fields}

    def to_body(self, profile_id: int) -> bytes:
        """Write the request's JSON body.

        Args:
            profile_id: The profile the server key belongs to.

        Returns:
            UTF-8 JSON; amounts are numbers with exact digits, empty members are left out.
        """
        return write_json({"profile_id": profile_id, **self.to_members()})


def _nest(value: object, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:  # noqa: ANN401 - pydantic's
    """Put a member's name in front of the mistakes found inside it."""
    try:
        return handler(value)
    except InvalidRequest as error:
        raise InvalidRequest(f"{info.field_name}.{error.field}", error.expected) from None


def _read_exactly(value: object, info: ValidationInfo) -> Decimal | None:
    if value is None:
        return None
    field = str(info.field_name)
    number = read_decimal(value, field=field)
    # Plain notation of a number with a large exponent would fill the memory.
    if not number.is_finite() or not -_MAX_DIGITS <= int(number.as_tuple().exponent) <= _MAX_DIGITS:
        raise InvalidRequest(field, f"a finite number of at most {_MAX_DIGITS} digits")
    return number


#: Marks a member that is a model of its own.
Nested = WrapValidator(_nest)

#: A number that is no float, such as a rate, a quantity or a price; None when it is not sent.
ExactNumber = Annotated[Decimal | None, BeforeValidator(_read_exactly)]


class PartyDetails(GatewayRequest):
    """Who pays, or where the goods go; what is missing is asked on the hosted page.

    Anything that PayTabs would refuse has to be left out; `paytabs.parties` does so.
    """

    name: str | None = None
    email: str | None = None
    phone: str | None = None
    street1: str | None = None
    city: str | None = None
    state: str | None = None
    country: str | None = None
    zip: str | None = None
    ip: str | None = None

    @field_validator("country")
    @classmethod
    def _known_country(cls, value: str | None) -> str | None:
        if value is not None and (not value.isupper() or len(value) > _ALPHA_3 or alpha_2(value) is None):
            raise InvalidRequest("country", "an ISO 3166 code in capitals, such as AE or ARE")
        return value


class CartRequest(GatewayRequest):
    """What every request that moves money carries: our own reference, a text for people, and how much."""

    cart_id: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    cart_description: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    cart_currency: str
    cart_amount: Decimal

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


class PayerRequest(CartRequest):
    """A request that begins a payment: where it is reported, and who pays."""

    callback: Url | None = None
    return_url: Url | None = None
    return_using_get: StrictBool | None = None
    customer_details: Annotated[PartyDetails | None, Nested] = None
    shipping_details: Annotated[PartyDetails | None, Nested] = None
    user_defined: Mapping[_UserField, str] | None = None
    customer_ref: str | None = None


def _plain(value: object) -> object:
    if isinstance(value, GatewayRequest):
        return value.to_members()
    if isinstance(value, tuple):
        return [_plain(entry) for entry in value]
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else value


def _first_mistake(error: ValidationError) -> InvalidRequest:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    path = ".".join(str(step) for step in first["loc"] if step != "[key]")
    message = first["msg"].removeprefix("Input should be ")
    return InvalidRequest(path or "request", message[:1].lower() + message[1:])
