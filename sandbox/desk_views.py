"""How the desk shows what it knows: ledger and invoices as plain JSON."""

from typing import Any

from sandbox.amounts import write_amount
from sandbox.identifiers import desk_time
from sandbox.invoices import Invoices
from sandbox.ledger import Ledger
from sandbox.transactions import Transaction


def show_ledger(ledger: Ledger, tran_ref: str | None = None, cart_id: str | None = None) -> dict[str, Any]:
    """Write the ledger, all of it or what belongs to one transaction or cart.

    Args:
        ledger: The ledger.
        tran_ref: This one only.
        cart_id: Those of this cart only.

    Returns:
        `transactions` with their history, `movements`, and `balances` by the root of each family.
    """
    with ledger.lock:
        found = [one for one in _some(ledger, tran_ref, cart_id) if cart_id in (None, one.cart_id)]
        refs = {one.tran_ref for one in found}
        roots = {ledger.root(ref): None for ref in refs}
        moves = [move for move in ledger.movements() if move.tran_ref in refs]
        return {
            "transactions": [show_transaction(ledger, one) for one in found],
            "movements": [
                {**vars(move), "at": desk_time(move.at), "amount": write_amount(move.amount, move.currency)}
                for move in moves
            ],
            "balances": {
                root: {name: str(amount) for name, amount in vars(ledger.balance(root)).items()} for root in roots
            },
        }


def _some(ledger: Ledger, tran_ref: str | None, cart_id: str | None) -> list[Transaction]:
    if tran_ref is not None:
        return [ledger.get(tran_ref)] if ledger.knows(tran_ref) else []
    return ledger.all() if cart_id is None else [ledger.get(ref) for ref in ledger.refs_of_cart(cart_id)]


def show_transaction(ledger: Ledger, transaction: Transaction) -> dict[str, Any]:
    """Write one transaction with its history."""
    return {
        "tran_ref": transaction.tran_ref,
        "previous_tran_ref": transaction.previous_tran_ref,
        "tran_type": transaction.tran_type,
        "original_tran_type": transaction.original_tran_type,
        "status": transaction.status,
        "code": transaction.code,
        "message": transaction.message,
        "cart_id": transaction.cart_id,
        "amount": write_amount(transaction.tran_total, transaction.currency),
        "cart_amount": write_amount(transaction.cart_amount, transaction.currency),
        "currency": transaction.currency,
        "channel": transaction.channel,
        "token": transaction.token,
        "invoice_id": transaction.invoice_id,
        "page_path": f"/payment/wr/{transaction.page_id}" if transaction.page_id else None,
        "at": desk_time(transaction.at),
        "history": [
            {"at": desk_time(one.at), "tran_type": one.tran_type, "status": one.status, "code": one.code}
            for one in ledger.history(transaction.tran_ref)
        ],
    }


def show_invoices(invoices: Invoices) -> list[dict[str, Any]]:
    """Write every invoice."""
    return [
        {
            "invoice_id": one.invoice_id,
            "cart_id": one.order.members["cart_id"],
            "status": invoices.status(one),
            "tran_ref": one.tran_ref,
            "texts_sent": list(one.texts_sent),
            "link_path": f"/payment/request/invoice/{one.invoice_id}/{one.key}",
        }
        for one in invoices.all()
    ]
