"""What a payer sees of a page, and what each button does; once it is paid or its time is over it only says so."""

from typing import Any
from urllib.parse import urlencode, urlsplit

from flask import Response, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from sandbox.amounts import write_amount
from sandbox.cards import CARDS, check_cvv, read_card_form
from sandbox.comeback import comeback
from sandbox.errors import CardFieldError, PageClosed
from sandbox.identifiers import gateway_time
from sandbox.methods import METHODS, Method, offered
from sandbox.offers import read_donation, takes_donations
from sandbox.pages import Page, asks_to_keep
from sandbox.texts import texts_for
from sandbox.transactions import Transaction
from sandbox.world import World

#: Nothing is loaded from elsewhere, and no script runs but the page's own.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; base-uri 'none'"
)

#: The form's text fields.
FIELDS = ("card-number", "expiry", "cvv")

#: The fields whose text is shown again beside what was wrong.
SHOWN_AGAIN = ("card-number", "expiry", "donation")


def unknown_page() -> AnyResponse:
    """Show that an address leads to no page."""
    return _page(404, "unknown.html", t=texts_for(None))


class HostedPage:
    """Shows pages and carries out their forms."""

    def __init__(self, world: World) -> None:
        self._world = world

    def show(self, page: Page) -> AnyResponse:
        """Show the card form, or the result when there is one, or that the page has ended."""
        return self._form(page) if self._world.pages.visit(page) else self._final(page)

    def submit(self, page: Page) -> AnyResponse:
        """Carry out Pay or Cancel."""
        try:
            if request.form.get("action") == "cancel":
                return self._leave(page, self._world.checkout.cancel(page))
            if request.form.get("action") in METHODS:
                return self._choose(page, METHODS[request.form["action"]])
            if page.entry is not None:
                check_cvv(request.form.get("cvv", ""))
            entry = page.entry or read_card_form(*_typed(), self._world.clock())
            amount = read_donation(self._world.ledger.get(page.tran_ref).request, request.form.get("donation"))
            keeps_card = "save-card" in request.form
            done = self._world.checkout.enter_card(page, entry, keeps_card=keeps_card, amount=amount)
        except PageClosed:
            return self._final(page)
        except CardFieldError as error:
            return self._form(page, error=error) if self._world.pages.is_open(page) else self._final(page)
        if done is None:
            return redirect(url_for("page.show_three_ds", page_id=page.page_id), 303)
        return self._leave(page, done)

    def show_three_ds(self, page: Page) -> AnyResponse:
        """Show the bank's step, where a card waits for it."""
        if not self._world.pages.is_open(page):
            return self._final(page)
        if page.awaiting_three_ds is None:
            return redirect(url_for("page.show", page_id=page.page_id), 303)
        return _page(200, "three_ds.html", **self._context(page), card=page.awaiting_three_ds.card)

    def show_method(self, page: Page) -> AnyResponse:
        """Show what stands in for another method's own page, where a payer is there."""
        if not self._world.pages.is_open(page):
            return self._final(page)
        if page.method is None:
            return redirect(url_for("page.show", page_id=page.page_id), 303)
        return _page(200, "method.html", **self._context(page), method=METHODS[page.method])

    def submit_method(self, page: Page) -> AnyResponse:
        """Carry out Approve or Fail."""
        try:
            approved = request.form.get("action") == "approve"
            return self._leave(page, self._world.checkout.answer_method(page, approved=approved))
        except PageClosed:
            return self.show(page)

    def submit_three_ds(self, page: Page) -> AnyResponse:
        """Carry out Approve or Fail."""
        try:
            approved = request.form.get("action") == "approve"
            return self._leave(page, self._world.checkout.answer_three_ds(page, approved=approved))
        except PageClosed:
            return self.show(page)

    def _choose(self, page: Page, method: Method) -> AnyResponse:
        done = self._world.checkout.choose_method(page, method)
        if done is None:
            return redirect(url_for("page.show_method", page_id=page.page_id), 303)
        return self._leave(page, done)

    def _form(self, page: Page, error: CardFieldError | None = None) -> AnyResponse:
        typed = {name: request.form.get(name, "") for name in SHOWN_AGAIN}
        return self._pay(page, 422 if error else 200, error=error, typed=typed)

    def _pay(self, page: Page, http_status: int, **form: Any) -> AnyResponse:  # noqa: ANN401 - what the template reads
        context = self._context(page)
        methods = offered(context["payment"].request)
        return _page(http_status, "pay.html", **context, cards=CARDS, methods=methods, **form)

    def _leave(self, page: Page, done: Transaction) -> AnyResponse:
        if self._world.pages.is_open(page):
            return self._pay(page, 200, error=None, typed={})
        back = comeback(self._world, done)
        if back is None:
            return self._final(page, heading="done")
        if back["method"] == "GET":
            return redirect(_with_query(back["url"], back["fields"]), 303)
        return _page(200, "returning.html", **self._context(page), back=back)

    def _final(self, page: Page, heading: str = "final") -> AnyResponse:
        context = self._context(page)
        payment: Transaction = context["payment"]
        is_ended = payment.status is None and not page.closed
        heading, note, http_status = ("ended", "ended_note", 410) if is_ended else (heading, "final_note", 200)
        texts = {"heading": context["t"][heading], "note": context["t"][note]}
        back = comeback(self._world, payment) if payment.status else None
        return _page(http_status, "final.html", **context, **texts, back=back)

    def _context(self, page: Page) -> dict[str, Any]:
        payment = self._world.ledger.get(page.tran_ref)
        is_dead = payment.status is None and (page.closed or self._world.pages.is_ended(page))
        return {
            "t": texts_for(payment.request.get("paypage_lang")),
            "payment": payment,
            "page": page,
            "amount": write_amount(payment.cart_amount, payment.currency),
            "status": "X" if is_dead else payment.status,
            "takes_donations": takes_donations(payment.request),
            "asks_to_keep": asks_to_keep(payment.request),
            "ends_at": gateway_time(page.ends_at),
        }


def _typed() -> tuple[str, str, str]:
    number, expiry, cvv = (request.form.get(field, "") for field in FIELDS)
    return number, expiry, cvv


def _with_query(url: str, fields: dict[str, str]) -> str:
    return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(fields)}" if fields else url


def _page(http_status: int, template: str, /, **context: Any) -> Response:  # noqa: ANN401 - what templates read
    response = make_response(render_template(template, **context), http_status)
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response.headers["Cache-Control"] = "no-store"
    return response
