"""What the holder of a stored card has agreed to: how often, how much, until when; each instalment is its own payment.

A page makes the agreement, and its payment is the first instalment, unless it only registers the card. An instalment is
a charge without its payer. Its number goes to PayTabs as the counter and stands in its operation's row: one that was
refused gives its number back, one that is under way keeps all others out, so that no number is used twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, NoReturn

from payments.errors import InvalidArgument, Refusal
from payments.operations import Operation, Status
from payments.payment import Attempt

Document = dict[str, Any]

#: Instalments that may yet be refused: until that is known, nobody can tell which number the next one has.
_UNDER_WAY = frozenset({Status.NEW, Status.SENDING, Status.UNKNOWN})

#: Instalments that gave their number back.
_GIVEN_BACK = frozenset({Status.REFUSED, Status.FAILED})

#: An agreement of this kind is about one amount.
_FIXED = "recurring_fixed"


@dataclass(frozen=True)
class Instalment:
    """A payment that is to be charged upon an agreement."""

    amount: Decimal
    currency: str
    now: datetime


def begun(agreed: Document, *, attempt: Attempt, moment: datetime) -> Document:
    """Return an agreement as it is kept with its card, from what was asked and the attempt that made it."""
    first = attempt.transaction != "register"
    return {
        **agreed, "amount": str(attempt.amount), "currency": attempt.currency, "counted": int(first),
        "last_at": moment if first else None,
    }  # fmt: skip


def next_number(agreement: Document, rows: Sequence[Operation], asked: Instalment) -> int:
    """Return the number of the next instalment.

    Args:
        agreement: as it is kept with the card.
        rows: every operation that was accepted as an instalment of it.
        asked: the payment.

    Raises:
        InvalidArgument: the agreement does not allow it; says in which way.
    """
    standing = [row for row in rows if row.status not in _GIVEN_BACK]
    for row in standing:
        if row.status in _UNDER_WAY or (row.status is Status.REVIEW and row.open):
            _refuse("card_id", f"a card no instalment of which is under way; {row.operation_id} is {row.status}",
                    Refusal.INSTALMENT_UNDER_WAY)  # fmt: skip
    counted = int(agreement["counted"])
    check_time(agreement, asked.now)
    _check_amount(agreement, asked)
    _check_total(agreement, counted + len(standing))
    _check_pause(agreement, standing, asked.now)
    return max([counted, *(int(row.params["counter"]) for row in standing)]) + 1


def check_time(agreement: Document, now: datetime) -> None:
    """Check that an agreement has begun and has not ended.

    Raises:
        InvalidArgument: it has not, or has.
    """
    start, end = _day(agreement.get("start_date")), _day(agreement.get("expiry_date"))
    if start is not None and now.date() < start:
        _refuse("card_id", f"a card whose agreement has begun; this one begins on {start}", Refusal.AGREEMENT_NOT_BEGUN)
    if end is not None and now.date() >= end:
        _refuse("card_id", f"a card whose agreement has not ended; this one ended on {end}", Refusal.AGREEMENT_ENDED)


def _check_amount(agreement: Document, asked: Instalment) -> None:
    currency = agreement["currency"]
    if asked.currency != currency:
        _refuse("payments.currency", f"{currency}, as was agreed", Refusal.AGREEMENT_CURRENCY)
    least, most = agreement.get("min_amount_per_payment"), agreement.get("max_amount_per_payment")
    if agreement["token_type"] == _FIXED and least is None and most is None:
        least = most = agreement["amount"]
    if least is not None and asked.amount < Decimal(least):
        _refuse("payments.amount", f"at least {least} {currency}, as was agreed", Refusal.AGREEMENT_AMOUNT)
    if most is not None and asked.amount > Decimal(most):
        _refuse("payments.amount", f"at most {most} {currency}, as was agreed", Refusal.AGREEMENT_AMOUNT)


def _check_total(agreement: Document, made: int) -> None:
    total = agreement.get("total_count")
    if total is not None and made >= total:
        _refuse("card_id", f"a card whose agreement has payments left; all {total} were made", Refusal.AGREEMENT_FULL)


def _check_pause(agreement: Document, standing: Sequence[Operation], now: datetime) -> None:
    days, first = agreement.get("min_days_between_payments"), agreement.get("last_at")
    times = [*([first] if first else []), *(row.sends[-1].sent_at for row in standing if row.sends)]
    if not days or not times:
        return
    earliest = max(times) + timedelta(days=days)
    if now < earliest:
        _refuse("card_id", f"{days} days after the last payment of its agreement, from {earliest:%Y-%m-%dT%H:%MZ} on",
                Refusal.AGREEMENT_TOO_SOON)  # fmt: skip


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _refuse(field: str, expected: str, code: Refusal) -> NoReturn:
    raise InvalidArgument(field, expected, code)
