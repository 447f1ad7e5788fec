"""The verdict over a payment: the same for any order and repetition of its observations.

What PayTabs said of each `tran_ref` is merged first (`movements`), joined with what we know of our own `follow_ups` and
sorted into `families`, then each attempt's leg is judged (`legs`), then the legs together. Source: section 7 of the
gateway contract.
"""

from collections.abc import Iterable
from dataclasses import field, replace
from decimal import Decimal

from payments.families import SETTLING, Families, attempt_of, sort_out
from payments.follow_ups import differences, refunds_in_flight, with_our_word
from payments.legs import Leg, attempt_legs, judge, pending_refunds
from payments.movements import FAILED, MOVES_NOTHING, ZERO, Movement, merge
from payments.payment import CONFIRMED, LIVE, OPEN, Attempt, Payment, Snapshot, State
from payments.reasons import BESIDE, LEAVES, Reason, ReasonCode, in_order
from payments.values import value

#: What the CMS reads in `payments.status`; every state not named is "pending". A registered card is among those, which
#: leaves the status as the page that registered it had set it: nothing has failed, nothing is paid.
CMS_STATUS = {
    State.PAID: "paid", State.PART_REFUNDED: "paid", State.PART_CAPTURED: "paid", State.REFUNDED: "refunded",
    State.VOIDED: "failed", State.DECLINED: "failed", State.ERROR: "failed", State.CANCELLED: "failed",
    State.EXPIRED: "failed",
}  # fmt: skip

#: What versions before wrote where they called a state otherwise: it is ours, though it is not what is written today.
CMS_STATUS_BEFORE = {State.REGISTERED: "failed"}

#: Legs that decide the payment's state when none holds or took money, the latest of them.
_ENDED = OPEN | {State.REFUNDED, State.VOIDED}

#: States that an unconfirmed claim does not take away.
_STANDS = CONFIRMED | {State.REGISTERED}

#: Of what an amount may differ: the payment's, else a follow-up's of that name.
_PAYMENT = ("payment",)


@value
class Assessment:
    """The verdict over a payment: its state, sums, flags, and why a human is needed, if one is.

    `parked` are references that wait for a parent, `pending` refunds that wait for an approval, `set_aside` the legs of
    pages that an operator has overridden, or that have ended unpaid. `stands_for` is the status that a human has put in
    the place of ours, `left` the members of the CMS's document that stay as they are.
    """

    state: State
    base_state: State
    tran_ref: str | None
    authorised: Decimal
    captured: Decimal
    released: Decimal
    refunded: Decimal
    refund_pending: Decimal
    flags: tuple[str, ...]
    review: tuple[Reason, ...]
    parked: tuple[str, ...]
    pending: tuple[str, ...] = ()
    legs: tuple[Leg, ...] = field(default=(), compare=False)
    set_aside: tuple[Leg, ...] = field(default=(), compare=False)
    movements: tuple[Movement, ...] = field(default=(), compare=False)
    stands_for: str | None = None
    left: frozenset[str] = frozenset()

    @property
    def cms_status(self) -> str:
        """Return what the CMS reads in `payments.status`, unless that is left as it is."""
        return self.stands_for or self.own_status

    @property
    def own_status(self) -> str:
        """Return the status that its state comes to, whatever a human has put in its place."""
        return CMS_STATUS.get(self.state, "pending")

    @property
    def beside(self) -> tuple[Reason, ...]:
        """Return the cases about the CMS's own word: while one is open, nothing new is charged."""
        return tuple(reason for reason in self.review if reason.code in LEAVES or reason.code in BESIDE)

    @property
    def in_review(self) -> tuple[Reason, ...]:
        """Return the cases that put the payment into review."""
        return tuple(reason for reason in self.review if reason.code not in BESIDE)

    @property
    def page_has_ended(self) -> bool:
        """Return whether the payer is awaited on no page any more, and the payment may be asked for again."""
        return self.state is State.AWAITING_PAYER and not any(leg.state in OPEN for leg in self.legs)

    def legs_of(self, operation_id: str) -> list[Leg]:
        """Return what an operation's attempts have come to, also where that is set aside."""
        return [leg for leg in (*self.legs, *self.set_aside) if leg.operation_id == operation_id]


def assess(payment: Payment) -> Assessment:
    """Judge a payment: the same verdict for any order and repetition of its observations."""
    attempts, terms = payment.attempts, payment.snapshot
    movements = with_our_word(merge(payment.observations), payment.follow_ups)
    booked = movements | refunds_in_flight(movements, payment.follow_ups)
    families = sort_out(booked, attempts, terms.amount if terms else None)
    legs = [leg for attempt in attempts for leg in attempt_legs(attempt, attempts, families)]
    strays = [root for root in families.roots.values() if attempt_of(root, attempts) is None]
    legs += [judge(root, families.below(root.tran_ref)) for root in strays]
    review = [*families.problems, *[problem for leg in legs for problem in leg.problems]]
    for movement in movements.values():
        review += movement.problems
        review += _mismatches(movement, families, attempts, terms) if terms else ()
        review += differences(movement, payment.follow_ups, movements) if payment.follow_ups else ()
    review += paid_twice(legs)
    review += paid_outside_too(legs, payment)
    doubts = [reason for reason in review if reason not in payment.settled]
    claims = [claim.case for claim in payment.open_claims]
    verdict = _verdict(legs, doubts, claims, families.parked, tuple(movements.values()))
    return verdict if not (payment.outside or payment.kept or verdict.beside) else _with_their_word(verdict, payment)


def paid_twice(legs: Iterable[Leg]) -> Iterable[Reason]:
    """Say that more than one attempt stands, naming them; nothing when at most one does."""
    live = sorted(str(leg.tran_ref) for leg in legs if leg.state in LIVE)
    if len(live) > 1:
        yield Reason(ReasonCode.PAID_TWICE, params=tuple(live))


