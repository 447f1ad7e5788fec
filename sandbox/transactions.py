"""What a transaction is: one act at the gateway, as it stands at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

#: `paymentChannel` of what is done by hand.
BY_HAND = "Dashboard"

#: `paymentChannel` of what is paid on a page.
BY_PAGE = "Payment Page"


@dataclass(frozen=True)
class Transaction:
    """One transaction as it stands at one moment.

    Attributes:
        tran_ref: Its reference.
        tran_type: Capitalised as in answers; may change (a held sale becomes an `Auth`).
        original_tran_type: What was asked, where the gateway did something else; queries only.
        previous_tran_ref: The transaction acted upon.
        request: The members of the request that answers echo, as received.
        cart_amount: What was asked.
        tran_total: What it is about; zero until something happened.
        status: `response_status`; None while nobody has paid.
        payment_info: The member of that name.
        page_id: The hosted page's address, where there is one.
        token: The card token made on the way.
        channel: `paymentChannel`.
        at: `transaction_time` of this version.
        begins_family: Whether it is a payment of its own although it names a `previous_tran_ref`, as the charge of a
            stored card does.
        invoice_id: The invoice it pays, if any.
        alt_currency: The currency in which the payer paid, where it is another; the books are in `currency`.
        alt_total: `tran_total` in that currency.
        enrolled: Whether its card had a 3-D Secure step: `Y` or `N`; None where there was no page or no card.
        is_outside: Whether the money went another way (an invoice marked as paid); it then moves nothing here.
    """

    tran_ref: str
    tran_type: str
    cart_id: str
    currency: str
    cart_amount: Decimal
    at: datetime
    tran_total: Decimal = Decimal(0)
    original_tran_type: str | None = None
    previous_tran_ref: str | None = None
    request: Mapping[str, Any] = field(default_factory=dict)
    status: str | None = None
    code: str | None = None
    message: str | None = None
    payment_info: Mapping[str, Any] = field(default_factory=dict)
    page_id: str | None = None
    token: str | None = None
    channel: str = BY_PAGE
    begins_family: bool = False
    invoice_id: int | None = None
    is_outside: bool = False
    alt_currency: str | None = None
    alt_total: Decimal | None = None
    enrolled: str | None = None


def plugin_of(members: Mapping[str, Any]) -> str | None:
    """Tell which shop's plugin sent a request: `paymentChannel` follows its name; None where it does not say."""
    info = members.get("plugin_info")
    name = info.get("cart_name") if isinstance(info, dict) else None
    return name if isinstance(name, str) and name else None
