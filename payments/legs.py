"""What one attempt came to: its state and sums, from the original transaction and everything that acted on it.

Nothing here knows the order in which observations arrived. Source: section 7 of the gateway contract.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from payments.families import SETTLING, Families, attempt_of
from payments.movements import FAILED, FREEING, ZERO, Movement
from payments.payment import FAILED_STATES, OPEN, Attempt, AttemptStatus, State
from payments.reasons import Reason, ReasonCode
from payments.values import value

_FAILED_STATE = {"D": State.DECLINED, "E": State.ERROR, "C": State.CANCELLED, "X": State.EXPIRED}

_UNOBSERVED = {
    AttemptStatus.STARTED: State.SENT,
    AttemptStatus.UNKNOWN: State.SENT,
    AttemptStatus.OPEN: State.AWAITING_PAYER,
    AttemptStatus.OVERRIDDEN: State.AWAITING_PAYER,
    AttemptStatus.ENDED: State.AWAITING_PAYER,
    AttemptStatus.NOT_SENT: State.NEW,
    AttemptStatus.REFUSED: State.ERROR,
}

#: Transactions below an authorisation that take money.
TAKING = ("capture", "sale")

#: What says nothing about a payment when its cart was given up: nobody held the link.
_MEANINGLESS_WHEN_RETIRED = FAILED_STATES | {State.AWAITING_PAYER, State.SENT}


@value
class Leg:
    """One attempt's outcome: its state and sums in major units, and what each transaction can still give back.

    `overridden` is one of an attempt that an operator has set aside, `ended` one of a page whose time is over and of
    which PayTabs has said that nobody pays it.
    """

    state: State
    tran_ref: str | None = None
    operation_id: str | None = None
    authorised: Decimal = ZERO
    captured: Decimal = ZERO
    released: Decimal = ZERO
    refunded: Decimal = ZERO
    refund_pending: Decimal = ZERO
    flags: frozenset[str] = frozenset()
    problems: tuple[Reason, ...] = ()
    refundable: tuple[tuple[str, Decimal], ...] = ()
    cart_id: str | None = None
    overridden: bool = False
    ended: bool = False

    @property
    def set_aside(self) -> bool:
        """Return whether it keeps nothing from beginning beside it; money that comes of it counts all the same.

        A voucher outlives its page: should PayTabs tell of one after the end, it stands in the way again.
        """
        return (self.overridden and self.state in OPEN) or (self.ended and self.state is State.AWAITING_PAYER)

    @property
    def remaining(self) -> Decimal:
        """Return what is still held: neither captured nor released."""
        return self.authorised - self.captured - self.released


def attempt_legs(attempt: Attempt, attempts: tuple[Attempt, ...], families: Families) -> list[Leg]:
    """Return what an attempt came to: one leg, more when its page was paid more than once, none when given up."""
    roots = [root for root in families.roots.values() if attempt_of(root, attempts) is attempt]
    legs = [judge(root, families.below(root.tran_ref)) for root in roots]
    if attempt.tran_ref and attempt.tran_ref not in families.roots:
        settled = _settled(attempt.tran_ref, families.below(attempt.tran_ref), Leg(State.AWAITING_PAYER))
        # The page itself was not heard of: it is open until PayTabs says otherwise, or the money is there.
        if all(leg.state in FAILED_STATES for leg in legs) or settled.state is not State.AWAITING_PAYER:
            legs.append(settled)
    if any(root.status == "X" and root.tran_ref != attempt.tran_ref for root in roots):
        legs = [leg for leg in legs if leg.state is not State.PENDING_OFFLINE]
    if attempt.status is AttemptStatus.RETIRED:
        legs = [leg for leg in legs if leg.state not in _MEANINGLESS_WHEN_RETIRED]
    elif not legs:
        legs = [Leg(_UNOBSERVED[attempt.status], tran_ref=attempt.tran_ref)]
    left = {"overridden": attempt.status is AttemptStatus.OVERRIDDEN, "ended": attempt.status is AttemptStatus.ENDED}
    return [_but(leg, operation_id=attempt.operation_id, cart_id=attempt.cart_id, **left) for leg in legs]


def _but(leg: Leg, **differing: Any) -> Leg:  # noqa: ANN401 - any field's value
    """Return a leg that differs in some fields; `replace` would take twice the time, once for every leg there is."""
    return Leg(**(vars(leg) | differing))


def judge(root: Movement, below: Sequence[Movement]) -> Leg:
    """Judge one original transaction together with everything that acted on it.

    Two rows of the table meet in an `auth` of which both A and X were said: when X's time is later, a hold lapsed
    (EXPIRED), unless something was captured; otherwise rank decides and the A is a late success.
    """
    lapsed = root.lapsed and not any(child.kind in ("capture", "sale") and child.succeeded for child in below)
    if root.kind == "register" and root.status in ("A", "V"):
        # PayTabs verifies the card and frees it in one request: a V of it is what an A of it comes to.
        return Leg(State.REGISTERED, root.tran_ref)
    if root.status in ("A", "H", "V") and not lapsed:
        return _money(root, below)
    if root.status == "P":
        waiting = State.AWAITING_PAYER if root.awaits_payer else State.PENDING_OFFLINE
        return _settled(root.tran_ref, below, Leg(waiting))
    if lapsed:
        return Leg(State.EXPIRED, root.tran_ref)
    if root.status in FAILED:
        return _settled(root.tran_ref, below, _but(_failed(root), problems=_unearned(root.tran_ref, below)))
    return Leg(State.SENT, root.tran_ref)


def _failed(root: Movement) -> Leg:
    flags = frozenset({"bank_check"}) if root.needs_bank_check else frozenset()
    return Leg(_FAILED_STATE[root.status], root.tran_ref, flags=flags)


def _settled(tran_ref: str, below: Sequence[Movement], otherwise: Leg) -> Leg:
    """Judge an unseen, pending or failed original by what settled it later, if anything did."""
    settling = [child for child in below if child.kind in SETTLING]
    holds = [child for child in settling if child.kind == "auth" and child.succeeded]
    taken = [child for child in settling if child.kind in ("sale", "capture") and child.succeeded]
    other = [child for child in settling if child.status in ("V", "H")]
    won = holds or taken or other[:1]
    if not won:
        return _unsettled(tran_ref, settling, otherwise)
    kind = "sale" if won[0].kind == "capture" else won[0].kind
    total = sum([child.amount for child in won], ZERO)
    leg = _money(replace(won[0], kind=kind, amount=total), [child for child in below if child not in won])
    twice = (Reason(ReasonCode.SETTLED_TWICE, tran_ref),) if len(won) > 1 else ()
    late = frozenset({"late_success"}) if otherwise.state in FAILED_STATES else frozenset()
    return _but(leg, flags=leg.flags | late, problems=(*leg.problems, *twice))


def _unsettled(tran_ref: str, settling: Sequence[Movement], otherwise: Leg) -> Leg:
    lost = [child for child in settling if child.status in FAILED and child.kind != "capture"]
    if lost and otherwise.state in OPEN:
        return _but(_failed(lost[-1]), tran_ref=tran_ref)
    if otherwise.state is State.AWAITING_PAYER and any(one.status == "P" and not one.awaits_payer for one in settling):
        return Leg(State.PENDING_OFFLINE, tran_ref)
    return _but(otherwise, tran_ref=tran_ref)


def _unearned(tran_ref: str, below: Sequence[Movement]) -> tuple[Reason, ...]:
    given = any(child.kind == "refund" and child.succeeded for child in below)
    return (Reason(ReasonCode.REFUNDED_THOUGH_FAILED, tran_ref),) if given else ()


def _money(root: Movement, below: Sequence[Movement]) -> Leg:
    """Sum up a root that authorised money, over distinct references."""
    if not below:
        return _untouched(root)
    root, below = _as_taken(root, below), [_as_taken(child, below) for child in below]
    done = [child for child in below if child.succeeded]
    captures = sum([child.amount for child in done if child.kind in ("capture", "sale")], ZERO)
    freed = sum([child.amount for child in done if child.kind in FREEING], ZERO)
    refunded = sum([child.amount for child in done if child.kind == "refund"], ZERO)
    waiting = sum([child.amount for child in pending_refunds(below)], ZERO)
    taken_at_once = root.kind == "sale" and root.succeeded
    undone = root.status == "V" or (taken_at_once and freed >= root.amount)
    captured = captures + (root.amount if taken_at_once and not undone else ZERO)
    released = max(root.amount, freed) if undone else freed
    failures = root.statuses & FAILED - ({"X"} if root.lapsed else set())
    flags = {"late_success"} if root.succeeded and failures else set()
    flags |= {"bank_check"} if any(child.needs_bank_check for child in below) else set()
    leg = Leg(
        State.REVIEW, root.tran_ref, None, root.amount, captured, released, refunded, waiting, frozenset(flags)
    )  # fmt: skip
    sources = [*([root] if taken_at_once and not undone else []), *(one for one in done if one.kind in TAKING)]
    return _but(
        leg,
        state=_money_state(root, leg),
        problems=tuple(_breaches(leg, below)),
        refundable=tuple(_refundable(leg, sources, below)),
    )


def _untouched(root: Movement) -> Leg:
    """Sum up a root on which nothing has acted, as most are."""
    taken_at_once = root.kind == "sale" and root.succeeded
    undone = root.status == "V" or (taken_at_once and root.amount <= ZERO)
    captured = root.amount if taken_at_once and not undone else ZERO
    late = root.succeeded and root.statuses & FAILED - ({"X"} if root.lapsed else set())
    leg = Leg(
        State.REVIEW, root.tran_ref, None, root.amount, captured, max(root.amount, ZERO) if undone else ZERO,
        flags=frozenset({"late_success"} if late else ()),
        refundable=((root.tran_ref, captured),) if captured > ZERO else (),
    )  # fmt: skip
    return _but(leg, state=_money_state(root, leg), problems=tuple(_breaches(leg, ())))


def _as_taken(one: Movement, below: Sequence[Movement]) -> Movement:
    """Return what took money as authorised, though it is called voided since refunds gave all of it back."""
    if one.status != "V" or one.kind not in TAKING:
        return one
    given = sum((refund.amount for refund in _refunds_of(one, below) if refund.succeeded), ZERO)
    return replace(one, status="A") if given >= one.amount > ZERO else one


def _refunds_of(source: Movement, below: Sequence[Movement]) -> list[Movement]:
    """Return the refunds of one transaction, those among them that resolve an earlier one."""
    refunds = [child for child in below if child.kind == "refund"]
    above = {refund.tran_ref: refund.previous for refund in refunds}
    return [one for one in refunds if source.tran_ref in (one.previous, above.get(one.previous or ""))]


def pending_refunds(movements: Iterable[Movement]) -> list[Movement]:
    """Return the refunds that wait for an approval, but for those that another transaction has resolved."""
    refunds = [one for one in movements if one.kind == "refund"]
    resolved = {one.previous for one in refunds if one.status != "P"}
    return [one for one in refunds if one.status == "P" and one.tran_ref not in resolved]


def _refundable(leg: Leg, sources: Sequence[Movement], below: Sequence[Movement]) -> Iterable[tuple[str, Decimal]]:
    """Say how much each transaction that took money can still give back: refunds are per sale or capture."""
    left = leg.captured - leg.refunded - leg.refund_pending
    waiting = pending_refunds(below)
    for source in sources:
        given = [one for one in _refunds_of(source, below) if one.succeeded or one in waiting]
        rest = source.amount - sum([one.amount for one in given], ZERO)
        if min(rest, left) > ZERO:
            yield source.tran_ref, min(rest, left)


def _money_state(root: Movement, leg: Leg) -> State:
    if leg.captured == ZERO:
        if leg.released >= leg.authorised:
            return State.VOIDED
        return State.ON_HOLD if root.status == "H" else State.AUTHORISED
    if leg.authorised > leg.captured + leg.released:
        return State.PART_CAPTURED
    if leg.refunded == ZERO:
        return State.PAID
    return State.REFUNDED if leg.refunded >= leg.captured else State.PART_REFUNDED


def _breaches(leg: Leg, below: Sequence[Movement]) -> Iterable[Reason]:
    ref = str(leg.tran_ref)
    if leg.captured + leg.released > leg.authorised:
        yield Reason(ReasonCode.CAPTURES_EXCEED, ref)
    if leg.refunded + leg.refund_pending > leg.captured:
        yield Reason(ReasonCode.REFUNDS_EXCEED, ref)
    for child in below:
        if child.kind in ("capture", "sale") and child.status == "V":
            yield Reason(ReasonCode.CAPTURE_UNDONE, child.tran_ref)
