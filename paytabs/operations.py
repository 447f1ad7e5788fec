"""What may be sent to `/payment/request`: pages, charges without a page, and follow-ups.

The models refuse what PayTabs would refuse, or silently misread, before anything is sent. A charge with the card's own
number is not among them: `paytabs.card_data` says why.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, StrictBool, StringConstraints, ValidationInfo, field_validator, model_validator

from paytabs.card_data import refuse_card_number
from paytabs.errors import InvalidRequest
from paytabs.money import parse_amount
from paytabs.shapes import CartRequest, Nested, PageLife, PartyDetails, PayerRequest, Reference, Url
from paytabs.token_info import InstalmentInfo, TokenInfo
from paytabs.writing import write_json

__all__ = [
    "ChargeRequest",
    "FollowUpRequest",
    "InstalmentInfo",
    "ManagedFormRequest",
    "PageRequest",
    "PartyDetails",
    "TokenChargeRequest",
    "TokenInfo",
    "write_json",
]

_Tokenise = Annotated[int, Field(ge=2, le=6, strict=True)]


class PageRequest(PayerRequest):
    """A hosted page: sale, auth or register.

    Raises:
        InvalidRequest: From the constructor, naming the first member at fault.
    """

    tran_type: Literal["sale", "auth", "register"] = "sale"
    tran_class: Literal["ecom"] = "ecom"
    paypage_lang: Literal["en", "ar", "tr"] | None = None
    payment_methods: tuple[Annotated[str, StringConstraints(pattern=r"^-?[a-z]+$")], ...] = ()
    tokenise: _Tokenise | None = None
    token_info: Annotated[TokenInfo | None, Nested] = None
    show_save_card: StrictBool | None = None
    hide_shipping: StrictBool | None = None
    paypage_ttl: PageLife | None = None

    @model_validator(mode="after")
    def _amounts_of_one_currency(self) -> Self:
        for name in ("min_amount_per_payment", "max_amount_per_payment"):
            amount = getattr(self.token_info, name, None)
            if amount is not None:
                parse_amount(amount, self.cart_currency, field=f"token_info.{name}")
        return self


class TokenChargeRequest(PayerRequest):
    """A charge of a stored card, with its payer at hand (`ecom`) or on our own initiative (`recurring`).

    With the payer at hand PayTabs may answer with a page (security code, 3-D Secure) instead of a result. Some sources
    want the reference of the transaction that created the token beside it: give it when it is known. An instalment of
    an agreement names its card in `token_info` instead.

    Raises:
        InvalidRequest: From the constructor, naming the first member at fault.
    """

    tran_type: Literal["sale", "auth"] = "sale"
    tran_class: Literal["ecom", "recurring"]
    token: Annotated[Reference | None, Field(repr=False)] = None
    tran_ref: Reference | None = None
    token_info: Annotated[InstalmentInfo | None, Nested] = None

    @field_validator("token")
    @classmethod
    def _no_card_number(cls, value: str | None, info: ValidationInfo) -> str | None:
        return value if value is None else refuse_card_number(value, field=str(info.field_name))

    @model_validator(mode="after")
    def _one_card(self) -> Self:
        if (self.token is None) == (self.token_info is None):
            raise InvalidRequest("token", "a token, or a token_info that holds one")
        return self


class ManagedFormRequest(PayerRequest):
    """A charge of what the payer typed into PayTabs' fields on our page, under the one-use token those fields gave.

    Raises:
        InvalidRequest: From the constructor, naming the first member at fault.
    """

    tran_type: Literal["sale", "auth", "register"] = "sale"
    tran_class: Literal["ecom"] = "ecom"
    payment_token: Annotated[Reference, Field(repr=False)]
    tokenise: _Tokenise | None = None
    show_save_card: StrictBool | None = None

    @field_validator("payment_token")
    @classmethod
    def _no_card_number(cls, value: str, info: ValidationInfo) -> str:
        return refuse_card_number(value, field=str(info.field_name))


class FollowUpRequest(CartRequest):
    """An act upon an earlier transaction, under a fresh cart of its own.

    `tran_ref` is the authorisation for a capture, void or release, and the sale or the capture for a refund. The
    currency is the original's; a void takes the whole amount. PayTabs judges the rest, by a refusal that looks like any
    other answer.

    Raises:
        InvalidRequest: From the constructor, naming the first member at fault.
    """

    tran_type: Literal["capture", "void", "release", "refund"]
    tran_class: Literal["ecom"] = "ecom"
    tran_ref: Reference
    callback: Url | None = None


#: What the client's `charge` takes.
ChargeRequest = TokenChargeRequest | ManagedFormRequest
