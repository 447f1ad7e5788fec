"""What is known of a payment: the fold of its facts.

A payment has attempts and follow-ups, one per cart, and a set of observations; what they amount to is judged in
`assessment`.
Source: section 7 of the gateway contract.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from itertools import groupby
from typing import cast

from payments import facts
from payments.facts import Fact


class State(StrEnum):
    """Where a payment stands."""

    NEW = "NEW"
    SENT = "SENT?"
    AWAITING_PAYER = "AWAITING_PAYER"
    PENDING_OFFLINE = "PENDING_OFFLINE"
    ON_HOLD = "ON_HOLD"
    AUTHORISED = "AUTHORISED"
    PART_CAPTURED = "PART_CAPTURED"
    PAID = "PAID"
    PART_REFUNDED = "PART_REFUNDED"
    REFUNDED = "REFUNDED"
    VOIDED = "VOIDED"
    DECLINED = "DECLINED"
    ERROR = "ERROR"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"
    REVIEW = "REVIEW"


#: Legs that hold or have moved money.
LIVE = frozenset({State.ON_HOLD, State.AUTHORISED, State.PART_CAPTURED, State.PAID, State.PART_REFUNDED})

#: Legs whose end is still PayTabs' to say.
OPEN = frozenset({State.SENT, State.AWAITING_PAYER, State.PENDING_OFFLINE})

#: States in which a new page may be made.
FAILED_STATES = frozenset({State.DECLINED, State.ERROR, State.CANCELLED, State.EXPIRED})

#: States worth asking PayTabs about; a paid one is not polled.
POLLED = OPEN | {State.ON_HOLD, State.AUTHORISED}

#: An unconfirmed claim does not take a confirmed state away.
CONFIRMED = LIVE | {State.REFUNDED, State.VOIDED}


class AttemptStatus(StrEnum):
    """How far the sending of an attempt came."""

    STARTED = "started"
    OPEN = "open"
    UNKNOWN = "unknown"
    NOT_SENT = "not_sent"
    REFUSED = "refused"
    RETIRED = "retired"
    OVERRIDDEN = "overridden"


#: A send that PayTabs may have executed without our knowing.
IN_DOUBT = frozenset({AttemptStatus.STARTED, AttemptStatus.UNKNOWN})

#: What was given up stays so, however late its answer comes.
_GIVEN_UP = frozenset({AttemptStatus.RETIRED, AttemptStatus.OVERRIDDEN})

#: Facts that say how the sending of an attempt or a follow-up ended.
_SENDING = facts.AttemptNotSent | facts.AttemptRefused | facts.OutcomeUnknown | facts.CartRetired | facts.InvoiceOpened
_SENDING_STATUS: dict[type[Fact], AttemptStatus] = {
    facts.AttemptNotSent: AttemptStatus.NOT_SENT,
    facts.AttemptRefused: AttemptStatus.REFUSED,
    facts.OutcomeUnknown: AttemptStatus.UNKNOWN,
    facts.CartRetired: AttemptStatus.RETIRED,
    facts.InvoiceOpened: AttemptStatus.OPEN,
}


@dataclass(frozen=True)
class Attempt:
    """One try at the payment under its own cart."""

    operation_id: str
    cart_id: str | None
    transaction: str
    amount: Decimal
    currency: str
    status: AttemptStatus
    tran_ref: str | None = None


@dataclass(frozen=True)
class FollowUp:
    """One capture, void, release or refund of ours under its own cart; `tran_ref` is what it acts upon."""

    operation_id: str
    cart_id: str
    action: str
    tran_ref: str
    amount: Decimal
    currency: str
    status: AttemptStatus

    @property
    def in_doubt(self) -> bool:
        """Return whether PayTabs may have executed it without our knowing."""
        return self.status in IN_DOUBT

    @property
    def given_up(self) -> bool:
        """Return whether it was declared not to have happened."""
        return self.status is AttemptStatus.RETIRED


@dataclass(frozen=True)
class Snapshot:
    """What the CMS asked for, as it stood when the payment was taken over."""

    amount: Decimal
    currency: str
    profile_id: int
    client_id: str | None
    contract_id: str | None


@dataclass(frozen=True)
class Payment:
    """Everything known of one payment, not yet judged."""

    snapshot: Snapshot | None = None
    attempts: tuple[Attempt, ...] = ()
    observations: frozenset[facts.TransactionObserved] = frozenset()
    claims: tuple[facts.ReviewRaised, ...] = ()
    follow_ups: tuple[FollowUp, ...] = ()
    settled: frozenset[str | facts.ReviewRaised] = frozenset()

    @property
    def open_claims(self) -> tuple[facts.ReviewRaised, ...]:
        """Return the claims that no human has settled."""
        return tuple(claim for claim in self.claims if claim not in self.settled)


def fold(history: Iterable[Fact], start: Payment | None = None) -> Payment:
    """Fold facts into what is known of a payment.

    Args:
        history: facts in stream order; among observations the order does not matter.
        start: what was known before them.
    """
    payment = start or Payment()
    for _, run in groupby(history, key=type):
        payment = _apply_run(payment, tuple(run))
    return payment


def _apply_run(payment: Payment, run: tuple[Fact, ...]) -> Payment:
    """Apply facts of one kind that follow each other: what is collected in sets is added to them at once."""
    if isinstance(run[0], facts.TransactionObserved):
        return replace(
            payment, observations=payment.observations.union(cast("tuple[facts.TransactionObserved, ...]", run))
        )
    if isinstance(run[0], facts.ReviewRaised):
        raised = cast("tuple[facts.ReviewRaised, ...]", run)
        return replace(payment, claims=tuple(dict.fromkeys((*payment.claims, *raised))))
    for fact in run:
        payment = _apply(payment, fact)
    return payment


def _apply(payment: Payment, fact: Fact) -> Payment:
    if isinstance(fact, facts.ReviewSettled):
        return _settle(payment, fact)
    if isinstance(fact, facts.PaymentCreated | facts.PaymentAdopted):
        return _begin(payment, fact)
    if isinstance(fact, facts.PaymentAmended) and payment.snapshot:
        terms = replace(payment.snapshot, amount=Decimal(fact.amount), currency=fact.currency)
        return replace(payment, snapshot=terms)
    return _advance(payment, fact)


def _advance(payment: Payment, fact: Fact) -> Payment:
    """Apply a fact about the sending of an attempt or a follow-up; milestones change nothing."""
    if isinstance(fact, facts.AttemptStarted):
        attempt = Attempt(
            fact.operation_id,
            fact.cart_id,
            fact.transaction,
            Decimal(fact.amount),
            fact.currency,
            AttemptStatus.STARTED,
        )
        return replace(payment, attempts=(*payment.attempts, attempt))
    if isinstance(fact, facts.FollowUpStarted):
        named = (fact.operation_id, fact.cart_id, fact.action, fact.tran_ref)
        follow_up = FollowUp(*named, Decimal(fact.amount), fact.currency, AttemptStatus.STARTED)
        return replace(payment, follow_ups=(*payment.follow_ups, follow_up))
    if isinstance(fact, facts.PageOverridden):
        return _override(payment, fact)
    if isinstance(fact, facts.PageOpened):
        return _update(payment, fact.cart_id, AttemptStatus.OPEN, fact.tran_ref)
    if isinstance(fact, _SENDING):
        return _update(payment, fact.cart_id, _SENDING_STATUS[type(fact)])
    return payment


def _begin(payment: Payment, fact: facts.PaymentCreated | facts.PaymentAdopted) -> Payment:
    snapshot = Snapshot(Decimal(fact.amount), fact.currency, fact.profile_id, fact.client_id, fact.contract_id)
    if isinstance(fact, facts.PaymentCreated):
        return replace(payment, snapshot=snapshot)
    adopted = Attempt(
        fact.operation_id, None, "sale", snapshot.amount, snapshot.currency, AttemptStatus.OPEN, fact.tran_ref
    )
    return replace(payment, snapshot=snapshot, attempts=(*payment.attempts, adopted))


def _update(payment: Payment, cart_id: str, status: AttemptStatus, tran_ref: str | None = None) -> Payment:
    attempts = tuple(
        replace(one, status=_kept(one, status), tran_ref=tran_ref or one.tran_ref) if one.cart_id == cart_id else one
        for one in payment.attempts
    )
    follow_ups = tuple(
        replace(one, status=_kept(one, status)) if one.cart_id == cart_id else one for one in payment.follow_ups
    )
    return replace(payment, attempts=attempts, follow_ups=follow_ups)


def _override(payment: Payment, fact: facts.PageOverridden) -> Payment:
    """Set one attempt aside: by its cart, and by its operation, since an adopted one has no cart that we know."""
    overridden = (fact.operation_id, fact.cart_id)
    attempts = tuple(
        replace(one, status=AttemptStatus.OVERRIDDEN) if (one.operation_id, one.cart_id) == overridden else one
        for one in payment.attempts
    )
    return replace(payment, attempts=attempts)


def _settle(payment: Payment, fact: facts.ReviewSettled) -> Payment:
    """Close a case: its claims as they stand, the reason wherever it is judged anew, and the operation it is about."""
    claims = {claim for claim in payment.claims if claim.reason == fact.reason}
    payment = replace(payment, settled=payment.settled | claims | {fact.reason})
    sends: tuple[Attempt | FollowUp, ...] = (*payment.attempts, *payment.follow_ups)
    for send in sends:
        if fact.operation_id and send.operation_id == fact.operation_id and send.status in IN_DOUBT and send.cart_id:
            payment = _update(payment, send.cart_id, AttemptStatus.RETIRED)
    return payment


def _kept(attempt: Attempt | FollowUp, status: AttemptStatus) -> AttemptStatus:
    return attempt.status if attempt.status in _GIVEN_UP else status
