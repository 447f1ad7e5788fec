"""The API a merchant's server speaks to: who may call, what a payment or a query is answered, errors as envelopes."""

import hmac
import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from flask import Blueprint, Response, request

from sandbox.creation import PageOrder, read_page_order
from sandbox.duplicates import FOLLOW_UPS
from sandbox.envelopes import cart_entry, compact, completed_answer, direct_answer, redirect_answer
from sandbox.errors import AUTH_FAILED, CURRENCY_UNAVAILABLE, MOBILE_KEY, GatewayRefusal
from sandbox.ledger import CART_QUERY_LIMIT
from sandbox.transactions import Transaction
from sandbox.world import World

#: Statuses of answers that did nothing.
REFUSED = frozenset(("D", "E"))


def gateway_blueprint(gateway: "Gateway") -> Blueprint:
    """Build the calls about payments.

    Args:
        gateway: Who answers.

    Returns:
        `POST /payment/request` and `POST /payment/query`.
    """
    blueprint = Blueprint("gateway", __name__)

    @blueprint.post("/payment/request")
    def create() -> Response:
        return gateway.answer(gateway.create)

    @blueprint.post("/payment/query")
    def query() -> Response:
        return gateway.answer(gateway.query)

    return blueprint


class Gateway:
    """Answers the calls of one merchant."""

    def __init__(self, world: World) -> None:
        self._world = world

    def answer(self, operation: Callable[[Mapping[str, Any]], object], *, has_body: bool = True) -> Response:
        """Authenticate the present request, carry it out and write its answer.

        Args:
            operation: What to do with the JSON members.
            has_body: Whether there are any; without, the key alone tells the profile.

        Returns:
            200 with the operation's document, or an error envelope.
        """
        try:
            self._authenticate()
            document, status = operation(self._members(request.get_data()) if has_body else {}), 200
        except GatewayRefusal as refusal:
            trace = self._world.mint.trace("PMNT0402")
            document = {"code": refusal.code, "message": refusal.message, "trace": trace}
            status = refusal.http_status or self._world.switches.now.code2_http_status
        return Response(compact(document), status, content_type="application/json")

    def create(self, members: Mapping[str, Any]) -> object:
        """Open a hosted page, charge a card, or act upon an earlier transaction."""
        duplicates = self._world.duplicates
        duplicates.check(members)
        try:
            done = self._carry_out(members)
        except GatewayRefusal:
            duplicates.forget(members)
            raise
        if done.status is None:
            return redirect_answer(done, self._page_url(done), **self.stamp())
        if done.status in REFUSED:
            duplicates.forget(members)
        return direct_answer(done, **self.stamp())

    def query(self, members: Mapping[str, Any]) -> object:
        """Look up a transaction, or the transactions of a cart."""
        tran_ref, cart_id = members.get("tran_ref"), members.get("cart_id")
        if bool(tran_ref) == bool(cart_id):
            raise GatewayRefusal(2, "Either tran_ref or cart_id is required", 400)
        if cart_id:
            if not isinstance(cart_id, str):
                raise GatewayRefusal(101, "Cart ID is not valid", 400)
            return self._query_cart(cart_id)
        return completed_answer(self._world.lookups.by_ref(str(tran_ref)), **self.stamp())

    def stamp(self) -> dict[str, Any]:
        """Give what every answer bears: profile, a fresh trace, and how decimals are written."""
        return {
            "profile_id": self._world.profile.profile_id,
            "trace": self._world.mint.trace(),
            "decimals": self._world.switches.now.decimals,
        }

    def order(self, members: Mapping[str, Any]) -> PageOrder:
        """Read a request for a payment or an invoice.

        Raises:
            GatewayRefusal: When it is not good, or its currency is closed to the merchant by switch.
        """
        switches = self._world.switches.now
        order = read_page_order(members, switches.url_rules)
        if order.members["cart_currency"] in switches.refused_currencies:
            raise GatewayRefusal(*CURRENCY_UNAVAILABLE)
        return order

    def base_url(self) -> str:
        """Give the address under which payers reach the pages."""
        return (self._world.public_url or request.host_url).rstrip("/")

    def _carry_out(self, members: Mapping[str, Any]) -> Transaction:
        if str(members.get("tran_type")).lower() in FOLLOW_UPS:
            return self._world.follow_ups.carry_out(members)
        order = self.order(members)
        instrument = self._world.instruments.read(order)
        if instrument is None and "invoice" in order.members:
            invoices = self._world.invoices
            return self._world.ledger.get(invoices.page_of(invoices.open(order)))
        if instrument is None or instrument.needs_page:
            return self._world.checkout.open_page(order, instrument)
        return self._world.direct.charge(order, instrument)

    def _query_cart(self, cart_id: str) -> object:
        decimals = self._world.switches.now.decimals
        found = self._world.lookups.by_cart(cart_id)
        return [cart_entry(one, decimals=decimals) for one in found[:CART_QUERY_LIMIT]]

    def _authenticate(self) -> None:
        key = request.headers.get("Authorization", "")
        if not hmac.compare_digest(key.encode(), self._world.profile.server_key.encode()):
            raise GatewayRefusal(*AUTH_FAILED)
        if self._world.switches.now.server_key_kind == "mobile":
            raise GatewayRefusal(*MOBILE_KEY)

    def _members(self, body: bytes) -> Mapping[str, Any]:
        try:
            members = json.loads(body, parse_float=Decimal, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            raise GatewayRefusal(2, "Invalid request") from None
        if not isinstance(members, dict):
            raise GatewayRefusal(2, "Invalid request")
        if str(members.get("profile_id")) != str(self._world.profile.profile_id):
            raise GatewayRefusal(*AUTH_FAILED)
        return members

    def _page_url(self, transaction: Transaction) -> str:
        page = self._world.pages.find(str(transaction.page_id))
        return f"{self.base_url()}/payment/wr/{page.page_id}{'/3ds' if page.awaiting_three_ds else ''}"


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
