"""Which stored card a payment is about: the one that its deciding transaction made or was charged to, else the last."""

from payments.assessment import Assessment
from payments.facts import TransactionObserved
from payments.payment import Payment


def card_of(payment: Payment, verdict: Assessment) -> str | None:
    """Return the id of the card that a payment is about, if PayTabs has told of one."""
    told = [one for one in payment.observations if one.card_id is not None]
    deciding = [one for one in told if one.tran_ref == verdict.tran_ref] or told
    return max(deciding, key=_when).card_id if deciding else None


def _when(seen: TransactionObserved) -> tuple[str, str, str]:
    return (seen.occurred_at or "", seen.tran_ref, seen.card_id or "")
