"""What a card's result does to a transaction: status, code, nature, card shown, and the token that may come of it."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from sandbox.agreements import Agreement, read_agreement, read_counter
from sandbox.cards import CardEntry, Result
from sandbox.identifiers import Mint
from sandbox.methods import Method
from sandbox.offers import NOT_APPROVED, converted, discounted, refuses_card
from sandbox.switchboard import SwitchBoard
from sandbox.transactions import Transaction
from sandbox.vault import Vault

#: What a payment without a card says of it.
NO_PAYMENT = {"card_scheme": "", "payment_description": "No Payment"}

#: A charge above the cap.
ABOVE_CAP = Result("E", "325", "Merchant limit exceeded")

#: Results in which money is taken, held or promised.
GOOD = frozenset(("A", "H", "P"))

#: Members of `payment_info` that a wallet does not show.
NOT_OF_WALLETS = frozenset(("card_type", "expiryMonth", "expiryYear"))


class Charging:
    """Works out results."""

    def __init__(self, mint: Mint, vault: Vault, switches: SwitchBoard, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._mint = mint
        self._vault = vault
        self._switches = switches

    def changes(
        self,
        before: Transaction,
        result: Result,
        entry: CardEntry | None,
        *,
        is_wallet: bool = False,
        keeps_card: bool = True,
        amount: Decimal | None = None,
        method: Method | None = None,
    ) -> dict[str, Any]:
        """Tell what changes when a transaction gets its result.

        Args:
            before: The transaction.
            result: What the card, or the payer, comes to.
            entry: The card, if any.
            is_wallet: Whether less of it is shown.
            amount: What the payer chose to give, where that was left to them.
            keeps_card: Whether the payer, where asked, lets the card be stored.
            method: The method, where it is no card.

        Returns:
            The fields and their values; a token among them is in the vault.
        """
        total = self._total(before, entry, amount)
        result = self._checked(before, result, entry, total)
        shown = card_shown(entry) if entry else method.shown if method else NO_PAYMENT
        return {
            "status": result.status,
            "code": result.code or self._fresh_code(result),
            "message": result.message,
            "tran_total": total,
            **self._elsewhere(before, total),
            "enrolled": _enrolled(before, entry),
            "payment_info": {name: shown[name] for name in shown if not (is_wallet and name in NOT_OF_WALLETS)},
            **self._nature(before, result),
            **(self._token(before, result, entry) if keeps_card else {}),
        }

    def _total(self, before: Transaction, entry: CardEntry | None, amount: Decimal | None) -> Decimal:
        asked = before.cart_amount if amount is None else amount
        return discounted(before.request, asked, before.currency, entry) if entry else asked

    def _checked(self, before: Transaction, result: Result, entry: CardEntry | None, total: Decimal) -> Result:
        cap = self._switches.now.amount_cap
        if entry and refuses_card(before.request, entry):
            return NOT_APPROVED
        if cap is not None and result.status in GOOD and total > Decimal(str(cap)):
            return ABOVE_CAP
        return result

    def _elsewhere(self, before: Transaction, total: Decimal) -> dict[str, Any]:
        currency = before.request.get("alt_currency")
        if currency in (None, before.currency):
            return {}
        rate = Decimal(str(self._switches.now.alt_currency_rate))
        return {"alt_currency": currency, "alt_total": converted(total, rate, str(currency))}

    def _nature(self, before: Transaction, result: Result) -> dict[str, Any]:
        if result.status == "P":
            return {"tran_type": "Payment Request", "original_tran_type": before.tran_type}
        if result.status == "H" and before.tran_type == "Sale":
            # Hold on reject: the gateway authorises instead of selling, and only a query says what was asked.
            return {"tran_type": "Auth", "original_tran_type": "Sale"}
        return {}

    def _token(self, before: Transaction, result: Result, entry: CardEntry | None) -> dict[str, str]:
        wishes = {**before.request, **(before.request.get("token_info") or {})}
        wants_token = (before.tran_type == "Register" or "tokenise" in wishes) and before.token is None
        if result.status == "A" and entry and wants_token and "K" in self._switches.now.method_flags:
            return {"token": self._vault.store(before.tran_ref, entry, self._agreed(before))}
        return {}

    def _agreed(self, before: Transaction) -> Agreement:
        terms = before.request.get("token_info") or {}
        agreed = read_agreement(terms)
        is_payment = before.tran_type != "Register"
        return agreed.after(read_counter(terms), self._clock()) if is_payment else agreed

    def _fresh_code(self, result: Result) -> str:
        return self._mint.payer_reference() if result.status == "P" else self._mint.authorisation()


def _enrolled(before: Transaction, entry: CardEntry | None) -> str | None:
    if entry is None or before.page_id is None:
        return None
    return "Y" if entry.card.three_ds else "N"


def card_shown(entry: CardEntry) -> dict[str, Any]:
    """Write what is shown of a card, the member `payment_info`."""
    return {
        "payment_method": entry.card.scheme,
        "card_type": "Credit",
        "card_scheme": entry.card.scheme,
        "payment_description": entry.card.masked,
        "expiryMonth": entry.expiry_month,
        "expiryYear": entry.expiry_year,
    }
