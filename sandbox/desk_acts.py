"""The two acts of the desk that need more than a line: paying without a browser, and sending a notice at will."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sandbox.cards import CARDS, CardEntry, TestCard, find_card, usual_entry
from sandbox.comeback import comeback
from sandbox.errors import CardFieldError, DeskRefusal, GatewayRefusal
from sandbox.methods import METHODS, Method
from sandbox.offers import read_donation
from sandbox.pages import Page
from sandbox.signing import sign_body
from sandbox.transactions import Transaction
from sandbox.world import World

#: The members of a notice that live inside `payment_result`.
RESULT_MEMBERS = ("response_status", "response_code", "response_message", "transaction_time")


#: One of the models below.
Order = TypeVar("Order", bound=BaseModel)


class PayOrder(BaseModel):
    """What `/sandbox/pay` takes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tran_ref: str | None = None
    invoice_id: int | None = None
    card: str | None = None
    method: str | None = None
    three_ds: str = Field("approve", pattern="^(approve|fail|leave)$")
    save_card: bool = True
    amount: int | Decimal | str | None = None
    cancel: bool = False


class NotifyOrder(BaseModel):
    """What `/sandbox/notify` takes besides the members of the notice it overrides."""

    model_config = ConfigDict(frozen=True, extra="allow")

    tran_ref: str
    as_tran_ref: str | None = None
    channel: str = Field("callback", pattern="^(callback|ipn)$")
    url: str | None = None
    omit: list[str] = Field(default_factory=list)
    body: str | None = None
    sign_with: str | None = None
    signature: str | None = None


def pay(world: World, members: Mapping[str, Any]) -> dict[str, Any]:
    """Press a button of the hosted page.

    Args:
        world: The sandbox.
        members: `tran_ref` or `invoice_id`; `card` (name or number; by default the page's own, or `authorised`);
            `method` (another than a card); `three_ds` (`approve`, `fail`, or `leave` to stop there, at the bank's
            step or the method); `save_card` (true; what the payer ticks where the page asks); `amount` (what the payer
            gives, in donation mode); `cancel`.

    Returns:
        The result, and under `return` how the payer's browser would come back (signed).

    Raises:
        DeskRefusal: Unknown card or transaction, or a page that has its result.
    """
    order = read_order(PayOrder, members)
    page = world.pages.of(_page_ref(world, order))
    done = _press(world, page, order)
    if done is None:
        return {"tran_ref": page.tran_ref, "status": None, "return": None}
    return {
        "tran_ref": done.tran_ref,
        "tran_type": done.tran_type,
        "status": done.status,
        "code": done.code,
        "message": done.message,
        "return": comeback(world, done),
    }


def _press(world: World, page: Page, order: PayOrder) -> Transaction | None:
    checkout, approved = world.checkout, order.three_ds == "approve"
    if order.cancel:
        return checkout.cancel(page)
    if order.method is not None:
        done = checkout.choose_method(page, _method(order.method))
        return done if done or order.three_ds == "leave" else checkout.answer_method(page, approved=approved)
    if page.awaiting_three_ds is not None and order.card is None:
        return None if order.three_ds == "leave" else checkout.answer_three_ds(page, approved=approved)
    amount = _amount(world, page, order)
    done = checkout.enter_card(page, _entry(page, order.card), keeps_card=order.save_card, amount=amount)
    return done if done or order.three_ds == "leave" else checkout.answer_three_ds(page, approved=approved)


def _amount(world: World, page: Page, order: PayOrder) -> Decimal | None:
    try:
        return read_donation(world.ledger.get(page.tran_ref).request, order.amount)
    except CardFieldError:
        raise DeskRefusal(f"amount: {order.amount} is not within what the page takes") from None


def _method(name: str) -> Method:
    if name not in METHODS:
        raise DeskRefusal(f"method: one of {', '.join(METHODS)} was expected, not {name!r}")
    return METHODS[name]


def _page_ref(world: World, order: PayOrder) -> str:
    if (order.tran_ref is None) == (order.invoice_id is None):
        raise DeskRefusal("either tran_ref or invoice_id was expected")
    if order.tran_ref is not None:
        return order.tran_ref
    try:
        return world.invoices.page_of(world.invoices.get(order.invoice_id))
    except GatewayRefusal as refusal:
        raise DeskRefusal(f"invoice_id: {refusal.message}", 404) from None


def _entry(page: Page, wanted: str | None) -> CardEntry:
    if wanted is None:
        return page.entry or usual_entry(CARDS[0])
    card = find_test_card(wanted)
    if page.entry is not None and page.entry.card != card:
        raise DeskRefusal(f"card: the page takes {page.entry.card.name} only", 409)
    return page.entry or usual_entry(card)


def find_test_card(wanted: object) -> TestCard:
    """Find a test card.

    Raises:
        DeskRefusal: When there is none of that name or number.
    """
    card = find_card(wanted) if isinstance(wanted, str) else None
    if card is None:
        raise DeskRefusal(f"card: a test card's name or number was expected, not {wanted!r}")
    return card


def notify(world: World, members: Mapping[str, Any]) -> dict[str, Any]:
    """Deliver one notice about a transaction, once, and wait for the answer.

    Args:
        world: The sandbox.
        members: `tran_ref`, and optionally: any member of the notice with the value it shall have (those of
            `payment_result` by their own names); `omit`, names of members to leave out; `as_tran_ref`, another
            reference to speak of; `channel` and `url`; `body`, the exact text instead of all that; `sign_with`,
            another key; `signature`, the exact header.

    Returns:
        The delivery's log entry; `status` is what the receiver answered.

    Raises:
        DeskRefusal: Unknown transaction, or no address to send it to.
    """
    order = read_order(NotifyOrder, members)
    transaction = world.ledger.get(order.tran_ref)
    ipn_url = world.switches.now.ipn_url
    url = order.url or (ipn_url if order.channel == "ipn" else world.announcer.callback_of(transaction))
    if not url:
        raise DeskRefusal(f"{order.tran_ref} has no {order.channel} address; give url", 409)
    notice = world.announcer.cut(
        order.tran_ref, order.channel, url, _altered(world.announcer.members(transaction), order)
    )
    if order.body is not None:
        notice = replace(notice, body=order.body.encode())
    signature = order.signature
    if signature is None:
        signature = sign_body(notice.body, order.sign_with or world.switches.now.notice_key or world.profile.server_key)
    return world.courier.deliver(replace(notice, signature=signature))


def _altered(members: dict[str, Any], order: NotifyOrder) -> dict[str, Any]:
    changes = dict(order.model_extra or {})
    result = members["payment_result"] | {name: changes.pop(name) for name in RESULT_MEMBERS if name in changes}
    changed = members | {"payment_result": result} | changes
    if order.as_tran_ref is not None:
        changed["tran_ref"] = order.as_tran_ref
    return {name: value for name, value in changed.items() if name not in order.omit}


def read_order(model: type[Order], members: Mapping[str, Any]) -> Order:
    """Read what an act of the desk takes.

    Raises:
        DeskRefusal: Naming what does not fit.
    """
    try:
        return model.model_validate(members)
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise DeskRefusal("; ".join(faults)) from None
