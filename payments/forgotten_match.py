"""Whether what PayTabs has under an operation's cart is what the operation asks for: else a person has to look.

The cart proves that we have sent it under this operation's id. What was asked then is forgotten, and the id may have
been given again for something else.
"""

from collections.abc import Sequence
from decimal import Decimal

from payments.follow_ups import CALLED
from payments.movements import AWAITING_FINALISATION, FOLLOW_UPS
from payments.operations import Operation
from paytabs.responses import Transaction

#: What PayTabs may call an attempt that was asked for: a sale may be held, or wait for a deferred payment.
_CALLED_ATTEMPT = {
    "sale": frozenset({"sale", "auth", "payment request"}),
    "auth": frozenset({"auth", "payment request"}),
    "register": frozenset({"register", "payment request"}),
}


def roots(found: Sequence[Transaction]) -> list[Transaction]:
    """Return the transactions of a cart that began something, those apart that act upon another one of it."""
    refs = {one.tran_ref for one in found}
    return [one for one in found if one.previous_tran_ref not in refs]


def differing(row: Operation, found: Sequence[Transaction]) -> tuple[Transaction, str] | None:
    """Return the first transaction of an operation's cart that is not what it asks for, and in what; None if all are.

    What a thin answer leaves out contradicts nothing.
    """
    for one in roots(found):
        if (what := _difference(row, one)) is not None:
            return one, what
    return None


def is_idle(found: Sequence[Transaction]) -> bool:
    """Tell whether all that a cart has is a page that nobody has visited."""
    return all(
        one.response_status == "P"
        and one.response_code == AWAITING_FINALISATION
        and not (one.payment_method or one.card_scheme)
        and one.tran_type not in FOLLOW_UPS
        for one in found
    )


def _difference(row: Operation, seen: Transaction) -> str | None:
    params, called = row.params, CALLED.get(row.kind) or _CALLED_ATTEMPT[row.params["transaction"]]
    named = seen.original_tran_type if seen.original_tran_type in called else seen.tran_type
    amount = seen.cart_amount if seen.cart_amount is not None else seen.tran_total
    currency = seen.cart_currency or seen.tran_currency
    if named is not None and named not in called:
        return "kind"
    if amount is not None and amount != Decimal(params["amount"]):
        return "amount"
    if currency is not None and currency.upper() != params["currency"]:
        return "currency"
    acts_on = params.get("on")
    if acts_on is not None and seen.previous_tran_ref not in (None, acts_on):
        return "transaction acted on"
    return None
