"""The fact that an operation's send begins, as whoever sends it records it, and whoever takes a forgotten one over."""

from payments import facts
from payments.operations import Operation
from payments.requesting import FOLLOW_UP_KINDS


def started(row: Operation, cart_id: str) -> facts.Fact:
    """Return the fact that a row is sent under a cart."""
    params, name = row.params, {"operation_id": row.operation_id, "cart_id": cart_id}
    money = {"amount": params["amount"], "currency": params["currency"]}
    if row.kind in FOLLOW_UP_KINDS:
        return facts.FollowUpStarted(**name, **money, action=params["transaction"], tran_ref=params["on"])
    return facts.AttemptStarted(**name, **money, transaction=params["transaction"])
