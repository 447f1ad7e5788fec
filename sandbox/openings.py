"""How a payment begins, with or without a page: what of its request is kept, and whose family it is."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sandbox.creation import PageOrder
from sandbox.identifiers import Mint
from sandbox.instruments import Instrument
from sandbox.transactions import BY_HAND, BY_PAGE, Transaction, plugin_of


class Openings:
    """Begins payments."""

    def __init__(self, mint: Mint, clock: Callable[[], datetime]) -> None:
        self._mint = mint
        self._clock = clock

    def begin(self, order: PageOrder, instrument: Instrument | None, **members: Any) -> Transaction:  # noqa: ANN401 - fields of Transaction
        """Begin a payment; it is not in the ledger yet.

        Card data is looked at and forgotten. A stored card's payment is its own family though it names its origin.

        Args:
            order: The order.
            instrument: What pays, where that is known.
            members: Further fields of the transaction.

        Returns:
            The transaction, without a status unless given.
        """
        stored = instrument.stored if instrument else None
        channel = members.pop("channel", BY_PAGE)
        return Transaction(
            tran_ref=self._mint.tran_ref(),
            tran_type=order.tran_type,
            cart_id=order.members["cart_id"],
            currency=order.members["cart_currency"],
            cart_amount=order.amount,
            at=self._clock(),
            request={name: value for name, value in order.members.items() if name != "card_details"},
            previous_tran_ref=stored.tran_ref if stored else None,
            begins_family=True,
            token=stored.token if stored else None,
            channel=channel if channel == BY_HAND else plugin_of(order.members) or channel,
            **members,
        )
