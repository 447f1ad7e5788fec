"""With what a payment is to be paid: on a page, with a stored card, a form's one-use token, a wallet or a bare card."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sandbox.agreements import is_expired
from sandbox.cards import INVALID_NUMBER, CardEntry, Result, read_card_form
from sandbox.creation import PageOrder, instruments_of
from sandbox.errors import CardFieldError, GatewayRefusal
from sandbox.switchboard import SwitchBoard
from sandbox.vault import StoredCard, Vault

#: What may be charged without the payer.
WITHOUT_PAYER = frozenset(("Sale", "Auth"))


@dataclass(frozen=True)
class Instrument:
    """What pays.

    Attributes:
        entry: The card; None where it was not even one.
        stored: Where it is a stored card.
        needs_page: Whether the payer has to act on a page.
        has_payer: Whether the payer is there; without, a stored card's agreement binds.
        is_wallet: Whether the answer shows less of the card.
        result: What it comes to, if not what the card says.
    """

    entry: CardEntry | None
    stored: StoredCard | None = None
    needs_page: bool = False
    has_payer: bool = True
    is_wallet: bool = False
    result: Result | None = None


class Instruments:
    """Reads what a request says about paying."""

    def __init__(self, vault: Vault, switches: SwitchBoard, clock: Callable[[], datetime]) -> None:
        self._vault = vault
        self._switches = switches
        self._clock = clock

    def read(self, order: PageOrder) -> Instrument | None:
        """Read the instrument; a form's one-use token is spent by it.

        Args:
            order: The request.

        Returns:
            None for a hosted page without any.

        Raises:
            GatewayRefusal: Code 2 for more than one, an unknown or spent token, or another than its `tran_ref`.
        """
        members = order.members
        given = instruments_of(members)
        if len(given) > 1:
            raise GatewayRefusal(2, f"Only one of {', '.join(given)} is allowed")
        if not given:
            return None
        if given[0] in ("payment_token", "apple_pay_token"):
            return self._form(members, given[0])
        if given[0] == "card_details":
            return self._bare_card(members)
        return self._stored(order, members if given[0] == "token" else {**members, **members["token_info"]})

    def _form(self, members: Mapping[str, Any], name: str) -> Instrument:
        entry = self._vault.spend_form(members[name])
        if entry is None:
            raise GatewayRefusal(2, f"Invalid {name}")
        is_wallet = name == "apple_pay_token"
        return Instrument(entry, needs_page=entry.card.three_ds and not is_wallet, is_wallet=is_wallet)

    def _bare_card(self, members: Mapping[str, Any]) -> Instrument:
        details = members["card_details"]
        names = ("pan", "expiry_month", "expiry_year", "cvv")
        if not isinstance(details, dict) or not all(name in details for name in names):
            raise GatewayRefusal(2, "Invalid card_details")
        if "payment_methods" in members:
            raise GatewayRefusal(2, "payment_methods is not allowed with card_details")
        pan, month, year, cvv = (str(details[name]) for name in names)
        try:
            entry = read_card_form(pan, f"{month:0>2}/{year}", cvv, self._clock())
        except CardFieldError as error:
            if error.field != "card-number":
                raise GatewayRefusal(2, "Invalid card_details") from None
            return Instrument(None, result=INVALID_NUMBER)
        return Instrument(entry, needs_page=entry.card.three_ds)

    def _stored(self, order: PageOrder, members: Mapping[str, Any]) -> Instrument:
        stored = self._vault.find(members["token"])
        if stored is None:
            raise GatewayRefusal(2, "Invalid token")
        if members.get("tran_ref", stored.tran_ref) != stored.tran_ref:
            raise GatewayRefusal(2, "Invalid tran_ref: the token is another transaction's")
        if order.members["tran_class"] == "recurring":
            if order.tran_type not in WITHOUT_PAYER:
                raise GatewayRefusal(2, "Invalid tran_type: only sale and auth can be recurring")
            return Instrument(stored.entry, stored, has_payer=False)
        # A card that has expired is refused before anybody is sent to a page.
        is_good = not is_expired(stored.entry, self._clock())
        to_page = is_good and self._switches.now.stored_card_with_payer == "redirect"
        return Instrument(stored.entry, stored, needs_page=to_page)
