"""What goes to PayTabs about an agreement with a card's holder: its terms with the page, its number with each charge.

PayTabs names each member and publishes no rule about them; what contradicts itself is refused here.
"""

import re
from datetime import date
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from paytabs.card_data import refuse_card_number
from paytabs.errors import InvalidRequest
from paytabs.shapes import ExactNumber, GatewayRequest, Reference

#: What an agreement can be about.
TokenType = Literal["registered", "unscheduled", "recurring_fixed", "recurring_variable"]

#: How often its holder is to be charged.
Frequency = Literal[
    "AD_HOC", "DAILY", "WEEKLY", "FORTNIGHTLY", "MONTHLY", "QUARTERLY", "TWICE_YEARLY", "YEARLY", "OTHER"
]

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _day(value: str) -> str:
    try:
        if _DAY.fullmatch(value):
            date.fromisoformat(value)
            return value
    except ValueError:
        pass
    raise PydanticCustomError("day", "a day such as 2026-08-06")


def _no_card_number(value: str) -> str:
    return refuse_card_number(value, field="token")


#: A day, as YYYY-MM-DD.
Day = Annotated[str, StringConstraints(max_length=10), AfterValidator(_day)]

#: How many payments an agreement has, and the number of one of them.
Number = Annotated[int, Field(ge=1, le=9_999, strict=True)]


class TokenInfo(GatewayRequest):
    """The terms of an agreement that a page makes; amounts in the currency of its cart.

    Raises:
        InvalidRequest: From the constructor, naming the first member at fault.
    """

    tokenise: Annotated[int, Field(ge=2, le=6, strict=True)]
    token_type: TokenType
    counter: Number | None = None
    total_count: Number | None = None
    payment_frequency: Frequency | None = None
    min_amount_per_payment: ExactNumber = None
    max_amount_per_payment: ExactNumber = None
    min_days_between_payments: Annotated[int, Field(ge=1, le=3_660, strict=True)] | None = None
    start_date: Day | None = None
    expiry_date: Day | None = None

    @model_validator(mode="after")
    def _not_contradicting(self) -> Self:
        least, most = self.min_amount_per_payment, self.max_amount_per_payment
        if least is not None and most is not None and least > most:
            raise InvalidRequest("max_amount_per_payment", "an amount that is not below min_amount_per_payment")
        if self.start_date and self.expiry_date and self.start_date > self.expiry_date:
            raise InvalidRequest("expiry_date", "a day that is not before start_date")
        return self


class InstalmentInfo(GatewayRequest):
    """One instalment of an agreement: its card, and which of the payments it is.

    Raises:
        InvalidRequest: From the constructor, naming the first member at fault.
    """

    token: Annotated[Reference, AfterValidator(_no_card_number), Field(repr=False)]
    token_type: TokenType
    counter: Number
    total_count: Number | None = None
    tran_ref: Reference | None = None
