"""Whether a request for a payment is acceptable, and with which code it is refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sandbox.agreements import read_agreement
from sandbox.amounts import read_amount
from sandbox.duplicates import FOLLOW_UPS
from sandbox.errors import GatewayRefusal
from sandbox.members import PARTIES, check_text, check_urls, read_parties
from sandbox.offers import check_offers
from sandbox.pages import read_life

#: The kinds of payment, and how answers call them.
PAGE_TYPES = {"sale": "Sale", "auth": "Auth", "register": "Register"}

#: The three values of `tran_class`.
CLASSES = frozenset(("ecom", "moto", "recurring"))

#: The longest texts the contract allows.
LIMITS = {"cart_id": 64, "cart_description": 128}

#: The members that say with what to pay; `token_info` does where it holds a token.
INSTRUMENTS = ("payment_token", "card_details", "apple_pay_token", "token", "token_info")

#: The formats of a card token that may be asked for.
TOKEN_FORMATS = range(1, 7)


@dataclass(frozen=True)
class PageOrder:
    """A request for a payment that was found good.

    Attributes:
        tran_type: Capitalised as in answers.
        amount: The amount.
        members: The request without its empty members.
    """

    tran_type: str
    amount: Decimal
    members: Mapping[str, Any]


def read_page_order(raw: Mapping[str, Any], url_rules: str) -> PageOrder:
    """Check a request for a payment, however it is to be paid.

    Args:
        raw: The JSON members, numbers as int or Decimal.
        url_rules: The switch of that name.

    Returns:
        The order.

    Raises:
        GatewayRefusal: Code 101 for a bad cart_id, 206 for the currency, 2 for anything else.
    """
    members, amount = read_common(raw, url_rules)
    kind = str(members["tran_type"]).lower()
    if kind not in PAGE_TYPES:
        raise GatewayRefusal(2, "Invalid tran_type")
    _check_extras(members)
    check_offers(members, amount)
    return PageOrder(PAGE_TYPES[kind], amount, members)


def read_common(raw: Mapping[str, Any], url_rules: str) -> tuple[dict[str, Any], Decimal]:
    """Check what every request to `/payment/request` must have.

    Args:
        raw: The JSON members, numbers as int or Decimal.
        url_rules: The switch of that name.

    Returns:
        The members that are not empty, and the amount.

    Raises:
        GatewayRefusal: As `read_page_order`.
    """
    members = {name: value for name, value in raw.items() if value not in (None, "")}
    if str(members.get("tran_type", "")).lower() not in {*PAGE_TYPES, *FOLLOW_UPS}:
        raise GatewayRefusal(2, "Invalid tran_type")
    if str(members.get("tran_class")) not in CLASSES:
        raise GatewayRefusal(2, "Invalid tran_class")
    check_text(members)
    _check_texts(members)
    if not isinstance(members.get("cart_currency"), str):
        raise GatewayRefusal(206, "Invalid currency code", 400)
    amount = read_amount(members.get("cart_amount"), members["cart_currency"])
    check_urls(members, url_rules)
    for name in (*PARTIES, "user_defined"):
        if not isinstance(members.get(name, {}), dict):
            raise GatewayRefusal(2, f"Invalid {name}")
    return read_parties(members), amount


def _check_texts(members: Mapping[str, Any]) -> None:
    cart_id = members.get("cart_id")
    if not isinstance(cart_id, str) or len(cart_id) > LIMITS["cart_id"]:
        raise GatewayRefusal(101, "Cart ID is not valid", 400)
    description = members.get("cart_description")
    if not isinstance(description, str) or len(description) > LIMITS["cart_description"]:
        raise GatewayRefusal(2, "Invalid cart_description")


def _check_extras(members: Mapping[str, Any]) -> None:
    if not isinstance(members.get("token_info", {}), dict):
        raise GatewayRefusal(2, "Invalid token_info")
    methods = members.get("payment_methods", [])
    if not isinstance(methods, list) or not all(isinstance(name, str) for name in methods):
        raise GatewayRefusal(2, "Invalid payment_methods")
    if "tokenise" in members and str(members["tokenise"]) not in map(str, TOKEN_FORMATS):
        raise GatewayRefusal(2, "Invalid tokenise")
    read_agreement(members.get("token_info", {}))
    read_life(members)
    if "paypage_ttl" in members and instruments_of(members):
        raise GatewayRefusal(2, "paypage_ttl is for hosted pages and invoices only")


def instruments_of(members: Mapping[str, Any]) -> list[str]:
    """List the members of a request that say with what to pay; none for a hosted page."""
    return [name for name in INSTRUMENTS if name in members and (name != "token_info" or "token" in members[name])]
