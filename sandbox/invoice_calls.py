"""The calls about invoices, both spellings of each, and the link by which a payer comes to the page."""

import hmac
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, redirect, url_for
from werkzeug.wrappers import Response as AnyResponse

from sandbox.envelopes import invoice_answer
from sandbox.errors import GatewayRefusal, UnknownTransaction
from sandbox.gateway import Gateway
from sandbox.hosted_page import unknown_page
from sandbox.invoice import Invoice
from sandbox.world import World


class InvoiceCalls:
    """Answers the calls about invoices."""

    def __init__(self, world: World, gateway: Gateway) -> None:
        self._world = world
        self._gateway = gateway

    def new(self, members: Mapping[str, Any]) -> object:
        """Make an invoice."""
        invoice = self._world.invoices.open(self._gateway.order(members))
        return {
            "invoice_id": invoice.invoice_id,
            "invoice_link": f"{self._gateway.base_url()}/payment/request/invoice/{invoice.invoice_id}/{invoice.key}",
            "trace_code": self._world.mint.trace(),
        }

    def status(self, invoice_id: object) -> object:
        """Tell how an invoice stands."""
        invoices = self._world.invoices
        invoice = invoices.get(invoice_id)
        return invoice_answer(invoices.status(invoice), invoices.attempt(invoice))

    def cancel(self, invoice_id: object) -> object:
        """Cancel an invoice."""
        self._world.invoices.cancel(self._world.invoices.get(invoice_id))
        code = "0" if self._world.switches.now.invoice_cancel_code == "zero" else None
        return {"code": code, "message": "Invoice cancelled", "trace": self._world.mint.trace()}

    def text(self, invoice_id: object, members: Mapping[str, Any]) -> object:
        """Send an invoice's link to a telephone."""
        invoice = self._world.invoices.get(invoice_id)
        details = members.get("customer_details")
        phone = details.get("phone") if isinstance(details, dict) else None
        if not isinstance(phone, str) or not phone:
            raise GatewayRefusal(2, "Invalid phone")
        self._world.invoices.note_text(invoice, phone)
        return {"message": "SMS sent", "trace": self._world.mint.trace()}

    def paid(self, members: Mapping[str, Any]) -> object:
        """Mark an invoice as paid without the gateway."""
        done = self._world.invoices.mark_paid(self._world.invoices.get(members.get("invoice_id")), members)
        echoed = ("invoice_id", "invoice_currency", "invoice_total", "pay_method", "pay_description")
        echo = {name: members[name] for name in echoed if name in members}
        echo["invoice_total"] = str(echo["invoice_total"])
        told = {"tran_ref": done.tran_ref, "profile_id": self._world.profile.profile_id}
        return {**echo, **told, "trace": self._world.mint.trace()}

    def find_by_link(self, invoice_id: int, key: str) -> Invoice:
        """Find the invoice that a link leads to.

        Raises:
            UnknownTransaction: When there is none.
        """
        try:
            invoice = self._world.invoices.get(invoice_id)
        except GatewayRefusal:
            raise UnknownTransaction(str(invoice_id)) from None
        if not hmac.compare_digest(invoice.key.encode(), key.encode()):
            raise UnknownTransaction(str(invoice_id))
        return invoice


def invoice_blueprint(world: World, gateway: Gateway) -> Blueprint:
    """Build the calls about invoices.

    Args:
        world: The sandbox.
        gateway: Who authenticates and answers.

    Returns:
        Everything under `/payment/invoice/`, `/payment/new/invoice`, and the payers' link.
    """
    blueprint = Blueprint("invoices", __name__)
    calls = InvoiceCalls(world, gateway)
    _add_calls(blueprint, gateway, calls)

    @blueprint.get("/payment/request/invoice/<int:invoice_id>/<key>")
    def visit(invoice_id: int, key: str) -> AnyResponse:
        tran_ref = world.invoices.page_of(calls.find_by_link(invoice_id, key))
        page_id = world.ledger.get(tran_ref).page_id
        if page_id is None:
            raise UnknownTransaction(tran_ref)
        return redirect(url_for("page.show", page_id=page_id), 303)

    @blueprint.errorhandler(UnknownTransaction)
    def unknown(_: UnknownTransaction) -> AnyResponse:
        return unknown_page()

    return blueprint


def _add_calls(blueprint: Blueprint, gateway: Gateway, calls: InvoiceCalls) -> None:

    @blueprint.post("/payment/invoice/new")
    @blueprint.post("/payment/new/invoice")
    def new() -> Response:
        return gateway.answer(calls.new)

    @blueprint.post("/payment/invoice/status")
    def status() -> Response:
        return gateway.answer(lambda members: calls.status(members.get("invoice_id")))

    @blueprint.get("/payment/invoice/<invoice_id>/status")
    def status_by_path(invoice_id: str) -> Response:
        return gateway.answer(lambda _: calls.status(invoice_id), has_body=False)

    @blueprint.post("/payment/invoice/cancel")
    def cancel() -> Response:
        return gateway.answer(lambda members: calls.cancel(members.get("invoice_id")))

    @blueprint.put("/payment/invoice/<invoice_id>/cancel")
    def cancel_by_path(invoice_id: str) -> Response:
        return gateway.answer(lambda _: calls.cancel(invoice_id), has_body=False)

    @blueprint.post("/payment/invoice/<invoice_id>/cancel")
    def cancel_by_post(invoice_id: str) -> Response:
        return gateway.answer(lambda _: calls.cancel(invoice_id), has_body=False)

    @blueprint.post("/payment/invoice/<invoice_id>/sms")
    def text(invoice_id: str) -> Response:
        return gateway.answer(lambda members: calls.text(invoice_id, members))

    @blueprint.post("/payment/invoice/paid")
    def paid() -> Response:
        return gateway.answer(calls.paid)
