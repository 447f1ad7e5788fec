"""A shop at the sandbox: pages are paid, money is held, cards are stored and bills are written, through the client."""

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import uuid4

from paytabs.client import PayTabsClient
from paytabs.invoices import InvoiceRequest
from paytabs.operations import FollowUpRequest, PageRequest, TokenChargeRequest
from paytabs.responses import Answer, Transaction
from tests.support.sandbox import Sandbox

#: How long a test waits for what a query will show only later, in seconds.
PATIENCE_SECONDS = 5.0


def transaction_of(answer: Answer) -> Transaction:
    """Give an answer's transaction, which has to be there."""
    assert answer.transaction is not None, answer
    return answer.transaction


def until(ask: Callable[[], Answer], is_good: Callable[[Answer], bool]) -> Answer:
    """Ask until the answer is good, as whoever reconciles does, or fail with the last one."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_good(answer := ask()):
        assert time.monotonic() < deadline, answer
        time.sleep(0.05)
    return answer


def has_status(status: str) -> Callable[[Answer], bool]:
    """Make a test for an answer with one transaction of a status."""
    return lambda answer: answer.transaction is not None and answer.transaction.response_status == status


class Shop:
    """What a merchant does, each with a cart of its own."""

    def __init__(self, client: PayTabsClient, sandbox: Sandbox) -> None:
        self.client = client
        self.sandbox = sandbox

    def cart(self, amount: str = "100.00", currency: str = "SAR") -> dict[str, Any]:
        """Make the members of a fresh cart."""
        named = {"cart_id": f"op-{uuid4()}", "cart_description": "Contract 1"}
        return {**named, "cart_currency": currency, "cart_amount": amount}

    def page(self, **members: Any) -> Transaction:
        """Open a page and leave it unpaid."""
        return transaction_of(self.client.request_page(PageRequest(**(self.cart() | members))))

    def paid(self, card: str = "authorised", **members: Any) -> Transaction:
        """Open a page and pay it; gives what a query says of it."""
        page = self.page(**members)
        self.sandbox.pay(page.tran_ref, card)
        result = self.sandbox.ledger(tran_ref=page.tran_ref)[0]["status"]
        return transaction_of(until(lambda: self.client.query_tran(page.tran_ref), has_status(result)))

    def held(self, amount: str = "100.00", currency: str = "SAR") -> Transaction:
        """Hold money."""
        return self.paid(tran_type="auth", cart_amount=amount, cart_currency=currency)

    def follow_up(self, tran_type: str, target: Transaction, amount: str, **members: Any) -> Answer:
        """Act upon a transaction."""
        return self.client.follow_up(self.follow_up_request(tran_type, target, amount, **members))

    def follow_up_request(self, tran_type: str, target: Transaction, amount: str, **members: Any) -> FollowUpRequest:
        """Make a request to act upon a transaction."""
        cart = self.cart(amount, target.cart_currency or "SAR")
        return FollowUpRequest(**(cart | {"tran_type": tran_type, "tran_ref": target.tran_ref} | members))

    def stored_card(self) -> tuple[str, str]:
        """Store a card; gives the token and the reference of the transaction that made it."""
        paid = self.paid(tokenise=2)
        assert paid.token is not None
        return paid.token, paid.tran_ref

    def fill_form(self, card: str) -> str:
        """Do what a payer's browser does with PayTabs' fields on our page; gives the one-use token."""
        return str(self.sandbox._desk("POST", "payment_token", {"card": card})["payment_token"])

    def charge(self, token: str, tran_class: str = "recurring", **members: Any) -> Answer:
        """Charge a stored card."""
        request = {**self.cart("49.00"), "tran_class": tran_class, "token": token}
        return self.client.charge(TokenChargeRequest(**(request | members)))

    def invoice(self, amount: str = "100.00", **terms: Any) -> Answer:
        """Write a bill of one line."""
        lines = [{"sku": "A-1", "description": "Design", "quantity": 1, "unit_cost": amount, "total": amount}]
        return self.client.create_invoice(
            InvoiceRequest(**self.cart(amount), invoice={"line_items": lines, "total": amount, **terms})
        )

    def balance(self, root: Transaction) -> dict[str, Decimal]:
        """Look up in the sandbox's own books where a payment stands: authorised, captured, released, refunded."""
        balances = self.sandbox._desk("GET", "ledger")["balances"]
        return {name: Decimal(amount) for name, amount in balances[root.tran_ref].items()}
