"""What each fact says, in words for a person who wants to know why a payment stands as it does."""

from collections import defaultdict
from typing import Any

from payments.facts import FACTS, PAGE_ENDED, Milestone

#: A sentence per fact; names in braces are the fact's members.
WORDS = {
    "PaymentCreated": "the CMS asked for {amount} {currency}",
    "PaymentAdopted": "{amount} {currency} under {tran_ref} was taken over from the CMS's old code",
    "PaymentAmended": "the CMS changed what it asks for to {amount} {currency}",
    "AttemptStarted": "a {transaction} of {amount} {currency} was about to be sent under cart {cart_id}",
    "FollowUpStarted": "a {action} of {amount} {currency} upon {tran_ref} was about to be sent under cart {cart_id}",
    "PageOpened": "PayTabs made a page, {tran_ref}, for cart {cart_id}",
    "InvoiceOpened": "PayTabs made invoice {invoice_id} for cart {cart_id}",
    "AttemptNotSent": "nothing was sent under cart {cart_id}: {detail}",
    "AttemptRefused": "PayTabs refused what was sent under cart {cart_id} with code {code}: {detail}",
    "OutcomeUnknown": "nobody knew what became of cart {cart_id}: {detail}",
    "CartRetired": "cart {cart_id} was given up: {reason}",
    "PageOverridden": "the open page {tran_ref} was set aside by {by}: {note}",
    "TransactionObserved": "PayTabs said of {tran_ref} ({tran_type}): {status}, {amount} {currency}",
    "ReviewRaised": "a human was called: {reason} ({evidence})",
    "ReviewSettled": "{by} settled “{reason}”: {note}",
    "PaymentSettledOutside": "{by} said that it was settled without PayTabs, as {status}: {note}",
}

#: What a milestone says.
MILESTONE = "the payment became {state}"

#: What PayTabs' one-letter statuses stand for.
STATUSES = {
    "A": "authorised", "H": "on hold", "P": "pending", "V": "voided", "E": "error", "D": "declined", "X": "expired",
    "C": "cancelled",
}  # fmt: skip


#: What the end of a page says.
PAGE_OVER = "the page {tran_ref} had ended, {why}: the payment could be asked for again"


def _special(event_type: str, data: dict[str, Any]) -> str | None:
    return PAGE_OVER if event_type == "CartRetired" and data.get("reason") == PAGE_ENDED else None


def words_for(event_type: str, data: dict[str, Any]) -> str:
    """Say what a fact says; of a type that has no sentence here, its members."""
    kind = FACTS.get(event_type)
    sentence = (
        _special(event_type, data)
        or WORDS.get(event_type)
        or (MILESTONE if kind and issubclass(kind, Milestone) else None)
    )
    if sentence is None:
        return " ".join(f"{name}={value}" for name, value in data.items())
    members = defaultdict(lambda: "?", data)
    if data.get("message"):
        sentence += " (PayTabs said: {message})"
    if event_type == "TransactionObserved":
        members["status"] = STATUSES.get(data["status"], data["status"])
    return sentence.format_map(members)
