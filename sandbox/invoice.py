"""What an invoice is, what its dates are, and how it may be marked as paid."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sandbox.amounts import read_amount
from sandbox.creation import PageOrder
from sandbox.errors import GatewayRefusal

#: Ways in which an invoice may be paid without the gateway.
PAY_METHODS = frozenset(("cash", "cheque", "banktransfer", "pointofsale"))


@dataclass
class Invoice:
    """An invoice.

    Attributes:
        invoice_id: Its number.
        key: The unguessable end of its link.
        order: What its page asks for.
        due: Until when it should be paid.
        expiry: Until when it can be paid.
        is_cancelled: Whether it was cancelled.
        tran_ref: The latest attempt to pay it.
        texts_sent: To which telephone numbers its link was sent.
    """

    invoice_id: int
    key: str
    order: PageOrder
    due: datetime | None
    expiry: datetime | None
    is_cancelled: bool = False
    tran_ref: str | None = None
    texts_sent: tuple[str, ...] = ()


def read_date(terms: Mapping[str, Any], name: str) -> datetime | None:
    """Read a date of an invoice.

    Args:
        terms: The member `invoice`.
        name: Which date.

    Returns:
        The date, aware; None when it is not given.

    Raises:
        GatewayRefusal: Code 2 when it is no ISO-8601 date; one without an offset is taken for UTC.
    """
    text = terms.get(name)
    if text in (None, ""):
        return None
    try:
        date = datetime.fromisoformat(str(text))
    except ValueError:
        raise GatewayRefusal(2, f"Invalid {name}") from None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def check_payment(invoice: Invoice, members: Mapping[str, Any]) -> None:
    """Check that a payment by other means fits an invoice.

    Args:
        invoice: The invoice.
        members: `invoice_currency`, `invoice_total`, `pay_method`.

    Raises:
        GatewayRefusal: Code 2 when the sum or the method does not fit, 206 when the currency does not.
    """
    currency = invoice.order.members["cart_currency"]
    if members.get("invoice_currency") != currency:
        raise GatewayRefusal(206, "Invalid currency code", 400)
    if read_amount(members.get("invoice_total"), currency) != invoice.order.amount:
        raise GatewayRefusal(2, "Invalid invoice_total")
    if str(members.get("pay_method")) not in PAY_METHODS:
        raise GatewayRefusal(2, "Invalid pay_method")
