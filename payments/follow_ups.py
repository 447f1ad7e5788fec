"""Our own follow-ups among what PayTabs says: matched by their carts, which nobody else uses.

A thin answer may leave out what a follow-up acts upon: our own record tells it. A refund that was sent and of which
nothing is heard counts as pending, so that nobody gives the same money back a second time meanwhile.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from payments.movements import FREEING, Movement
from payments.payment import FollowUp
from payments.reasons import Reason, ReasonCode

#: What PayTabs may call a follow-up that was asked for.
CALLED: Mapping[str, frozenset[str]] = {
    "capture": frozenset({"capture", "sale"}),
    "void": FREEING,
    "release": FREEING,
    "refund": frozenset({"refund"}),
}


def ours(movement: Movement, follow_ups: Iterable[FollowUp]) -> FollowUp | None:
    """Return the follow-up that a transaction answers, by its cart."""
    return next((one for one in follow_ups if one.cart_id in movement.carts), None)


def answered(movement: Movement, follow_ups: Iterable[FollowUp], movements: Mapping[str, Movement]) -> FollowUp | None:
    """Return the follow-up that a transaction answers; what staff did to that answer stands in its cart as well."""
    asked = ours(movement, follow_ups)
    above = movements.get(movement.previous or "")
    if asked is None or above is None or asked.cart_id not in above.carts:
        return asked
    acts_on_answer = above.kind in CALLED[asked.action] and movement.kind not in CALLED[asked.action]
    return None if acts_on_answer else asked


def found(operation_id: str, movements: Iterable[Movement], follow_ups: Sequence[FollowUp]) -> list[Movement]:
    """Return what PayTabs said of the sends of one operation."""
    by_ref = {movement.tran_ref: movement for movement in movements}
    own = [one for one in follow_ups if one.operation_id == operation_id]
    return [movement for movement in by_ref.values() if answered(movement, own, by_ref)]


def with_our_word(movements: Mapping[str, Movement], follow_ups: Sequence[FollowUp]) -> dict[str, Movement]:
    """Return movements of which those that answer a follow-up of ours say what they act upon."""
    told = dict(movements)
    for ref, movement in movements.items() if follow_ups else ():
        asked = ours(movement, follow_ups)
        if asked and movement.previous is None and ref != asked.tran_ref:
            told[ref] = replace(movement, previous=asked.tran_ref)
    return told


def refunds_in_flight(movements: Mapping[str, Movement], follow_ups: Sequence[FollowUp]) -> dict[str, Movement]:
    """Return a pending movement for every refund that was sent and of which nothing is heard yet, by its cart."""
    sent = [one for one in follow_ups if one.action == "refund" and one.in_doubt]
    heard = {cart for movement in movements.values() for cart in movement.carts} if sent else set()
    return {one.cart_id: _pending(one) for one in sent if one.cart_id not in heard}


def differences(
    movement: Movement, follow_ups: Sequence[FollowUp], movements: Mapping[str, Movement]
) -> Iterable[Reason]:
    """Name every way in which a transaction differs from the follow-up it answers; it may act on an earlier answer."""
    asked = answered(movement, follow_ups, movements)
    if asked is None or movement.tran_ref == asked.tran_ref:
        return
    ref = movement.tran_ref
    if movement.kind not in CALLED[asked.action]:
        yield Reason(ReasonCode.KIND_DIFFERS, ref, (movement.kind, asked.action))
    above = movements.get(movement.previous or "")
    if movement.previous != asked.tran_ref and not (above and asked.cart_id in above.carts):
        yield Reason(ReasonCode.ACTS_ON_ANOTHER, ref, (asked.action,))
    if movement.status in ("A", "H", "P") and asked.action in ("capture", "refund") and asked.given_up:
        yield Reason(ReasonCode.GIVEN_UP_HAPPENED, ref, (asked.action,))
    if movement.status in ("A", "H", "P") and movement.amount != asked.amount:
        yield Reason(ReasonCode.AMOUNT_DIFFERS, ref, (asked.action,))


def _pending(sent: FollowUp) -> Movement:
    return Movement(
        tran_ref=sent.cart_id, previous=sent.tran_ref, kind=sent.action, status="P", codes=frozenset({("P", None)}),
        amount=sent.amount, carts=frozenset({sent.cart_id}), currencies=frozenset({sent.currency}),
        profiles=frozenset(), occurred_at="", expired_at="", problems=(),
    )  # fmt: skip
