"""How a test comes by tokens without a browser: a filled card form, and a stored card that may turn out bad."""

import re
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from sandbox.agreements import Agreement, read_agreement
from sandbox.amounts import read_amount
from sandbox.cards import CardEntry, usual_entry
from sandbox.charging import card_shown
from sandbox.desk_acts import find_test_card
from sandbox.errors import DeskRefusal, GatewayRefusal
from sandbox.identifiers import utc_now
from sandbox.transactions import BY_HAND, Transaction
from sandbox.world import World


def fill_form(world: World, members: Mapping[str, Any]) -> dict[str, Any]:
    """Do what the browser library does with a card form.

    Args:
        world: The sandbox.
        members: `card`, a test card's name or number.

    Returns:
        `payment_token`, good for one payment, also as `apple_pay_token`.

    Raises:
        DeskRefusal: When there is no such card.
    """
    return {"payment_token": world.vault.fill_form(usual_entry(find_test_card(members.get("card", "authorised"))))}


def keep_card(world: World, members: Mapping[str, Any]) -> dict[str, Any]:
    """Keep a card as if it had been registered and gone bad later; a Register is entered and nobody is told.

    Args:
        world: The sandbox.
        members: `card`, a test card's name or number; `expiry`, such as `01/2020`; `token_info`, what was agreed;
            `customer_details`.

    Returns:
        `token` and the `tran_ref` that created it.

    Raises:
        DeskRefusal: When there is no such card.
    """
    entry = _entry(members)
    tran_ref = world.mint.tran_ref()
    token = world.vault.store(tran_ref, entry, _agreement(members.get("token_info", {})))
    registered = Transaction(
        tran_ref=tran_ref,
        tran_type="Register",
        cart_id=f"register-{tran_ref}",
        currency="SAR",
        cart_amount=Decimal(1),
        tran_total=Decimal(1),
        at=utc_now(),
        request={"cart_description": "Kept at the desk", "customer_details": members.get("customer_details")},
        status="A",
        code=world.mint.authorisation(),
        message="Authorised",
        payment_info=card_shown(entry),
        token=token,
        channel="Dashboard",
    )
    world.ledger.open(registered)
    return {"token": token, "tran_ref": tran_ref}


def _entry(members: Mapping[str, Any]) -> CardEntry:
    entry = usual_entry(find_test_card(members.get("card", "authorised")))
    if "expiry" not in members:
        return entry
    match = re.fullmatch(r"(0[1-9]|1[0-2])/([0-9]{4})", str(members["expiry"]))
    if match is None:
        raise DeskRefusal(f"expiry: MM/YYYY was expected, not {members['expiry']!r}")
    return replace(entry, expiry_month=int(match[1]), expiry_year=int(match[2]))


def _agreement(terms: object) -> Agreement:
    if not isinstance(terms, dict):
        raise DeskRefusal("token_info: an object was expected")
    try:
        return read_agreement(terms)
    except GatewayRefusal as refusal:
        raise DeskRefusal(refusal.message) from None


def sell_by_hand(world: World, members: Mapping[str, Any]) -> Transaction:
    """Take a card as the merchant's staff do in the dashboard, or another shop on the same profile, and tell the IPN.

    Args:
        world: The sandbox.
        members: `amount`; `currency` (SAR); `cart_id`, empty by default as such entries are; `card`;
            `customer_details`.

    Returns:
        The transaction.

    Raises:
        DeskRefusal: When there is no such card, or the amount is none.
    """
    entry, currency = _entry({"card": members.get("card", "authorised")}), str(members.get("currency", "SAR"))
    try:
        amount = read_amount(members.get("amount"), currency)
    except GatewayRefusal as refusal:
        raise DeskRefusal(f"amount: {refusal.message}") from None
    request = {"tran_class": "moto", "customer_details": members.get("customer_details")}
    with world.ledger.lock:
        result = entry.card.result
        sold = world.ledger.open(
            Transaction(
                tran_ref=world.mint.tran_ref(),
                tran_type="Sale",
                cart_id=str(members.get("cart_id", "")),
                currency=currency,
                cart_amount=amount,
                tran_total=amount,
                at=utc_now(),
                request=request,
                status=result.status,
                code=result.code or world.mint.authorisation(),
                message=result.message,
                payment_info=card_shown(entry),
                channel=BY_HAND,
            )
        )
        world.announcer.announce(sold)
        return sold
