"""The hosted page: what a payer sees, and which button leads where."""

from typing import Any
from urllib.parse import urlencode, urlsplit

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from sandbox.amounts import write_amount
from sandbox.cards import CARDS, check_cvv, read_card_form
from sandbox.creation import NO_RETURN
from sandbox.errors import CardFieldError, PageClosed, UnknownTransaction
from sandbox.identifiers import utc_now
from sandbox.pages import Page
from sandbox.tellings import return_fields
from sandbox.texts import texts_for
from sandbox.transactions import Transaction
from sandbox.world import World

#: Nothing is loaded from elsewhere, and no script runs but the page's own.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; base-uri 'none'"
)

#: The form's text fields.
FIELDS = ("card-number", "expiry", "cvv")


def page_blueprint(world: World) -> Blueprint:
    """Build the hosted page.

    Args:
        world: The sandbox.

    Returns:
        `/payment/wr/<page_id>` and its 3-D Secure step.
    """
    blueprint = Blueprint("page", __name__)
    desk = HostedPage(world)

    @blueprint.get("/payment/wr/<page_id>")
    def show(page_id: str) -> AnyResponse:
        return desk.show(world.checkout.page(page_id))

    @blueprint.post("/payment/wr/<page_id>")
    def submit(page_id: str) -> AnyResponse:
        return desk.submit(world.checkout.page(page_id))

    @blueprint.get("/payment/wr/<page_id>/3ds")
    def show_three_ds(page_id: str) -> AnyResponse:
        return desk.show_three_ds(world.checkout.page(page_id))

    @blueprint.post("/payment/wr/<page_id>/3ds")
    def submit_three_ds(page_id: str) -> AnyResponse:
        return desk.submit_three_ds(world.checkout.page(page_id))

    @blueprint.errorhandler(UnknownTransaction)
    def unknown(_: UnknownTransaction) -> AnyResponse:
        return unknown_page()

    return blueprint


def unknown_page() -> AnyResponse:
    """Show that an address leads to no page."""
    return _page(404, "unknown.html", t=texts_for(None))


def comeback(world: World, transaction: Transaction) -> dict[str, Any] | None:
    """Tell how the payer's browser comes back to the merchant.

    Args:
        world: The sandbox.
        transaction: A transaction with a result.

    Returns:
        `url`, `method` and the signed `fields`; None when no return was asked for.
    """
    url = transaction.request.get("return")
    if not url or url == NO_RETURN:
        return None
    method = "GET" if transaction.request.get("return_using_get") in (True, "true", 1) else "POST"
    return {"url": url, "method": method, "fields": return_fields(transaction, world.profile.server_key)}


class HostedPage:
    """Shows pages and carries out their forms."""

    def __init__(self, world: World) -> None:
        self._world = world

    def show(self, page: Page) -> AnyResponse:
        """Show the card form, or the result when there is one."""
        if not self._world.checkout.is_open(page):
            return self._final(page)
        return self._form(page)

    def submit(self, page: Page) -> AnyResponse:
        """Carry out Pay or Cancel."""
        try:
            if request.form.get("action") == "cancel":
                return self._leave(page, self._world.checkout.cancel(page))
            if page.entry is not None:
                check_cvv(request.form.get("cvv", ""))
            entry = page.entry or read_card_form(*_typed(), utc_now())
            done = self._world.checkout.enter_card(page, entry)
        except PageClosed:
            return self._final(page)
        except CardFieldError as error:
            return self._form(page, error=error) if self._world.checkout.is_open(page) else self._final(page)
        if done is None:
            return redirect(url_for("page.show_three_ds", page_id=page.page_id), 303)
        return self._leave(page, done)

    def show_three_ds(self, page: Page) -> AnyResponse:
        """Show the bank's step, where a card waits for it."""
        if not self._world.checkout.is_open(page):
            return self._final(page)
        if page.awaiting_three_ds is None:
            return redirect(url_for("page.show", page_id=page.page_id), 303)
        return _page(200, "three_ds.html", **self._context(page), card=page.awaiting_three_ds.card)

    def submit_three_ds(self, page: Page) -> AnyResponse:
        """Carry out Approve or Fail."""
        try:
            approved = request.form.get("action") == "approve"
            return self._leave(page, self._world.checkout.answer_three_ds(page, approved=approved))
        except PageClosed:
            return self.show(page)

    def _form(self, page: Page, error: CardFieldError | None = None) -> AnyResponse:
        typed = {name: request.form.get(name, "") for name in FIELDS if name != "cvv"}
        return _page(422 if error else 200, "pay.html", **self._context(page), cards=CARDS, error=error, typed=typed)

    def _leave(self, page: Page, done: Transaction) -> AnyResponse:
        if self._world.checkout.is_open(page):
            return _page(200, "pay.html", **self._context(page), cards=CARDS, error=None, typed={})
        back = comeback(self._world, done)
        if back is None:
            return self._final(page, heading="done")
        if back["method"] == "GET":
            return redirect(_with_query(back["url"], back["fields"]), 303)
        return _page(200, "returning.html", **self._context(page), back=back)

    def _final(self, page: Page, heading: str = "final") -> AnyResponse:
        context = self._context(page)
        payment: Transaction = context["payment"]
        back = comeback(self._world, payment) if payment.status else None
        return _page(200, "final.html", **context, back=back, heading=context["t"][heading])

    def _context(self, page: Page) -> dict[str, Any]:
        payment = self._world.ledger.get(page.tran_ref)
        return {
            "t": texts_for(payment.request.get("paypage_lang")),
            "payment": payment,
            "page": page,
            "amount": write_amount(payment.cart_amount, payment.currency),
            "status": "X" if page.closed and payment.status is None else payment.status,
        }


def _typed() -> tuple[str, str, str]:
    number, expiry, cvv = (request.form.get(field, "") for field in FIELDS)
    return number, expiry, cvv


def _with_query(url: str, fields: dict[str, str]) -> str:
    return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(fields)}"


def _page(http_status: int, template: str, /, **context: Any) -> Response:  # noqa: ANN401 - what templates read
    response = make_response(render_template(template, **context), http_status)
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response.headers["Cache-Control"] = "no-store"
    return response
