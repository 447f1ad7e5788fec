"""How long a page lives, for how long a payer in the middle of it may finish, and which names stand for a card.

A page that nobody says otherwise of lives for `DEFAULT_LIFE` from the request; an invoice until its `expiry_date`, or
for as long as it is open. Source: sections 9 and 11 of the gateway contract.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

#: How long PayTabs lets a page live of which the request does not say it.
DEFAULT_LIFE = timedelta(minutes=20)

#: How an observation names a card as the way of paying, of whatever scheme.
CARD = "card"

#: How answers and notices name cards and what holds them, in lower case and without anything but letters.
_CARD_NAMES = frozenset({
    "visa", "mastercard", "mada", "amex", "americanexpress", "discover", "diners", "dinersclub", "jcb", "maestro",
    "unionpay", "meeza", "omannet", "card", "creditcard", "debitcard", "applepay", "samsungpay",
})  # fmt: skip

#: What a request's `payment_methods` may say for a page that takes cards.
_TAKES_CARDS = frozenset({
    "all", "any", "card", "creditcard", "amex", "applepay", "mada", "unionpay", "meeza", "omannet", "samsungpay",
})  # fmt: skip

#: What begins an attempt without an end that PayTabs knows by `paypage_ttl`.
_UNSET_LIFE = frozenset({"adopt", "charge_token", "charge_card", "managed_form"})


@dataclass(frozen=True)
class PageTimes:
    """The times that are set.

    Attributes:
        life_minutes: How long a page lives, as PayTabs is told; whole minutes.
        margin: How long a payer in the middle of it may still finish.
        other_margin: The same for one who pays in another way than by card.
    """

    life_minutes: int = 20
    margin: timedelta = timedelta(minutes=10)
    other_margin: timedelta = timedelta(hours=3)


@dataclass(frozen=True)
class ShownPage:
    """What is shown of an open page: no link any more once it is over."""

    redirect_url: str | None
    expires_at: datetime | None
    is_over: bool = False


def end_of(kind: str, params: Mapping[str, Any], opened_at: datetime) -> datetime | None:
    """Return when a page ends that was opened at a moment, or None when only PayTabs knows.

    Args:
        kind: of the operation that opened it.
        params: with which it was accepted.
        opened_at: aware UTC; for one that the CMS's old code opened, when it was taken over.
    """
    if kind == "create_page":
        return opened_at + life_of(params)
    if kind == "create_invoice":
        return _expiry(params)
    return opened_at + DEFAULT_LIFE if kind in _UNSET_LIFE else None


def life_of(params: Mapping[str, Any]) -> timedelta:
    """Return how long PayTabs lets a page live that was asked for with these parameters."""
    minutes = params.get("paypage_ttl")
    return timedelta(minutes=minutes) if minutes else DEFAULT_LIFE


def method_of(payment_method: str | None, card_scheme: str | None) -> str | None:
    """Return by what somebody pays: `CARD`, else PayTabs' word in lower case; None when nothing is named."""
    named = payment_method or card_scheme
    if not named:
        return None
    return CARD if re.sub(r"[^a-z]", "", named.lower()) in _CARD_NAMES else named.strip().lower()


def takes_cards(methods: Iterable[str]) -> bool:
    """Tell whether a page that was asked for with these methods takes cards; `-` before a name excludes it."""
    chosen = [name for name in methods if not name.startswith("-")]
    return not chosen or not _TAKES_CARDS.isdisjoint(chosen)


def _expiry(params: Mapping[str, Any]) -> datetime | None:
    """Return an invoice's `expiry_date`; None where it has none that can be read as a moment."""
    invoice = params.get("invoice")
    text = invoice.get("expiry_date") if isinstance(invoice, Mapping) else None
    try:
        moment = text if isinstance(text, datetime) else datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo else None
