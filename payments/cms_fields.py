"""What the CMS's document says of a payment: one pure function, for who writes it with the facts and who mends it."""

from typing import Any

from payments.assessment import Assessment
from payments.declines import decline_of
from payments.payment import Payment, State

Document = dict[str, Any]

#: The members of the CMS's document that are ours, but for `updatedAt`.
OURS = ("status", "transR", "gateway")

#: Members of `gateway` that earlier versions did not write.
ADDED = frozenset({"decline"})


def cms_fields(payment: Payment, verdict: Assessment, version: int, redirect_url: str | None) -> Document:
    """Return the fields of the CMS's document, `updatedAt` apart; without a reference, `transR` stays as it is.

    Args:
        payment: what is known.
        verdict: its assessment.
        version: the stream's.
        redirect_url: where the payment's open operation leads a payer to, if it leads one anywhere.
    """
    terms = payment.snapshot
    gateway: Document = {
        "version": version,
        "state": verdict.state,
        "amount": str(terms.amount) if terms else None,
        "currency": terms.currency if terms else None,
        "tran_ref": verdict.tran_ref,
        "redirect_url": redirect_url if shows_page(verdict) else None,
        "authorised": str(verdict.authorised),
        "captured": str(verdict.captured),
        "released": str(verdict.released),
        "refunded": str(verdict.refunded),
        "refund_pending": str(verdict.refund_pending),
        "flags": list(verdict.flags),
        "review": list(verdict.review),
        "decline": decline_of(payment, verdict),
    }
    fields: Document = {"status": verdict.cms_status, "gateway": gateway}
    return fields | ({"transR": verdict.tran_ref} if verdict.tran_ref else {})


def shows_page(verdict: Assessment) -> bool:
    """Tell whether a payer is to be led to the open operation's page."""
    return verdict.state is State.AWAITING_PAYER
