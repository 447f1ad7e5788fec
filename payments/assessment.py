"""The verdict over a payment: the same for any order and repetition of its observations.

What PayTabs said of each `tran_ref` is merged first (`movements`), then each attempt's leg is judged (`legs`), then
the legs together. Source: section 7 of the gateway contract.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from payments.legs import ZERO, Leg, attempt_legs, attempt_of, judge
from payments.movements import FAILED, FREEING, Movement, merge
from payments.payment import CONFIRMED, LIVE, OPEN, Attempt, Payment, State

#: What the CMS reads in `payments.status`; every state not named is "pending".
CMS_STATUS = {
    State.PAID: "paid", State.PART_REFUNDED: "paid", State.PART_CAPTURED: "paid", State.REFUNDED: "refunded",
    State.VOIDED: "failed", State.DECLINED: "failed", State.ERROR: "failed", State.CANCELLED: "failed",
    State.EXPIRED: "failed",
}  # fmt: skip


@dataclass(frozen=True)
class Assessment:
    """The verdict over a payment: its state, sums, flags, and why a human is needed, if one is."""

    state: State
    base_state: State
    tran_ref: str | None
    authorised: Decimal
    captured: Decimal
    released: Decimal
    refunded: Decimal
    refund_pending: Decimal
    flags: tuple[str, ...]
    review: tuple[str, ...]
    parked: tuple[str, ...]
    legs: tuple[Leg, ...] = field(default=(), compare=False)

    @property
    def cms_status(self) -> str:
        """Return what the CMS reads in `payments.status`."""
        return CMS_STATUS.get(self.state, "pending")


def assess(payment: Payment) -> Assessment:
    """Judge a payment: the same verdict for any order and repetition of its observations."""
    movements = merge(payment.observations)
    roots, children, parked = _family(payment, movements)
    legs = [leg for attempt in payment.attempts for leg in attempt_legs(attempt, roots, children)]
    legs += [judge(root, children, None) for root in roots.values() if attempt_of(root, payment.attempts) is None]
    review = [*_mismatches(payment, movements, roots), *(problem for leg in legs for problem in leg.problems)]
    base, current = _together(legs)
    if sum(leg.state in LIVE for leg in legs) > 1:
        review.append("paid twice: more than one attempt succeeded")
    claims = [claim.reason for claim in payment.claims]
    doubtful = bool(review) or (bool(claims) and base not in CONFIRMED)
    return Assessment(
        state=State.REVIEW if doubtful else base,
        base_state=base,
        tran_ref=current.tran_ref if current else None,
        authorised=sum((leg.authorised for leg in legs), ZERO),
        captured=sum((leg.captured for leg in legs), ZERO),
        released=sum((leg.released for leg in legs), ZERO),
        refunded=sum((leg.refunded for leg in legs), ZERO),
        refund_pending=sum((leg.refund_pending for leg in legs), ZERO),
        flags=tuple(sorted({flag for leg in legs for flag in leg.flags})),
        review=tuple(sorted(set(review) | set(claims))),
        parked=tuple(sorted(parked)),
        legs=tuple(legs),
    )


def _family(
    payment: Payment, movements: dict[str, Movement]
) -> tuple[dict[str, Movement], dict[str, list[Movement]], set[str]]:
    """Sort movements into roots, their descendants by root reference, and those whose parent is not known yet."""
    page_refs = {attempt.tran_ref: attempt for attempt in payment.attempts if attempt.tran_ref}
    roots: dict[str, Movement] = {}
    children: dict[str, list[Movement]] = {}
    parked: set[str] = set()
    for movement in movements.values():
        top = _top(movement, movements, page_refs)
        if top == movement.tran_ref and movement.kind not in FREEING | {"capture", "refund"}:
            roots[top] = movement
        elif top is None and movement.kind == "sale" and _is_token_charge(movement, payment.attempts):
            roots[movement.tran_ref] = movement
        elif top is not None and top != movement.tran_ref and _countable(movement, movements.get(top), page_refs):
            children.setdefault(top, []).append(movement)
        else:
            parked.add(movement.tran_ref)
    return roots, children, parked


def _top(movement: Movement, movements: dict[str, Movement], page_refs: dict[str, Attempt]) -> str | None:
    """Return the reference at the top of a movement's chain, or None when a parent in it is unknown or it is a ring."""
    seen = {movement.tran_ref}
    while movement.previous is not None:
        if movement.previous in seen:
            return None
        seen.add(movement.previous)
        if movement.previous not in movements:
            return movement.previous if movement.previous in page_refs else None
        movement = movements[movement.previous]
    return movement.tran_ref


def _is_token_charge(movement: Movement, attempts: tuple[Attempt, ...]) -> bool:
    """Return whether a sale with a foreign parent is an attempt of ours: a token's origin is another payment."""
    return any(one.cart_id in movement.carts and one.transaction == "sale" and not one.tran_ref for one in attempts)


def _countable(child: Movement, root: Movement | None, page_refs: dict[str, Attempt]) -> bool:
    """Return whether a follow-up can be booked: its root is known, or it settles a page for the whole amount."""
    if root is not None:
        return True
    attempt = page_refs.get(child.previous or "")
    return child.kind == "sale" and attempt is not None and child.amount in (ZERO, attempt.amount)


def _mismatches(payment: Payment, movements: dict[str, Movement], roots: dict[str, Movement]) -> Iterable[str]:
    """Name every way in which what PayTabs said differs from what was asked."""
    terms = payment.snapshot
    for movement in movements.values():
        yield from movement.problems
        if terms is None:
            continue
        if movement.profiles - {terms.profile_id}:
            yield f"{movement.tran_ref}: profile differs from the payment's"
        attempt = attempt_of(movement, payment.attempts)
        amount, currency = (attempt.amount, attempt.currency) if attempt else (terms.amount, terms.currency)
        if movement.currencies - {currency}:
            yield f"{movement.tran_ref}: currency differs from the payment's"
        if _settles(movement, roots) and movement.amount != amount:
            yield f"{movement.tran_ref}: amount differs from the payment's"
        registers = movement.kind == "register" or (attempt is not None and attempt.transaction == "register")
        if movement.tran_ref in roots and movement.status in ("A", "H") and not registers:
            if attempt is None:
                yield f"{movement.tran_ref}: a transaction of no known attempt"
            if movement.amount != amount:
                yield f"{movement.tran_ref}: amount differs from the payment's"
            if attempt and attempt.cart_id and movement.carts and attempt.cart_id not in movement.carts:
                yield f"{movement.tran_ref}: cart differs from the attempt's"


def _settles(movement: Movement, roots: dict[str, Movement]) -> bool:
    """Return whether a sale with a parent pays a deferred, failed or not yet seen original."""
    if movement.tran_ref in roots or movement.kind != "sale" or not movement.succeeded or not movement.previous:
        return False
    root = roots.get(movement.previous)
    return root is None or root.status == "P" or root.status in FAILED


def _together(legs: list[Leg]) -> tuple[State, Leg | None]:
    """Return the payment's state and the leg that decides it."""
    live = [leg for leg in legs if leg.state in LIVE]
    if live:
        return live[0].state, live[0]
    ended = [leg for leg in legs if leg.state in (State.REFUNDED, State.VOIDED)]
    if ended:
        return ended[-1].state, ended[-1]
    opened = [leg for leg in legs if leg.state in OPEN]
    if opened:
        return opened[-1].state, opened[-1]
    if legs:
        return legs[-1].state, legs[-1]
    return State.NEW, None
