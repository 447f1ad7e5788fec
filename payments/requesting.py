"""What is sent to PayTabs for an accepted row: one builder per kind of operation, each with a cart nobody has used."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from payments.cms import CmsReader
from payments.operations import Operation
from payments.payment import Snapshot
from paytabs.invoices import InvoiceRequest
from paytabs.operations import (
    ChargeRequest,
    FollowUpRequest,
    InstalmentInfo,
    ManagedFormRequest,
    PageRequest,
    PartyDetails,
    TokenChargeRequest,
)
from paytabs.texts import cleaned

Document = dict[str, Any]
Request = PageRequest | ChargeRequest | FollowUpRequest | InvoiceRequest

#: PayTabs takes at most this many characters of description.
MAX_DESCRIPTION = 128

#: The format of a token unless the caller asks for another one.
DEFAULT_FORMAT = 2

#: Follow-ups act upon a transaction; everything else begins an attempt.
FOLLOW_UP_KINDS = frozenset({"capture", "void", "release", "refund"})

#: What opens a page, or an invoice that leads to one: unmade it costs nothing.
PAGE_KINDS = frozenset({"create_page", "create_invoice"})

#: Charges without a page: money may move while the call is under way.
CHARGE_KINDS = frozenset({"charge_token", "charge_card", "managed_form"})


def build_request(
    row: Operation, cart_id: str, cms: CmsReader, terms: Snapshot | None, token: str | None = None
) -> Request:
    """Build the request for an accepted row, with the people on the payment where PayTabs asks for them.

    Args:
        row: the accepted operation.
        cart_id: a cart nobody has used.
        cms: where the people are.
        terms: whose payment it is, as it stood when it was taken over.
        token: the stored card that is charged, where the row has only its id.

    Raises:
        InvalidRequest: a parameter cannot be sent; names it.
    """
    cart = {
        "cart_id": cart_id,
        "cart_description": cleaned(row.params.get("title") or "", MAX_DESCRIPTION) or f"Payment {row.payment_id}",
        "cart_currency": row.params["currency"],
        "cart_amount": row.params["amount"],
        "callback": row.params.get("callback_url"),
    }
    if row.kind in FOLLOW_UP_KINDS:
        return FollowUpRequest(**cart, tran_type=row.params["transaction"], tran_ref=row.params["on"])
    customer, shipping = cms.parties(terms.client_id, terms.contract_id) if terms else ({}, {})
    payer = {
        "tran_type": row.params["transaction"],
        "return_url": row.params.get("return_url"),
        "customer_details": PartyDetails(**customer) if customer else None,
        "shipping_details": PartyDetails(**shipping) if shipping else None,
    }
    params = row.params if token is None else row.params | {"secret": token}
    return _BUILDERS[row.kind](params, cart | payer)


def _page(params: Document, common: Document) -> Request:
    return PageRequest(
        **common,
        paypage_lang=params["language"],
        payment_methods=tuple(params["methods"]),
        tokenise=None if params.get("agreement") else params.get("tokenise"),
        token_info=_agreed(params),
        paypage_ttl=params.get("paypage_ttl"),
    )


def _agreed(params: Document) -> Document | None:
    """Return the agreement that a page makes; its payment is the first of those that are counted."""
    agreed = params.get("agreement")
    if agreed is None:
        return None
    counter = {} if params["transaction"] == "register" else {"counter": 1}
    return {"tokenise": params.get("tokenise") or DEFAULT_FORMAT, **counter, **agreed}


def _card(params: Document, common: Document) -> Request:
    """Charge a stored card; an instalment of an agreement says which one it is."""
    if params.get("counter") is None:
        return _token(params, common)
    info = InstalmentInfo(
        token=params["secret"], counter=params["counter"], tran_ref=params["origin"], **params["instalment"]
    )
    return TokenChargeRequest(**common, tran_class="recurring", token_info=info)


def _token(params: Document, common: Document) -> Request:
    tran_class = "ecom" if params["payer_present"] else "recurring"
    return TokenChargeRequest(**common, tran_class=tran_class, token=params["secret"], tran_ref=params.get("origin"))


def _form(params: Document, common: Document) -> Request:
    return ManagedFormRequest(**common, payment_token=params["secret"], tokenise=params.get("tokenise"))


def _invoice(params: Document, common: Document) -> Request:
    return InvoiceRequest(**common, invoice=params["invoice"], paypage_ttl=params.get("paypage_ttl"))


_BUILDERS: Mapping[str, Callable[[Document, Document], Request]] = MappingProxyType(
    {
        "create_page": _page,
        "charge_token": _token,
        "charge_card": _card,
        "managed_form": _form,
        "create_invoice": _invoice,
    }
)
