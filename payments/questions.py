"""What has to be asked about an operation: its live transaction, its lost carts, and what waits for something else."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from payments.assessment import Assessment, assess
from payments.facts import TransactionObserved
from payments.ladder import WATCH
from payments.movements import FREEING
from payments.operations import Operation
from payments.payment import IN_DOUBT, Attempt, AttemptStatus, FollowUp, Payment, State
from paytabs.responses import Answer

#: States in which transactions that we did not send may hang under the same cart: settlements, dashboard captures.
_CART_TELLS_MORE = frozenset({State.PENDING_OFFLINE, State.ON_HOLD, State.AUTHORISED, State.PART_CAPTURED})

#: Attempts whose page PayTabs named no reference for.
_ASKED_BY_CART = IN_DOUBT | {AttemptStatus.OPEN, AttemptStatus.OVERRIDDEN, AttemptStatus.ENDED}


@dataclass(frozen=True)
class Question:
    """One query: by reference or by cart."""

    by: str
    value: str


def questions(row: Operation, payment: Payment, now: datetime) -> list[Question]:
    """Return what has to be asked about an operation, each question once.

    Args:
        row: the operation.
        payment: its payment.
        now: aware UTC.
    """
    verdict = assess(payment)
    asked: list[Question] = []
    for attempt in payment.attempts:
        if attempt.operation_id == row.operation_id:
            asked += _of_attempt(row, attempt, verdict, now)
    for follow_up in payment.follow_ups:
        if follow_up.operation_id == row.operation_id:
            asked += _of_follow_up(row, follow_up, verdict, now)
    asked += _of_the_waiting(payment, verdict)
    return list(dict.fromkeys(asked))


def what_undid(answer: Answer, known: Iterable[TransactionObserved]) -> Question | None:
    """Return what has to be asked about a transaction that was undone, when nobody has told by what.

    A V names no other transaction, though one of the same cart may have freed the money.

    Args:
        answer: what PayTabs said of it.
        known: what was said of the payment before.
    """
    seen = answer.transaction
    if seen is None or seen.response_status != "V" or not seen.cart_id:
        return None
    told = any(one.previous_tran_ref == seen.tran_ref and one.tran_type in FREEING for one in known)
    return None if told else Question("cart_id", seen.cart_id)


def _of_attempt(row: Operation, attempt: Attempt, verdict: Assessment, now: datetime) -> Iterable[Question]:
    if attempt.status is AttemptStatus.RETIRED:
        if _still_watched(row, attempt.cart_id, now):
            yield Question("cart_id", attempt.cart_id or "")
    elif attempt.tran_ref:
        yield Question("tran_ref", attempt.tran_ref)
    elif attempt.cart_id and attempt.status in _ASKED_BY_CART:
        yield Question("cart_id", attempt.cart_id)
    watched = attempt.status is AttemptStatus.OVERRIDDEN and _still_watched(row, attempt.cart_id, now)
    if attempt.cart_id and (watched or any(leg.state in _CART_TELLS_MORE for leg in verdict.legs_of(row.operation_id))):
        yield Question("cart_id", attempt.cart_id)


def _of_follow_up(row: Operation, follow_up: FollowUp, verdict: Assessment, now: datetime) -> Iterable[Question]:
    """Ask by reference what is known and not final; what is not heard of, by its cart and by what it acts upon."""
    seen = [one for one in verdict.movements if follow_up.cart_id in one.carts]
    for one in seen:
        if one.status in ("P", "H", "?"):
            # What resolves it may stand under the same reference, or under a new one in the same cart.
            yield Question("tran_ref", one.tran_ref)
            yield Question("cart_id", follow_up.cart_id)
    if seen:
        return
    if follow_up.in_doubt:
        yield Question("cart_id", follow_up.cart_id)
        yield Question("tran_ref", follow_up.tran_ref)
    elif follow_up.status is AttemptStatus.RETIRED and _still_watched(row, follow_up.cart_id, now):
        yield Question("cart_id", follow_up.cart_id)


def _of_the_waiting(payment: Payment, verdict: Assessment) -> Iterable[Question]:
    """Ask about what waits for its parent, about that parent, and about refunds that wait for an approval."""
    for seen in payment.observations:
        if seen.tran_ref in verdict.parked:
            yield Question("tran_ref", seen.tran_ref)
            if seen.previous_tran_ref:
                yield Question("tran_ref", seen.previous_tran_ref)
    yield from (Question("tran_ref", ref) for ref in verdict.pending)


def _still_watched(row: Operation, cart_id: str | None, now: datetime) -> bool:
    return any(send.cart_id == cart_id and send.retired_at and now < send.retired_at + WATCH for send in row.sends)
