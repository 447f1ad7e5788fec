"""How what PayTabs says becomes facts: one observation per transaction in an answer, a query or a notice."""

from decimal import Decimal

from payments.events import timestamp
from payments.facts import TransactionObserved
from payments.movements import FOLLOW_UPS
from payments.page_times import method_of
from paytabs.responses import Answer, Transaction


def observations(answer: Answer) -> list[TransactionObserved]:
    """Return what an answer says of transactions; a page that was merely made says nothing yet."""
    found = [*([answer.transaction] if answer.transaction else []), *answer.transactions]
    return [observe(transaction) for transaction in found if transaction.response_status]


def observe(transaction: Transaction) -> TransactionObserved:
    """Return the fact that PayTabs said this of a transaction; no personal data is copied."""
    status = transaction.response_status or ""
    total = _moved(transaction)
    return TransactionObserved(
        tran_ref=transaction.tran_ref,
        tran_type=transaction.tran_type or "",
        status=status,
        amount=_plain(total) if total is not None else None,
        currency=(transaction.tran_currency or transaction.cart_currency or "").upper() or None,
        code=transaction.response_code,
        previous_tran_ref=transaction.previous_tran_ref,
        original_tran_type=transaction.original_tran_type,
        cart_id=transaction.cart_id,
        profile_id=transaction.profile_id,
        occurred_at=timestamp(transaction.transaction_time) if transaction.transaction_time else None,
        # Only what a payer who has not finished has chosen decides anything: for how long a page is waited for.
        payment_method=method_of(transaction.payment_method, transaction.card_scheme) if status == "P" else None,
    )


def _moved(transaction: Transaction) -> Decimal | None:
    """Return what a transaction moves; one that waits for approval has moved nothing yet and says what was asked."""
    acts = transaction.previous_tran_ref is not None or transaction.tran_type in FOLLOW_UPS
    if transaction.response_status == "P" and acts and transaction.cart_amount is not None:
        return transaction.cart_amount
    return transaction.tran_total


def _plain(amount: Decimal) -> str:
    """Return an amount's digits without exponent, so that equal texts mean equal claims."""
    return f"{amount:f}"
