"""Why the attempt failed that a payment's state comes of, and whether another try makes sense: for the CMS's staff.

A function of what is known of the payment, never of the order in which it was said. Nothing of it is for payers: codes
and their meanings tell of a bank's reasons, a suspected fraud among them.
"""

from dataclasses import asdict, dataclass
from typing import Any

from payments.assessment import Assessment
from payments.facts import TransactionObserved
from payments.legs import Leg
from payments.movements import FAILED, Movement
from payments.payment import FAILED_STATES, AttemptStatus, Payment
from paytabs.errors import LISTED_CODES, response_code

#: What stands in the place of a meaning that nobody here knows.
UNLISTED, NO_CODE = "not listed: see the transaction in PayTabs' dashboard", "PayTabs gave no code"

#: Failures that are the payer's own doing, whatever their code: another try is theirs to make.
_PAYERS_OWN = frozenset("CX")


@dataclass(frozen=True)
class Decline:
    """Why an attempt failed.

    Attributes:
        of: `payment` when PayTabs' result says so, `request` when it refused the request with an error code.
        code: PayTabs' code, None when it gave none.
        meaning: What the code means, for staff.
        retry_same_card: Whether another try with the same card makes sense; None when nobody here knows.
        retry_other_card: The same, with another card.
    """

    of: str
    code: str | None
    meaning: str
    retry_same_card: bool | None
    retry_other_card: bool | None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def decline_of(payment: Payment, verdict: Assessment) -> dict[str, Any] | None:
    """Return why the attempt failed that the payment's state comes of; None in every other state.

    Args:
        payment: what is known.
        verdict: its assessment.
    """
    if verdict.state not in FAILED_STATES:
        return None
    alike = [leg for leg in verdict.legs if (leg.state, leg.tran_ref) == (verdict.state, verdict.tran_ref)]
    return _why(alike[-1], payment, verdict).to_json() if alike else None


def _why(leg: Leg, payment: Payment, verdict: Assessment) -> Decline:
    failed = [one for one in verdict.movements if _is_of(one, leg, verdict.movements) and one.standing in FAILED]
    if not failed:
        return _refused(leg, payment)
    deciding = next((one for one in failed if one.tran_ref == leg.tran_ref), failed[-1])
    letter = deciding.standing
    said = [one for one in payment.observations if (one.tran_ref, one.status) == (deciding.tran_ref, letter)]
    return of_response(letter, max(said, key=_telling).code if said else None)


def of_response(status: str, code: str | None) -> Decline:
    """Return what a failed result says.

    Args:
        status: its letter: C, D, E or X.
        code: its response code, if it has one.
    """
    row = response_code(status, code)
    if row.is_listed:
        return Decline("payment", code, row.meaning, row.same_card_may_do, row.payer_may_retry)
    payers = True if status in _PAYERS_OWN else None
    return Decline("payment", code or None, UNLISTED if code else NO_CODE, payers, payers)


def of_error(code: int | None) -> Decline:
    """Return what an error code in the place of an answer says: our request is at fault, and no card mends that."""
    known = LISTED_CODES.get(code) if code is not None else None
    if known:
        return Decline("request", str(code), known.meaning, retry_same_card=False, retry_other_card=False)
    meaning = NO_CODE if code is None else UNLISTED
    return Decline("request", None if code is None else str(code), meaning, None, None)


def _refused(leg: Leg, payment: Payment) -> Decline:
    """Return why PayTabs refused the request of an attempt of which no transaction was ever seen."""
    mine = [
        one
        for one in payment.attempts
        if (one.operation_id, one.cart_id) == (leg.operation_id, leg.cart_id) and one.status is AttemptStatus.REFUSED
    ]
    refusal = mine[-1].refusal if mine else None
    return of_error(refusal.code if refusal else None)


def _is_of(one: Movement, leg: Leg, movements: tuple[Movement, ...]) -> bool:
    """Tell whether a transaction is an attempt's own, or settled it: a deferred payment fails under a new reference."""
    above = {other.tran_ref: other.previous for other in movements}
    ref: str | None = one.tran_ref
    for _ in range(len(movements) + 1):
        if ref is None or ref == leg.tran_ref:
            break
        ref = above.get(ref)
    return ref is not None and ref == leg.tran_ref and (one.tran_ref == ref or one.kind != "capture")


def _telling(one: TransactionObserved) -> tuple[bool, str, str]:
    """Order what was said under one status: what has a code tells more, then what is later."""
    return (bool(one.code), one.occurred_at or "", one.code or "")
