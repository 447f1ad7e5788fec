"""Which transaction belongs to which: originals, what acted on them, and what has to wait for its parent.

The link is `previous_tran_ref` and our own attempts, never the equality of carts alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from payments.movements import FAILED, FOLLOW_UPS, Movement
from payments.payment import Attempt
from payments.reasons import Reason, ReasonCode

#: Transactions that settle an original which was only pending, were it but for its whole amount.
SETTLING = frozenset({"sale", "auth", "capture", "payment request"})


@dataclass
class Families:
    """Movements sorted out.

    Attributes:
        roots: original transactions by reference.
        children: what acted on an original, directly or not, by its reference; it may not have been seen itself.
        parked: references whose parent is unknown or not far enough to count them.
        problems: why a human is needed.
    """

    roots: dict[str, Movement] = field(default_factory=dict)
    children: dict[str, list[Movement]] = field(default_factory=dict)
    parked: set[str] = field(default_factory=set)
    problems: list[Reason] = field(default_factory=list)

    def below(self, tran_ref: str) -> list[Movement]:
        """Return what acted on an original."""
        return self.children.get(tran_ref, [])

    def root_of(self, movement: Movement) -> Movement | None:
        """Return the original a counted movement acted on; the movement itself when it is one."""
        for ref, below in self.children.items():
            if movement in below:
                return self.roots.get(ref)
        return self.roots.get(movement.tran_ref)


def attempt_of(root: Movement, attempts: Iterable[Attempt]) -> Attempt | None:
    """Return the attempt a transaction belongs to: by its page's reference, else by its cart."""
    by_cart = None
    for attempt in attempts:
        if attempt.tran_ref == root.tran_ref:
            return attempt
        if by_cart is None and attempt.cart_id is not None and attempt.cart_id in root.carts:
            by_cart = attempt
    return by_cart


def sort_out(movements: Mapping[str, Movement], attempts: tuple[Attempt, ...], whole: Decimal | None) -> Families:
    """Sort movements into families.

    Args:
        movements: by reference.
        attempts: ours.
        whole: the payment's amount, for an original that no attempt names.
    """
    pages = {attempt.tran_ref: attempt for attempt in attempts if attempt.tran_ref}
    roots = {ref: one for ref, one in movements.items() if _is_original(one, movements, attempts)}
    families = Families(roots=roots)
    for movement in movements.values():
        if movement.tran_ref in roots:
            continue
        chain = _chain(movement, movements, roots)
        top = chain[-1].previous or ""
        if top in {one.tran_ref for one in chain}:
            families.problems.append(Reason(ReasonCode.CIRCULAR, movement.tran_ref))
            families.parked.add(movement.tran_ref)
            continue
        root = roots.get(top)
        attempt = attempt_of(root, attempts) if root else pages.get(top)
        known = root is not None or attempt is not None
        if known and _counts(chain[-1], root, attempt.amount if attempt else whole):
            families.children.setdefault(top, []).append(movement)
        else:
            families.parked.add(movement.tran_ref)
    return families


def _is_original(movement: Movement, movements: Mapping[str, Movement], attempts: tuple[Attempt, ...]) -> bool:
    """Return whether a transaction begins something, though it may name another one: the origin of its token."""
    if movement.kind in FOLLOW_UPS:
        return False
    if movement.previous is None or any(one.tran_ref == movement.tran_ref for one in attempts):
        return True
    charged = next((one for one in attempts if one.cart_id in movement.carts and not one.tran_ref), None)
    parent = movements.get(movement.previous)
    settles_its_own = charged is not None and parent is not None and charged.cart_id in parent.carts
    return charged is not None and movement.kind in ("sale", "auth") and not settles_its_own


def _chain(movement: Movement, movements: Mapping[str, Movement], roots: Mapping[str, Movement]) -> list[Movement]:
    """Return a movement and what it acted on, up to the last one below an original, an unknown one or a circle."""
    chain = [movement]
    while (above := movements.get(chain[-1].previous or "")) and above.tran_ref not in roots and above not in chain:
        chain.append(above)
    return chain


def _counts(first: Movement, root: Movement | None, whole: Decimal | None) -> bool:
    """Return whether what hangs under an original can be booked: it needs to be known that there is money to act on.

    An original that is not seen, or seen as an unpaid page, lags behind; only what settles it whole may be counted.
    """
    if root is not None and not root.awaits_payer:
        return True
    if first.kind not in SETTLING:
        return False
    return first.status in FAILED | {"P"} or first.amount == whole
