"""What a payment's history already has of a send that our ledger has forgotten: told by a notice, or by a comparison.

An operation that is asked for again and was carried out then is accepted, whatever the payment came to by it: it is not
sent, but taken over.
"""

from collections.abc import Iterable

from payments.carts import cart_of
from payments.facts import TransactionObserved
from payments.payment import Payment

#: How many sends of one operation are looked for in each epoch.
SENDS = 8


def possible_carts(profile_id: int, payment_id: str, operation_id: str, epochs: Iterable[int]) -> set[str]:
    """Return the carts that the first sends of an operation may have had within some epochs."""
    return {
        cart_of(profile_id, payment_id, operation_id, epoch=epoch, number=number)
        for epoch in epochs
        for number in range(1, SENDS + 1)
    }


def told_of(
    payment: Payment, profile_id: int, payment_id: str, operation_id: str, epoch: int
) -> TransactionObserved | None:
    """Return what PayTabs said of a send of an operation that was made before an epoch, and that no row tells of."""
    known = {one.cart_id for one in payment.attempts} | {one.cart_id for one in payment.follow_ups}
    strays = [seen for seen in payment.observations if seen.cart_id and seen.cart_id not in known]
    if not (strays and epoch):
        return None
    carts = possible_carts(profile_id, payment_id, operation_id, range(epoch))
    return next((seen for seen in sorted(strays, key=repr) if seen.cart_id in carts), None)
