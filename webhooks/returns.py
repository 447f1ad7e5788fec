"""The payer's way back: a signed form that only asks for a query and leads on to an address we know.

That is the page's own, as its row has it, whether the list of allowed addresses names it or not: whoever may ask for a
page may say where its payer goes. A page without one leads to an address of the list. The form's status is not believed
and not passed on. It is decoded by hand, since Flask replaces bytes that are not UTF-8 and the signature is over the
bytes.
"""

import re
from collections.abc import Sequence
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import structlog
from flask import Blueprint, Response, request

from observability.metrics import BROWSER_RETURNS, FAILED_SIGNATURES
from paytabs.signature import Field, verify_return
from webhooks.body import read_body
from webhooks.pages import page
from webhooks.receiver import VERIFY_TASK, Receiver, Returned, hand_over, new_correlation_id

log = structlog.get_logger(__name__)

#: Where a payer's browser is sent to.
RETURN_PATH = "/payments/return"

#: The members of a return; with GET every other parameter is our own return address's and unsigned.
RETURN_FIELDS = frozenset(
    {
        "acquirerMessage",
        "acquirerRRN",
        "cartId",
        "customerEmail",
        "respCode",
        "respMessage",
        "respStatus",
        "signature",
        "token",
        "tranRef",
    }
)

#: More parameters than any return has.
MAX_FIELDS = 50

#: Names under which the shop learns which payment its customer comes from; nothing else is passed on.
PASSED_ON = {"tranRef": "tran_ref", "cartId": "cart_id"}

#: The longest reference that is passed on.
MAX_REFERENCE_LENGTH = 64

#: What a transaction reference may look like: 16 characters today, opaque to us.
_TRAN_REF = re.compile(rf"[!-~]{{1,{MAX_REFERENCE_LENGTH}}}")


def returns(receiver: Receiver) -> Blueprint:
    """Return the route that a payer's browser is sent to after the hosted page."""
    blueprint = Blueprint("returns", __name__)

    @blueprint.route(RETURN_PATH, methods=["GET", "POST"])
    def come_back() -> Response:
        return _come_back(receiver)

    return blueprint


def decode_form(raw: bytes) -> list[Field]:
    """Return every pair of a form or query, in order; bytes that are not UTF-8 survive as surrogates.

    Raises:
        ValueError: It has more members than any return.
    """
    text = raw.decode("utf-8", "surrogateescape")
    return parse_qsl(text, keep_blank_values=True, errors="surrogateescape", max_num_fields=MAX_FIELDS)


def _come_back(receiver: Receiver) -> Response:
    try:
        fields = decode_form(request.query_string if request.method == "GET" else read_body())
    except ValueError:
        return _refuse("malformed", 400)
    references = [value for name, value in fields if name == "tranRef"]
    if len(references) != 1 or not _TRAN_REF.fullmatch(references[0]):
        return _refuse("malformed", 400)
    if not _is_signed(fields, receiver.keys):
        FAILED_SIGNATURES.labels(channel="return", reason="mismatch").inc()
        return _refuse_unsigned(receiver)
    carts = [value for name, value in fields if name == "cartId" and value]
    known = receiver.returned(references[0], carts[0] if len(carts) == 1 else None)
    correlation_id = known.correlation_id if known else new_correlation_id()
    handed_over = hand_over(VERIFY_TASK, receiver.request_verify, references[0], correlation_id)
    about = {"payment_id": known.payment_id} if known else {}
    log.info("payer_returned", tran_ref=references[0], handed_over=handed_over, correlation_id=correlation_id, **about)
    BROWSER_RETURNS.labels(result="accepted").inc()
    return _lead_on(fields, known, receiver.allowed_urls)


def _is_signed(fields: Sequence[Field], keys: Sequence[str]) -> bool:
    if verify_return(fields, keys):
        return True
    foreign = {name for name, _ in fields} - RETURN_FIELDS if request.method == "GET" else set()
    return bool(foreign) and verify_return(fields, keys, ignore=foreign)


def _refuse_unsigned(receiver: Receiver) -> Response:
    wait_seconds = receiver.budget.spend()
    if wait_seconds is None:
        return _refuse("bad_signature", 403)
    response = _refuse("over_budget", 429)
    response.headers["Retry-After"] = str(wait_seconds)
    return response


def _refuse(result: str, http_status: int) -> Response:
    BROWSER_RETURNS.labels(result=result).inc()
    if result != "over_budget":  # counted, and in the access log: a line more for each would be a nuisance's gift
        log.warning("return_refused", reason=result, remote=request.remote_addr)
    return page(
        "This link cannot be used",
        "Your payment is not affected. Go back to the shop to see how it stands.",
        http_status,
    )


def _lead_on(fields: Sequence[Field], known: Returned | None, allowed_urls: Sequence[str]) -> Response:
    target = _target(known, allowed_urls)
    if target is None:
        return page("Thank you", "Your payment is being checked. You can close this page.", 200)
    parts = urlsplit(target)
    told = [(PASSED_ON[name], value[:MAX_REFERENCE_LENGTH]) for name, value in fields if name in PASSED_ON and value]
    told = [("payment_id", known.payment_id), *told] if known else told
    passed = urlencode(told, errors="surrogateescape")
    query = "&".join(part for part in (parts.query, passed) if part)
    response = Response(status=303)
    response.location = urlunsplit(parts._replace(query=query))
    # The address that the payer comes from holds an e-mail address.
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def _target(known: Returned | None, allowed_urls: Sequence[str]) -> str | None:
    """Return where a payer is led: to the page's own address, else to one of the list; None when there is none."""
    if known and known.return_url:
        return known.return_url
    wanted = request.args.get("next", "")
    return wanted if wanted in allowed_urls else next(iter(allowed_urls), None)
