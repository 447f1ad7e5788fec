"""Methods other than cards: which leave a voucher with a reference number, and which send the payer elsewhere.

A voucher (`sadad`, `aman`, ...) is a `P` that its payer settles later, long after the page is dead. At the others the
payer is away from the page until the method says yes or no.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.cards import AUTHORISED, Result

#: A payer who came back without paying.
NOT_PAID = Result("D", "300", "Not authorised")

#: A number with which to pay later.
VOUCHER = Result("P", None, "Pending")


@dataclass(frozen=True)
class Method:
    """A method.

    Attributes:
        name: As `payment_methods` names it.
        title: As `payment_info` names it.
        is_deferred: Whether it leaves a voucher.
    """

    name: str
    title: str
    is_deferred: bool = False

    @property
    def shown(self) -> dict[str, Any]:
        """What `payment_info` says of it: no card."""
        return {"payment_method": self.title, "card_scheme": self.title, "payment_description": self.title}

    def result(self, *, approved: bool) -> Result:
        """Tell what it comes to."""
        return VOUCHER if self.is_deferred else AUTHORISED if approved else NOT_PAID


_ALL = (
    Method("sadad", "Sadad", is_deferred=True),
    Method("aman", "Aman", is_deferred=True),
    Method("basata", "Basata", is_deferred=True),
    Method("fawry", "Fawry", is_deferred=True),
    Method("stcpay", "STCPay"),
    Method("urpay", "UrPay"),
    Method("tabby", "Tabby"),
    Method("tamara", "Tamara"),
    Method("valu", "ValU"),
    Method("knet", "KNet"),
    Method("paypal", "PayPal"),
)

#: Every method of the sandbox that is no card, by name.
METHODS: Mapping[str, Method] = {method.name: method for method in _ALL}


def offered(request: Mapping[str, Any]) -> list[Method]:
    """List the methods that a page offers beside cards: those its request names."""
    names = request.get("payment_methods")
    return [METHODS[name] for name in names if name in METHODS] if isinstance(names, list) else []