def paid_outside_too(legs: Iterable[Leg], payment: Payment) -> Iterable[Reason]:
    """Say that PayTabs has taken money since a human said that the payment was settled without it."""
    said = [payment.outside, *(one for one in payment.kept if one.settles)]
    known = [one.known for one in said if one]
    live = sorted({str(leg.tran_ref) for leg in legs if leg.state in LIVE}.difference(*known)) if known else []
    if live:
        yield Reason(ReasonCode.PAID_OUTSIDE_TOO, params=tuple(live))


def _with_their_word(verdict: Assessment, payment: Payment) -> Assessment:
    """Return the verdict with what humans have said of the CMS's word, and what of it waits for one to say."""
    left = frozenset().union(*(LEAVES.get(reason.code, frozenset()) for reason in verdict.review))
    left |= {"transR" for one in payment.kept if one.member == "transR" and one.ours == verdict.tran_ref}
    live = frozenset(str(leg.tran_ref) for leg in verdict.legs if leg.state in LIVE)
    if payment.outside and live <= payment.outside.known:
        outside = State.SETTLED_OUTSIDE
        state = verdict.state if verdict.in_review and verdict.state is State.REVIEW else outside
        return replace(verdict, state=state, base_state=outside, stands_for=payment.outside.status, left=left)
    kept = [one.theirs for one in payment.kept if one.stands_for(verdict.own_status, live)]
    return replace(verdict, stands_for=kept[-1] if kept else None, left=left)


def _verdict(
    judged: list[Leg], review: list[Reason], claims: list[Reason], parked: set[str], movements: tuple[Movement, ...]
) -> Assessment:
    legs = [leg for leg in judged if not leg.set_aside]
    base, current = _together(legs, judged)
    claimed = any(reason.code not in BESIDE for reason in claims)
    doubtful = any(reason.code not in BESIDE for reason in review) or (claimed and base not in _STANDS)
    return Assessment(
        state=State.REVIEW if doubtful else base,
        base_state=base,
        tran_ref=current.tran_ref if current else None,
        authorised=sum([leg.authorised for leg in legs], ZERO),
        captured=sum([leg.captured for leg in legs], ZERO),
        released=sum([leg.released for leg in legs], ZERO),
        refunded=sum([leg.refunded for leg in legs], ZERO),
        refund_pending=sum([leg.refund_pending for leg in legs], ZERO),
        flags=tuple(sorted(frozenset().union(*[leg.flags for leg in legs]))),
        review=in_order(set(review) | set(claims)),
        parked=tuple(sorted(parked)),
        pending=tuple(sorted(one.tran_ref for one in pending_refunds(movements))),
        legs=tuple(legs),
        set_aside=tuple(leg for leg in judged if leg.set_aside),
        movements=movements,
    )


def _mismatches(
    movement: Movement, families: Families, attempts: tuple[Attempt, ...], terms: Snapshot
) -> Iterable[Reason]:
    """Name every way in which what PayTabs said of a transaction differs from what was asked."""
    ref = movement.tran_ref
    root = families.root_of(movement)
    attempt = attempt_of(root or movement, attempts)
    amount, currency = (attempt.amount, attempt.currency) if attempt else (terms.amount, terms.currency)
    if movement.profiles - {terms.profile_id}:
        yield Reason(ReasonCode.PROFILE_DIFFERS, ref)
    if movement.currencies - {currency}:
        yield Reason(ReasonCode.CURRENCY_DIFFERS, ref)
    if _settles(movement, root) and movement.amount != amount:
        yield Reason(ReasonCode.AMOUNT_DIFFERS, ref, _PAYMENT)
    if root is movement and movement.status in ("A", "H", "V"):
        yield from _unlike(movement, attempt, amount)


def _unlike(root: Movement, attempt: Attempt | None, amount: Decimal) -> Iterable[Reason]:
    """Name how an original that moved money differs from the attempt it belongs to."""
    ref = root.tran_ref
    if attempt is None:
        yield Reason(ReasonCode.ATTEMPT_UNKNOWN, ref)
    elif (attempt.transaction == "register") != (root.kind == "register"):
        yield Reason(ReasonCode.KIND_DIFFERS, ref, (root.kind, attempt.transaction))
    if attempt and attempt.cart_id and root.carts - {attempt.cart_id}:
        yield Reason(ReasonCode.CART_DIFFERS, ref)
    told = root.status != "V" or root.amount != ZERO
    if told and root.kind not in MOVES_NOTHING and root.amount != amount:
        yield Reason(ReasonCode.AMOUNT_DIFFERS, ref, _PAYMENT)


def _settles(movement: Movement, root: Movement | None) -> bool:
    """Return whether a transaction with a parent pays a deferred, failed or not yet seen original."""
    if movement is root or movement.kind not in SETTLING or not movement.succeeded or not movement.previous:
        return False
    return root is not None and (root.status == "P" or root.status in FAILED)


def _together(legs: list[Leg], judged: list[Leg]) -> tuple[State, Leg | None]:
    """Return the payment's state and the leg that decides it.

    Money that is held or taken decides; then the latest attempt that is open or whose money went back; then the last,
    among which a page counts that has ended, but none that an operator has set aside.

    Args:
        legs: those that stand in the way of another attempt.
        judged: all of them, in the order of their attempts.
    """
    live = [leg for leg in legs if leg.state in LIVE]
    ended = [leg for leg in legs if leg.state in _ENDED]
    last = [leg for leg in judged if leg.ended or not leg.set_aside][-1:]
    current = next(iter(live or ended[-1:] or last), None)
    return (current.state, current) if current else (State.NEW, None)
