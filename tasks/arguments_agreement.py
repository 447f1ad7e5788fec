"""What a page may ask a card's holder to agree to: how often, how much and until when it is charged without them."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from paytabs.token_info import Day, Frequency, TokenType

#: Decimal text in major units; how many decimals there may be is the currency's to say.
_Amount = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,15}(\.[0-9]{1,3})?$")]


class Agreement(BaseModel):
    """What the holder of the card that a page makes agrees to; amounts are decimal text, days YYYY-MM-DD."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    token_type: TokenType
    total_count: Annotated[int, Field(ge=1, le=9_999)] | None = None
    payment_frequency: Frequency | None = None
    min_amount_per_payment: _Amount | None = None
    max_amount_per_payment: _Amount | None = None
    min_days_between_payments: Annotated[int, Field(ge=1, le=3_660)] | None = None
    start_date: Day | None = None
    expiry_date: Day | None = None

    def to_document(self) -> dict[str, Any]:
        """Return what was said, in PayTabs' words."""
        return self.model_dump(exclude_none=True)
