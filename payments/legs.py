"""What one attempt came to: its state and sums, from the original transaction and everything that acted on it.

Nothing here knows the order in which observations arrived. Source: section 7 of the gateway contract.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from payments.movements import FAILED, FREEING, Movement
from payments.payment import FAILED_STATES, OPEN, Attempt, AttemptStatus, State

ZERO = Decimal(0)

#: Response codes after which the acquirer may have taken money all the same (section 6 of the gateway contract).
BANK_CHECK_CODES = {("E", "400"), ("E", "401"), ("D", "300")}

_FAILED_STATE = {"D": State.DECLINED, "E": State.ERROR, "C": State.CANCELLED, "X": State.EXPIRED}


@dataclass(frozen=True)
class Leg:
    """One attempt's outcome: its state and sums in major units."""

    state: State
    tran_ref: str | None = None
    operation_id: str | None = None
    authorised: Decimal = ZERO
    captured: Decimal = ZERO
    released: Decimal = ZERO
    refunded: Decimal = ZERO
    refund_pending: Decimal = ZERO
    flags: frozenset[str] = frozenset()
    problems: tuple[str, ...] = ()


def attempt_of(root: Movement, attempts: tuple[Attempt, ...]) -> Attempt | None:
    """Return the attempt a transaction belongs to, by its page's reference or its cart."""
    for attempt in attempts:
        if attempt.tran_ref == root.tran_ref or (attempt.cart_id is not None and attempt.cart_id in root.carts):
            return attempt
    return None


def attempt_legs(attempt: Attempt, roots: dict[str, Movement], children: dict[str, list[Movement]]) -> list[Leg]:
    """Return what an attempt came to: one leg, more when its page was paid more than once, none when given up."""
    legs = [judge(root, children, attempt) for root in roots.values() if attempt_of(root, (attempt,)) is not None]
    known = [leg for leg in legs if leg.tran_ref]
    if attempt.tran_ref and attempt.tran_ref not in roots and attempt.tran_ref in children:
        known.append(_settled(attempt.tran_ref, children[attempt.tran_ref], Leg(State.AWAITING_PAYER)))
    if attempt.status is AttemptStatus.RETIRED:
        known = [leg for leg in known if leg.state is not State.AWAITING_PAYER]
    else:
        known = known or [_unobserved(attempt)]
    return [replace(leg, operation_id=attempt.operation_id) for leg in known]


def _unobserved(attempt: Attempt) -> Leg:
    state = {
        AttemptStatus.STARTED: State.SENT,
        AttemptStatus.UNKNOWN: State.SENT,
        AttemptStatus.OPEN: State.AWAITING_PAYER,
        AttemptStatus.NOT_SENT: State.NEW,
        AttemptStatus.REFUSED: State.ERROR,
        AttemptStatus.RETIRED: State.NEW,
    }[attempt.status]
    return Leg(state, tran_ref=attempt.tran_ref)


def judge(root: Movement, children: dict[str, list[Movement]], attempt: Attempt | None) -> Leg:
    """Judge one original transaction together with everything that acted on it."""
    below = children.get(root.tran_ref, [])
    if attempt is not None and attempt.transaction == "register" and root.status in ("A", "V"):
        return Leg(State.VOIDED, root.tran_ref)
    if root.status in ("A", "H", "V") and not _expired_hold(root, below):
        return _money(root, below)
    if root.status == "P":
        waiting = State.AWAITING_PAYER if root.awaits_payer else State.PENDING_OFFLINE
        return _settled(root.tran_ref, below, Leg(waiting, root.tran_ref))
    if root.status in FAILED or _expired_hold(root, below):
        return _settled(root.tran_ref, below, _failed(root))
    return Leg(State.SENT, root.tran_ref)


def _expired_hold(root: Movement, below: list[Movement]) -> bool:
    """Return whether an authorisation lapsed: expired later than it was authorised, with nothing captured."""
    captured = any(child.kind in ("capture", "sale") and child.succeeded for child in below)
    return root.kind == "auth" and root.status == "A" and root.expired_at > root.occurred_at and not captured


def _failed(root: Movement) -> Leg:
    status = "X" if root.status == "A" else root.status
    flags = {"bank_check"} if (status, root.code or "") in BANK_CHECK_CODES else set()
    return Leg(_FAILED_STATE[status], root.tran_ref, flags=frozenset(flags))


def _settled(tran_ref: str, below: list[Movement], otherwise: Leg) -> Leg:
    """Judge a deferred or failed root by the later sale that settled it, if one did."""
    sales = [child for child in below if child.kind in ("sale", "capture")]
    won = [child for child in sales if child.succeeded or child.status == "V"]
    if not won:
        lost = [child for child in sales if child.status in FAILED]
        if lost and otherwise.state in OPEN:
            return replace(_failed(lost[0]), tran_ref=tran_ref)
        return replace(otherwise, tran_ref=tran_ref)
    late = frozenset({"late_success"}) if otherwise.state in FAILED_STATES else frozenset()
    rest = [child for child in below if child not in won]
    leg = _money(replace(won[0], kind="sale"), rest)
    if len(won) > 1:
        leg = replace(leg, problems=(*leg.problems, f"{tran_ref}: settled more than once"))
    return replace(leg, flags=leg.flags | late)


def _money(root: Movement, below: list[Movement]) -> Leg:
    """Sum up a root that authorised money, over distinct references."""
    done = [child for child in below if child.succeeded]
    captures = sum((child.amount for child in done if child.kind in ("capture", "sale")), ZERO)
    freed = sum((child.amount for child in done if child.kind in FREEING), ZERO)
    refunded = sum((child.amount for child in done if child.kind == "refund"), ZERO)
    waiting = sum((child.amount for child in below if child.kind == "refund" and child.status == "P"), ZERO)
    taken_at_once = root.kind == "sale" and root.status == "A"
    undone = root.status == "V" or (taken_at_once and freed > ZERO)
    captured = ZERO if undone and captures == ZERO else captures + (root.amount if taken_at_once else ZERO)
    released = root.amount if undone else freed
    leg = Leg(
        State.REVIEW, root.tran_ref, None, root.amount, captured, released, refunded, waiting,
        frozenset({"late_success"} if root.succeeded and root.statuses & FAILED else ()),
    )  # fmt: skip
    return replace(leg, state=_money_state(root, leg), problems=tuple(_breaches(leg)))


def _money_state(root: Movement, leg: Leg) -> State:
    rest = leg.authorised - leg.captured - leg.released
    if leg.captured == ZERO:
        if leg.released >= leg.authorised:
            return State.VOIDED
        return State.ON_HOLD if root.status == "H" else State.AUTHORISED
    if rest > ZERO:
        return State.PART_CAPTURED
    if leg.refunded == ZERO:
        return State.PAID
    return State.REFUNDED if leg.refunded >= leg.captured else State.PART_REFUNDED


def _breaches(leg: Leg) -> Iterable[str]:
    if leg.captured + leg.released > leg.authorised:
        yield f"{leg.tran_ref}: captured and released exceed authorised"
    if leg.refunded + leg.refund_pending > leg.captured:
        yield f"{leg.tran_ref}: refunds exceed captured"
