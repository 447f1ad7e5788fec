"""What a page may ask a card's holder to agree to: how often, how much and until when it is charged without them."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from paytabs.token_info import Day, Frequency, TokenType


def _no_number(value: object) -> object:
    if isinstance(value, int | float):
        raise PydanticCustomError("amount", 'decimal text in quotes, such as "7.00", never a number')
    return value


#: Decimal text in major units, such as "115.00"; how many decimals there may be is the currency's to say.
Amount = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,15}(\.[0-9]{1,3})?$"), BeforeValidator(_no_number)]


class Agreement(BaseModel):
    """What the holder of the card that a page makes agrees to; amounts are decimal text, days YYYY-MM-DD."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    token_type: TokenType
    total_count: Annotated[int, Field(ge=1, le=9_999)] | None = None
    payment_frequency: Frequency | None = None
    min_amount_per_payment: Amount | None = None
    max_amount_per_payment: Amount | None = None
    min_days_between_payments: Annotated[int, Field(ge=1, le=3_660)] | None = None
    start_date: Day | None = None
    expiry_date: Day | None = None

    def to_document(self) -> dict[str, Any]:
        """Return what was said, in PayTabs' words."""
        return self.model_dump(exclude_none=True)
