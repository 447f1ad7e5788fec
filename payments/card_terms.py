"""What the caller of `payments.charge_card` may choose: a card that is kept here, by its id."""

from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class CardTerms:
    """The terms of a charge; with `payer_present` PayTabs may lead the payer to a page first."""

    card_id: str
    payer_present: bool = False
    transaction: Literal["sale", "auth"] = "sale"
    callback_url: str | None = None
    return_url: str | None = None

    @property
    def kind(self) -> str:
        """Return the kind of operation."""
        return "charge_card"

    @property
    def secret(self) -> None:
        """Return what must not be kept: nothing."""

    def to_document(self) -> dict[str, Any]:
        """Return the choices as they are stored."""
        return asdict(self)
