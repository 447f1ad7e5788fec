"""Whether a follow-up may be sent, upon which transaction and for how much: decided before anything is sent.

PayTabs refuses what is not allowed too, but only after a call, and in an answer that looks like any other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from payments.assessment import Assessment
from payments.errors import InvalidArgument
from payments.legs import Leg
from payments.movements import ZERO
from payments.payment import LIVE, Payment, State
from paytabs.errors import InvalidRequest
from paytabs.money import parse_amount

Action = Literal["capture", "void", "release", "refund"]

#: Legs with money that is held and can still be captured or freed.
_HOLDING = frozenset({State.AUTHORISED, State.PART_CAPTURED})


@dataclass(frozen=True)
class Order:
    """A follow-up as it will be sent; `tran_ref` is what it acts upon, `amount` in major units."""

    action: Action
    tran_ref: str
    amount: Decimal
    currency: str


@dataclass(frozen=True)
class _Source:
    """A transaction that can give money back, or whose hold can be used."""

    tran_ref: str
    left: Decimal
    leg: Leg


def order(
    action: Action, payment: Payment, verdict: Assessment, *, amount: str | None = None, tran_ref: str | None = None
) -> Order:
    """Decide what a follow-up acts upon and how much it moves.

    Args:
        action: what is asked.
        payment: what is known of the payment.
        verdict: its assessment.
        amount: decimal text; None for all that remains.
        tran_ref: the transaction to act upon, where the payment has several.

    Raises:
        InvalidArgument: it is not allowed; names the argument and what would have been accepted.
    """
    if verdict.base_state is State.ON_HOLD:
        raise InvalidArgument("payment_id", "a payment that is not on hold; only PayTabs' dashboard resolves a hold")
    sources = _sources(action, verdict)
    if not sources:
        raise InvalidArgument("payment_id", f"{_WANTED[action]}; this one is {verdict.base_state}")
    if tran_ref is not None:
        sources = [one for one in sources if one.tran_ref == tran_ref] or _refuse_reference(sources)
    elif len({one.leg.tran_ref for one in sources}) > 1:
        raise InvalidArgument("tran_ref", f"one of {_listed(sources)}: more than one attempt stands")
    currency = _currency(payment, sources[0].leg)
    asked = None if amount is None else _parse(amount, currency)
    chosen = _choose(action, sources, asked, currency)
    moved = chosen.left if asked is None else asked
    if action == "void":
        _check_void(chosen, moved)
    return Order(action, chosen.tran_ref, moved, currency)


#: What each follow-up needs.
_WANTED = {
    "capture": "an authorised payment with something left to capture",
    "void": "an authorised payment",
    "release": "an authorised payment with something left to free",
    "refund": "a payment with captured money left to refund",
}


def _sources(action: Action, verdict: Assessment) -> list[_Source]:
    if action == "refund":
        return [_Source(ref, left, leg) for leg in verdict.legs if leg.state in LIVE for ref, left in leg.refundable]
    holds = [leg for leg in verdict.legs if leg.state in _HOLDING and leg.tran_ref and leg.remaining > ZERO]
    return [_Source(str(leg.tran_ref), leg.remaining, leg) for leg in holds]


def _choose(action: Action, sources: Sequence[_Source], asked: Decimal | None, currency: str) -> _Source:
    """Return the transaction that carries the amount, the tightest one."""
    if asked is None:
        if len(sources) > 1:
            raise InvalidArgument("amount", f"one transaction's amount, each is refunded by itself: {_listed(sources)}")
        return sources[0]
    able = sorted((one for one in sources if one.left >= asked), key=lambda one: one.left)
    if able:
        return able[0]
    total = max(one.left for one in sources)
    if len(sources) > 1:
        raise InvalidArgument("amount", f"at most {total:f} {currency} at once: {_listed(sources)}")
    raise InvalidArgument("amount", f"at most {total:f} {currency}, which is all that is left to {action}")


def _check_void(chosen: _Source, amount: Decimal) -> None:
    if chosen.leg.captured > ZERO:
        raise InvalidArgument("payment_id", "a payment of which nothing is captured; payments.release frees the rest")
    if amount != chosen.left:
        raise InvalidArgument("amount", f"the whole of {chosen.left:f}; payments.release frees a part")


def _currency(payment: Payment, leg: Leg) -> str:
    """Return the currency of the transaction acted upon: the attempt's, which the CMS may have changed since."""
    asked = [one.currency for one in payment.attempts if one.operation_id == leg.operation_id]
    return asked[0] if asked else (payment.snapshot.currency if payment.snapshot else "")


def _parse(amount: str, currency: str) -> Decimal:
    try:
        return parse_amount(amount, currency, field="amount")
    except InvalidRequest as error:
        raise InvalidArgument(error.field, error.expected) from error


def _refuse_reference(sources: Sequence[_Source]) -> list[_Source]:
    raise InvalidArgument("tran_ref", f"one of {_listed(sources)}")


def _listed(sources: Sequence[_Source]) -> str:
    return ", ".join(f"{one.tran_ref} with {one.left:f}" for one in sources)
