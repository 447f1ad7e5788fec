"""What a payer agreed to when a card was stored, and which charge without the payer goes beyond it.

How PayTabs refuses such a charge is not published. The sandbox completes it, unsuccessfully, with an invented code:

| code | status | when |
| --- | --- | --- |
| 996 | E | all of `total_count` payments were made, or `counter` is beyond it |
| 997 | E | the amount is below `min_amount_per_payment` or above `max_amount_per_payment` |
| 998 | E | before `start_date`, from `expiry_date` on, or `min_days_between_payments` have not passed since the last |
| 999 | D | the card itself has expired; so with its payer present |

The payment that stores the card counts as the first (or as its `counter` says); a register counts as none.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from sandbox.cards import CardEntry, Result
from sandbox.errors import GatewayRefusal

#: The kinds of token.
TOKEN_TYPES = frozenset(("registered", "unscheduled", "recurring_fixed", "recurring_variable"))

#: How often payments may be agreed upon.
FREQUENCIES = frozenset(
    ("AD_HOC", "DAILY", "WEEKLY", "FORTNIGHTLY", "MONTHLY", "QUARTERLY", "TWICE_YEARLY", "YEARLY", "OTHER")
)

#: The refusals of the module's table.
ALL_MADE = Result("E", "996", "All payments of the agreement were made")
NOT_THAT_SUM = Result("E", "997", "The amount is not within the agreement")
NOT_NOW = Result("E", "998", "The agreement allows no payment now")
CARD_EXPIRED = Result("D", "999", "Card expired")


@dataclass(frozen=True)
class Agreement:
    """What was agreed, and how far it has come.

    Attributes:
        token_type: The kind of token.
        total_count: How many payments there shall be.
        least: The smallest payment.
        most: The largest payment.
        days_between: How many days have to pass between two.
        starts_at: From when on.
        ends_at: Until when.
        made: How many were made.
        last_at: When the last was made.
    """

    token_type: str | None = None
    total_count: int | None = None
    least: Decimal | None = None
    most: Decimal | None = None
    days_between: int | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    made: int = 0
    last_at: datetime | None = None

    def refusal(self, amount: Decimal, counter: int | None, now: datetime) -> Result | None:
        """Tell why a payment is beyond the agreement; None when it is not."""
        if self.total_count is not None and max(self.made + 1, counter or 0) > self.total_count:
            return ALL_MADE
        if (self.least is not None and amount < self.least) or (self.most is not None and amount > self.most):
            return NOT_THAT_SUM
        is_early = self.starts_at is not None and now < self.starts_at
        is_late = self.ends_at is not None and now >= self.ends_at
        is_soon = self.last_at is not None and now - self.last_at < timedelta(days=self.days_between or 0)
        return NOT_NOW if is_early or is_late or is_soon else None

    def after(self, counter: int | None, now: datetime) -> "Agreement":
        """Count a payment that was made."""
        return replace(self, made=max(self.made + 1, counter or 0), last_at=now)


def read_agreement(terms: Mapping[str, Any]) -> Agreement:
    """Read the member `token_info`.

    Args:
        terms: The member.

    Returns:
        What is agreed; no payment counts as made yet.

    Raises:
        GatewayRefusal: Code 2 naming the member that is no good.
    """
    _one_of(terms, "token_type", TOKEN_TYPES)
    _one_of(terms, "payment_frequency", FREQUENCIES)
    read_counter(terms)
    return Agreement(
        token_type=terms.get("token_type"),
        total_count=_read(terms, "total_count", _whole),
        least=_read(terms, "min_amount_per_payment", _amount),
        most=_read(terms, "max_amount_per_payment", _amount),
        days_between=_read(terms, "min_days_between_payments", _whole),
        starts_at=_read(terms, "start_date", _date),
        ends_at=_read(terms, "expiry_date", _date),
    )


def read_counter(terms: Mapping[str, Any]) -> int | None:
    """Read which payment of an agreement this is; None where that is not said.

    Raises:
        GatewayRefusal: Code 2 when it is no whole number above 0.
    """
    counter: int | None = _read(terms, "counter", _whole)
    return counter


def is_expired(entry: CardEntry, now: datetime) -> bool:
    """Tell whether a card's month is over."""
    return (entry.expiry_year, entry.expiry_month) < (now.year, now.month)


def _read(terms: Mapping[str, Any], name: str, reader: Callable[[object], Any]) -> Any:  # noqa: ANN401 - as the reader gives
    value = terms.get(name)
    if value in (None, ""):
        return None
    try:
        return reader(value)
    except (ValueError, InvalidOperation):
        raise GatewayRefusal(2, f"Invalid token_info.{name}") from None


def _one_of(terms: Mapping[str, Any], name: str, allowed: frozenset[str]) -> None:
    if terms.get(name) not in (None, "", *allowed):
        raise GatewayRefusal(2, f"Invalid token_info.{name}")


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str) or int(value) < 1:
        raise ValueError
    return int(value)


def _amount(value: object) -> Decimal:
    amount = Decimal(str(value)) if isinstance(value, int | Decimal | str) and not isinstance(value, bool) else None
    if amount is None or not amount.is_finite() or amount <= 0:
        raise ValueError
    return amount


def _date(value: object) -> datetime:
    date = datetime.fromisoformat(str(value))
    return date if date.tzinfo else date.replace(tzinfo=UTC)
