"""What is known of a payment: the fold of its facts.

A payment has attempts and follow-ups, one per cart, and a set of observations; what they amount to is judged in
`assessment`.
Source: section 7 of the gateway contract.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from decimal import Decimal
from enum import StrEnum
from typing import Any

from payments import facts
from payments.cms_word import SETTLED, UNPAID
from payments.facts import Fact
from payments.reasons import Reason
from payments.values import value


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
    REGISTERED = "REGISTERED"
    SETTLED_OUTSIDE = "SETTLED_OUTSIDE"
    REVIEW = "REVIEW"


#: Legs that hold or have moved money.
LIVE = frozenset({State.ON_HOLD, State.AUTHORISED, State.PART_CAPTURED, State.PAID, State.PART_REFUNDED})

#: Legs whose end is still PayTabs' to say.
OPEN = frozenset({State.SENT, State.AWAITING_PAYER, State.PENDING_OFFLINE})

#: States in which a new page may be made.
FAILED_STATES = frozenset({State.DECLINED, State.ERROR, State.CANCELLED, State.EXPIRED})

#: States in which a payment may be asked for (again): nothing is taken, held or under way.
PAYABLE = FAILED_STATES | {State.NEW, State.REGISTERED}

#: States worth asking PayTabs about; a paid one is not polled.
POLLED = OPEN | {State.ON_HOLD, State.AUTHORISED}

#: An unconfirmed claim does not take a confirmed state away.
CONFIRMED = LIVE | {State.REFUNDED, State.VOIDED, State.SETTLED_OUTSIDE}


class AttemptStatus(StrEnum):
    """How far the sending of an attempt came."""

    STARTED = "started"
    OPEN = "open"
    UNKNOWN = "unknown"
    NOT_SENT = "not_sent"
    REFUSED = "refused"
    RETIRED = "retired"
    OVERRIDDEN = "overridden"
    ENDED = "ended"


#: A send that PayTabs may have executed without our knowing.
IN_DOUBT = frozenset({AttemptStatus.STARTED, AttemptStatus.UNKNOWN})

#: What was given up stays so, however late its answer comes.
_GIVEN_UP = frozenset({AttemptStatus.RETIRED, AttemptStatus.OVERRIDDEN, AttemptStatus.ENDED})

#: Facts that say how the sending of an attempt or a follow-up ended.
_Sending = facts.AttemptNotSent | facts.AttemptRefused | facts.OutcomeUnknown | facts.CartRetired | facts.InvoiceOpened
_SENDING_STATUS: dict[type[Fact], AttemptStatus] = {
    facts.AttemptNotSent: AttemptStatus.NOT_SENT,
    facts.AttemptRefused: AttemptStatus.REFUSED,
    facts.OutcomeUnknown: AttemptStatus.UNKNOWN,
    facts.CartRetired: AttemptStatus.RETIRED,
    facts.InvoiceOpened: AttemptStatus.OPEN,
}


@value
class Attempt:
    """One try at the payment under its own cart; `refusal` is what PayTabs answered where it refused the request."""

    operation_id: str
    cart_id: str | None
    transaction: str
    amount: Decimal
    currency: str
    status: AttemptStatus
    tran_ref: str | None = None
    refusal: facts.AttemptRefused | None = None


@value
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


@value
class Snapshot:
    """What the CMS asked for, as it stood when the payment was taken over."""

    amount: Decimal
    currency: str
    profile_id: int
    client_id: str | None
    contract_id: str | None


@value
class Outside:
    """What a human said was settled without PayTabs, and the transactions that were known to have money by then."""

    status: str
    known: frozenset[str]


@value
class Kept:
    """A word of the CMS that a human has kept: it stands for ours, for as long as ours is what it was then.

    One that means money, kept while ours said that nobody had paid, stands until PayTabs has money of its own: that a
    page ends unpaid takes nothing away from what was paid without it.

    Attributes:
        member: `status` or `transR`.
        theirs: The status that is kept; of a reference nothing, since it is left where it stands.
        ours: What ours was.
        known: The transactions that were known to have money by then.
    """

    member: str
    theirs: str | None
    ours: str | None
    known: frozenset[str]

    @property
    def settles(self) -> bool:
        """Return whether the word means money."""
        return self.theirs in SETTLED

    def stands_for(self, ours: str, live: frozenset[str]) -> bool:
        """Return whether a status is still shown for ours, beside the transactions that have money by now."""
        unpaid = self.settles and self.ours in UNPAID and live <= self.known
        return self.member == "status" and (unpaid or self.ours == ours)


@value
class Payment:
    """Everything known of one payment, not yet judged."""

    snapshot: Snapshot | None = None
    attempts: tuple[Attempt, ...] = ()
    observations: frozenset[facts.TransactionObserved] = frozenset()
    claims: tuple[facts.ReviewRaised, ...] = ()
    follow_ups: tuple[FollowUp, ...] = ()
    settled: frozenset[Reason | facts.ReviewRaised] = frozenset()
    outside: Outside | None = None
    kept: tuple[Kept, ...] = ()

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
    draft = _Draft(start or _NOTHING)
    for fact in history:
        apply = _APPLY.get(type(fact))
        if apply:
            apply(draft, fact)
    return draft.payment()


#: What is known before the first fact.
_NOTHING = Payment()


class _Draft:
    """A payment to which facts are being applied."""

    def __init__(self, start: Payment) -> None:
        self.snapshot = start.snapshot
        self.attempts = list(start.attempts)
        self.observations = set(start.observations)
        self.claims = dict.fromkeys(start.claims)
        self.follow_ups = list(start.follow_ups)
        self.settled = set(start.settled)
        self.outside, self.kept = start.outside, start.kept

    def payment(self) -> Payment:
        """Return what is known by now."""
        return Payment(
            self.snapshot, tuple(self.attempts), frozenset(self.observations), tuple(self.claims),
            tuple(self.follow_ups), frozenset(self.settled), self.outside, self.kept,
        )  # fmt: skip

    def create(self, fact: facts.PaymentCreated | facts.PaymentAdopted) -> None:
        self.snapshot = Snapshot(
            Decimal(fact.amount), fact.currency, fact.profile_id, fact.client_id, fact.contract_id
        )  # fmt: skip

    def adopt(self, fact: facts.PaymentAdopted) -> None:
        self.create(fact)
        money = (Decimal(fact.amount), fact.currency)
        self.attempts.append(Attempt(fact.operation_id, None, "sale", *money, AttemptStatus.OPEN, fact.tran_ref))

    def amend(self, fact: facts.PaymentAmended) -> None:
        if self.snapshot:
            self.snapshot = replace(self.snapshot, amount=Decimal(fact.amount), currency=fact.currency)

    def start_attempt(self, fact: facts.AttemptStarted) -> None:
        money = (Decimal(fact.amount), fact.currency)
        started = (fact.operation_id, fact.cart_id, fact.transaction, *money, AttemptStatus.STARTED)
        self.attempts.append(Attempt(*started))
        # A new attempt is asked for by the CMS: its page and its state are shown again. What means money stays.
        self.kept = tuple(one for one in self.kept if one.settles)

    def start_follow_up(self, fact: facts.FollowUpStarted) -> None:
        named = (fact.operation_id, fact.cart_id, fact.action, fact.tran_ref)
        self.follow_ups.append(FollowUp(*named, Decimal(fact.amount), fact.currency, AttemptStatus.STARTED))

    def open_page(self, fact: facts.PageOpened) -> None:
        self._update(fact.cart_id, AttemptStatus.OPEN, fact.tran_ref)

    def end_sending(self, fact: _Sending) -> None:
        refusal = fact if isinstance(fact, facts.AttemptRefused) else None
        self._update(fact.cart_id, _SENDING_STATUS[type(fact)], refusal=refusal)

    def retire(self, fact: facts.CartRetired) -> None:
        """Give a cart up; a page that has ended is no cart that nobody held."""
        if fact.reason == facts.PAGE_ENDED:
            self._leave(fact.operation_id, fact.cart_id or None, AttemptStatus.ENDED)
        else:
            self.end_sending(fact)

    def override(self, fact: facts.PageOverridden) -> None:
        self._leave(fact.operation_id, fact.cart_id, AttemptStatus.OVERRIDDEN)

    def observe(self, fact: facts.TransactionObserved) -> None:
        self.observations.add(fact)

    def claim(self, fact: facts.ReviewRaised) -> None:
        self.claims[fact] = None

    def settle(self, fact: facts.ReviewSettled) -> None:
        """Close a case: its claims, the reason wherever it is judged anew, and the operation it is about."""
        self.settled |= {claim for claim in self.claims if claim.case == fact.case} | {fact.case}
        sends: tuple[Attempt | FollowUp, ...] = (*self.attempts, *self.follow_ups)
        for send in sends:
            about = fact.operation_id and send.operation_id == fact.operation_id
            if about and send.status in IN_DOUBT and send.cart_id:
                self._update(send.cart_id, AttemptStatus.RETIRED)
        if fact.decision and fact.kept:
            others = [one for one in self.kept if one.member != fact.kept]
            self.kept = (*others, Kept(fact.kept, fact.status, fact.ours, frozenset(fact.known or ())))

    def settle_outside(self, fact: facts.PaymentSettledOutside) -> None:
        self.outside, self.kept = Outside(fact.status, frozenset(fact.known)), ()

    def _leave(self, operation_id: str, cart_id: str | None, status: AttemptStatus) -> None:
        """Set one attempt aside: by its cart, and by its operation, since an adopted one has no cart that we know."""
        for place, attempt in enumerate(self.attempts):
            if (attempt.operation_id, attempt.cart_id) == (operation_id, cart_id):
                self.attempts[place] = replace(attempt, status=status)

    def _update(
        self, cart_id: str, status: AttemptStatus, tran_ref: str | None = None,
        refusal: facts.AttemptRefused | None = None,
    ) -> None:  # fmt: skip
        for place, attempt in enumerate(self.attempts):
            if attempt.cart_id == cart_id:
                kept = attempt.status if attempt.status in _GIVEN_UP else status
                told = {"tran_ref": tran_ref or attempt.tran_ref, "refusal": refusal}
                known = vars(attempt) | {"status": kept, **told}
                self.attempts[place] = Attempt(**known)
        for place, follow_up in enumerate(self.follow_ups):
            if follow_up.cart_id == cart_id and follow_up.status not in _GIVEN_UP:
                self.follow_ups[place] = replace(follow_up, status=status)


#: What each fact does to a payment; the others, milestones, change nothing.
_APPLY: dict[type[Fact], Callable[[_Draft, Any], None]] = {
    facts.PaymentCreated: _Draft.create,
    facts.PaymentAdopted: _Draft.adopt,
    facts.PaymentAmended: _Draft.amend,
    facts.AttemptStarted: _Draft.start_attempt,
    facts.FollowUpStarted: _Draft.start_follow_up,
    facts.PageOpened: _Draft.open_page,
    **dict.fromkeys(_SENDING_STATUS, _Draft.end_sending),
    facts.CartRetired: _Draft.retire,
    facts.PageOverridden: _Draft.override,
    facts.TransactionObserved: _Draft.observe,
    facts.ReviewRaised: _Draft.claim,
    facts.ReviewSettled: _Draft.settle,
    facts.PaymentSettledOutside: _Draft.settle_outside,
}
