"""What the CMS's document says of a payment: one pure function, for who writes it with the facts and who mends it."""

from collections.abc import Mapping
from typing import Any

from payments.assessment import Assessment
from payments.cms_word import SPACES
from payments.declines import decline_of
from payments.page_times import ShownPage
from payments.payment import Payment, State
from payments.reason_kinds import all_words

Document = dict[str, Any]

#: The members of the CMS's document that are ours, but for `updatedAt`.
OURS = ("status", "transR", "gateway")

#: Members of `gateway` that earlier versions did not write.
ADDED = frozenset({"card", "decline", "page_expires_at", "refusal", "review_codes"})

#: What is shown where no payer is awaited.
NO_PAGE = ShownPage(None, None)


def cms_fields(
    payment: Payment, verdict: Assessment, version: int, page: ShownPage | None, card: Document | None = None
) -> Document:
    """Return the fields of the CMS's document, `updatedAt` apart; without a reference, `transR` stays as it is.

    What stands for a person to settle is none of them.

    Args:
        payment: what is known.
        verdict: its assessment.
        version: the stream's.
        page: what is shown of the page that the payment's open operation leads a payer to, if it leads one anywhere.
        card: what everybody may know of the stored card that the payment is about, if it is about one.
    """
    terms, shown = payment.snapshot, page if page and shows_page(verdict) else NO_PAGE
    gateway: Document = {
        "version": version,
        "state": verdict.state,
        "amount": str(terms.amount) if terms else None,
        "currency": terms.currency if terms else None,
        "tran_ref": verdict.tran_ref,
        "redirect_url": shown.redirect_url,
        "page_expires_at": shown.expires_at,
        "authorised": str(verdict.authorised),
        "captured": str(verdict.captured),
        "released": str(verdict.released),
        "refunded": str(verdict.refunded),
        "refund_pending": str(verdict.refund_pending),
        "flags": list(verdict.flags),
        "review": all_words(verdict.review),
        "review_codes": [reason.code for reason in verdict.review],
        "decline": decline_of(payment, verdict),
    }
    if card is not None:
        gateway["card"] = card
    if refusal := _refusal(payment, verdict):
        gateway["refusal"] = refusal
    fields: Document = {"status": verdict.cms_status, "gateway": gateway}
    fields |= {"transR": verdict.tran_ref} if verdict.tran_ref else {}
    return {name: value for name, value in fields.items() if name not in verdict.left}


def unless_same_text(fields: Document, document: Mapping[str, Any]) -> Document:
    """Return the fields that are to be written: a reference that differs by its spaces only is not written anew."""
    theirs = document.get("transR")
    same = isinstance(theirs, str) and theirs.strip(SPACES) == fields.get("transR")
    return {**fields, "transR": theirs} if same else fields


def _refusal(payment: Payment, verdict: Assessment) -> Document | None:
    """Return PayTabs' words where they ended the last attempt; earlier versions kept none, and wrote no such member."""
    refusal = payment.attempts[-1].refusal if payment.attempts else None
    if refusal is None or verdict.state is not State.ERROR or not (refusal.message or refusal.trace):
        return None
    return {"code": refusal.code, "message": refusal.message, "trace": refusal.trace}


def shows_page(verdict: Assessment) -> bool:
    """Tell whether a payer is to be led to the open operation's page."""
    return verdict.state is State.AWAITING_PAYER
