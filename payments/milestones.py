"""Which past-tense fact announces that a payment has reached a state; other parts react to these."""

from payments import facts
from payments.assessment import Assessment
from payments.facts import Milestone
from payments.payment import Payment, State

#: States that are announced; the others are steps on the way.
MILESTONES: dict[State, type[Milestone]] = {
    State.AUTHORISED: facts.PaymentAuthorised,
    State.ON_HOLD: facts.PaymentHeld,
    State.PENDING_OFFLINE: facts.PaymentDeferred,
    State.PART_CAPTURED: facts.PaymentPartCaptured,
    State.PAID: facts.PaymentCompleted,
    State.PART_REFUNDED: facts.PaymentPartRefunded,
    State.REFUNDED: facts.PaymentRefunded,
    State.VOIDED: facts.PaymentVoided,
    State.DECLINED: facts.PaymentDeclined,
    State.ERROR: facts.PaymentErrored,
    State.CANCELLED: facts.PaymentCancelled,
    State.EXPIRED: facts.PaymentExpired,
    # The type that versions before wrote of a registration, so that their workers can read it: the state tells the two
    # apart, also in the webhook to the CMS.
    State.REGISTERED: facts.PaymentVoided,
    State.REVIEW: facts.PaymentFlagged,
}


def milestone(before: Assessment, after: Assessment, payment: Payment) -> list[Milestone]:
    """Return the fact that announces a change of state, or nothing when the state is the same or silent."""
    kind = MILESTONES.get(after.state)
    if kind is None or after.state == before.state or payment.snapshot is None:
        return []
    terms = payment.snapshot
    return [kind(state=after.state, amount=str(terms.amount), currency=terms.currency, tran_ref=after.tran_ref)]
