"""Whose id an event carries: that of whoever began the operation it is about, whatever brought the news of its end.

An operation begins with its first event. A fact names its operation, or the cart or the transaction of one; what names
none of ours carries the id of whoever brings it.
"""

from collections.abc import Iterable

from payments.events import Event
from payments.facts import CaseFact, Fact, TransactionObserved
from payments.payment import Attempt, FollowUp, Payment


def began(history: Iterable[Event]) -> dict[str, str]:
    """Return the correlation id under which each operation of a payment was begun."""
    found: dict[str, str] = {}
    for event in history:
        operation_id = getattr(event.fact, "operation_id", None)
        if operation_id:
            found.setdefault(operation_id, event.context.correlation_id)
    return found


def decided(fact: Fact) -> bool:
    """Tell whether a fact is somebody's decision, whose name stands in it."""
    return getattr(fact, "by", None) is not None


def operation_of(fact: Fact, payment: Payment) -> str | None:
    """Return the operation that a fact is about; None when it is about none of ours."""
    named: str | None = getattr(fact, "operation_id", None)
    if named:
        return named
    if isinstance(fact, TransactionObserved):
        return of_transaction(payment, fact.tran_ref, fact.cart_id, fact.previous_tran_ref)
    if isinstance(fact, CaseFact):
        return _named(payment, fact.subject) or of_transaction(payment, fact.subject, fact.subject, None)
    return of_transaction(payment, getattr(fact, "tran_ref", None), None, None)


def _ours(payment: Payment) -> list[Attempt | FollowUp]:
    return [*payment.attempts, *payment.follow_ups]


def _named(payment: Payment, operation_id: str) -> str | None:
    return operation_id if any(one.operation_id == operation_id for one in _ours(payment)) else None


def of_transaction(payment: Payment, tran_ref: str | None, cart_id: str | None, acts_on: str | None) -> str | None:
    """Return the operation of a transaction: by its cart, by its reference, then by that of the one it acts on."""
    carts = {one.cart_id: one.operation_id for one in _ours(payment) if one.cart_id}
    pages = {one.tran_ref: one.operation_id for one in payment.attempts if one.tran_ref}
    seen, wanted = set[str](), [(tran_ref, cart_id), (acts_on, None)]
    while wanted:
        ref, cart = wanted.pop(0)
        if found := carts.get(cart or "") or pages.get(ref or ""):
            return found
        if ref and ref not in seen:
            seen.add(ref)
            told = [one for one in payment.observations if one.tran_ref == ref]
            wanted[:0] = sorted({(None, one.cart_id) for one in told if one.cart_id}, key=str)
            wanted += sorted({(one.previous_tran_ref, None) for one in told if one.previous_tran_ref}, key=str)
    return None
