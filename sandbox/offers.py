"""How much is taken where it is not simply what was asked: discounts for some cards, donations, another currency.

`card_filter` and `discount_cards` are comma lists of the first 4 to 10 digits of card numbers.
"""

import re
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from sandbox.amounts import minor_digits, read_amount
from sandbox.cards import CardEntry, Result
from sandbox.errors import CardFieldError, GatewayRefusal

#: A card that is not among those of `card_filter`.
NOT_APPROVED = Result("D", "354", "Card not approved by merchant")

#: The same kind of member as an object.
_OBJECTS = ("plugin_info", "airline_data")

_PREFIXES = re.compile(r"\d{4,10}(,\d{4,10})*", re.ASCII)


def check_offers(members: Mapping[str, Any], amount: Decimal) -> None:
    """Check the members that change who may pay and how much.

    Args:
        members: A request for a payment.
        amount: Its amount.

    Raises:
        GatewayRefusal: Code 2 naming the member, 206 for an unknown `alt_currency`.
    """
    for name in _OBJECTS:
        if not isinstance(members.get(name, {}), dict):
            raise GatewayRefusal(2, f"Invalid {name}")
    if "card_filter" in members:
        _prefixes(members["card_filter"], "card_filter")
    discounts = members.get("card_discounts", [])
    if not isinstance(discounts, list):
        raise GatewayRefusal(2, "Invalid card_discounts")
    for discount in discounts:
        _check_discount(discount, amount, members["cart_currency"])
    if "alt_currency" in members:
        minor_digits(str(members["alt_currency"]))
    if takes_donations(members):
        least, most = donation_range(members)
        if least is not None and most is not None and least > most:
            raise GatewayRefusal(2, "Invalid cart_min: above cart_max")


def takes_donations(members: Mapping[str, Any]) -> bool:
    """Tell whether the payer says how much."""
    return members.get("donation_mode") in (True, "true", 1, "1")


def donation_range(members: Mapping[str, Any]) -> tuple[Decimal | None, Decimal | None]:
    """Give the least and the most that a payer may give.

    Raises:
        GatewayRefusal: Code 2 when one of them is no amount.
    """
    least, most = (
        read_amount(members[name], members["cart_currency"]) if name in members else None
        for name in ("cart_min", "cart_max")
    )
    return least, most


def is_donation(members: Mapping[str, Any], amount: Decimal) -> bool:
    """Tell whether a payer may give so much."""
    least, most = donation_range(members)
    return (least is None or amount >= least) and (most is None or amount <= most)


def read_donation(members: Mapping[str, Any], given: object) -> Decimal | None:
    """Read what a payer chose to give.

    Args:
        members: The page's request.
        given: What was typed; empty for what the request asks.

    Returns:
        The amount; None where it is not left to the payer, or nothing was typed.

    Raises:
        CardFieldError: When it is no amount, or outside the range.
    """
    if not takes_donations(members) or given in (None, ""):
        return None
    try:
        amount = read_amount(given, members["cart_currency"])
    except GatewayRefusal:
        raise CardFieldError("donation", "invalid_amount") from None
    if not is_donation(members, amount):
        raise CardFieldError("donation", "invalid_amount")
    return amount


def refuses_card(members: Mapping[str, Any], entry: CardEntry) -> bool:
    """Tell whether a card is not among those that may pay."""
    wanted = members.get("card_filter")
    return wanted is not None and not _begins(entry, wanted)


def discounted(members: Mapping[str, Any], amount: Decimal, currency: str, entry: CardEntry) -> Decimal:
    """Take the first discount that a card has off an amount."""
    for discount in members.get("card_discounts") or ():
        if _begins(entry, discount["discount_cards"]):
            off = discount.get("discount_amount")
            if off is None:
                off = amount * Decimal(str(discount["discount_percent"])) / 100
            return amount - _rounded(Decimal(str(off)), currency)
    return amount


def converted(amount: Decimal, rate: Decimal, currency: str) -> Decimal:
    """Give an amount in another currency."""
    return _rounded(amount * rate, currency)


def _rounded(amount: Decimal, currency: str) -> Decimal:
    return amount.quantize(Decimal(1).scaleb(-minor_digits(currency)), ROUND_HALF_UP)


def _begins(entry: CardEntry, prefixes: str) -> bool:
    return entry.card.number.startswith(tuple(prefixes.replace(" ", "").split(",")))


def _prefixes(value: object, name: str) -> None:
    if not isinstance(value, str) or not _PREFIXES.fullmatch(value.replace(" ", "")):
        raise GatewayRefusal(2, f"Invalid {name}")


def _check_discount(discount: object, amount: Decimal, currency: str) -> None:
    refusal = GatewayRefusal(2, "Invalid card_discounts")
    if not isinstance(discount, dict) or ("discount_amount" in discount) == ("discount_percent" in discount):
        raise refusal
    _prefixes(discount.get("discount_cards"), "card_discounts.discount_cards")
    if "discount_amount" in discount and read_amount(discount["discount_amount"], currency) >= amount:
        raise refusal
    if "discount_percent" in discount and not 0 < read_amount(discount["discount_percent"], "SAR") < 100:  # noqa: PLR2004
        raise refusal
