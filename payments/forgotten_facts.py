"""Taking forgotten sends over: what PayTabs has under their carts becomes facts, and their rows stand as after a send.

What is not what its operation asks for becomes a case, and the operation ends unsent: its money is in the history all
the same, as that of nobody's attempt.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from payments import facts
from payments.accepting import PageTerms, new_row
from payments.booking import closed
from payments.card_keeping import with_cards
from payments.events import Context
from payments.forgotten_match import differing, roots
from payments.ladder import next_step
from payments.observing import observe
from payments.operations import Operation, OperationsLedger, Send, Status, page_member
from payments.page_times import end_of
from payments.reason_kinds import members, words
from payments.reasons import Reason, ReasonCode
from payments.requesting import PAGE_KINDS
from payments.starting import started
from payments.store import Change
from paytabs.responses import Transaction

#: Why nobody knew of a send that is taken over: what stands in its facts, and where they come from.
FORGOTTEN, SOURCE = "forgotten_by_restore", "restore"


@dataclass(frozen=True)
class FoundSend:
    """A send that our ledger has forgotten.

    Attributes:
        operation_id: Whose.
        row: Its row, where there is one.
        cart_id: The cart that it went out under.
        until: When it was made at the latest.
        seen: What PayTabs has under the cart.
    """

    operation_id: str
    row: Operation | None
    cart_id: str
    until: datetime
    seen: tuple[Transaction, ...]


def take_over(ledger: OperationsLedger, change: Change, row: Operation, found: Sequence[FoundSend]) -> None:
    """Record forgotten sends of a row that was not sent since, and let it stand as after them."""
    stored = ledger.get(row.operation_id, change.session)
    if stored is None or stored.status is not Status.NEW or len(stored.sends) != len(row.sends):
        return
    seen = [one for send in found for one in send.seen]
    differs = differing(row, seen)
    if differs is not None:
        _refuse(ledger, change, row, *differs)
    else:
        for send in found:
            change.record(started(row, send.cart_id), *_unanswered(row, send))
        sends = [Send(one.cart_id, one.until, change.now) for one in found]
        sends[-1] = replace(sends[-1], retired_at=None)
        ledger.take_over(row, sends, _standing(row, found[-1], change.now), change.session)
    change.record(*with_cards(change, [observe(one) for one in seen if one.response_status], seen))


def take_over_other(ledger: OperationsLedger, change: Change, send: FoundSend) -> None:
    """Record a forgotten send of another operation of the payment; its row stays closed, and is watched.

    A page that nobody asked for by an id of his own gets the row that it had. Of an operation of which nothing but the
    id is known, only what PayTabs has is recorded: it is a case until its caller asks for it again.
    """
    row = send.row or _page_row(change, send)
    if row is not None:
        first = next_step(change.now, change.now)
        change.record(started(row, send.cart_id), *_unanswered(row, send))
        watched = Send(send.cart_id, send.until, None if send.row is None else change.now)
        if send.row is None:
            stands = replace(row, status=Status.PENDING, open=False, due_at=first, sends=(watched,))
            ledger.accept(stands, change.session)
        else:
            looked_at = {"due_at": first, "poll_from": change.now}
            ledger.take_over(row, [watched], looked_at, change.session)
    found = [observe(one) for one in send.seen if one.response_status]
    change.record(*with_cards(change, found, send.seen))


def _unanswered(row: Operation, send: FoundSend) -> list[facts.Fact]:
    """Return what is known of a send's answer: a page that leads somewhere, or nothing."""
    name, cart_id = row.operation_id, send.cart_id
    unknown = facts.OutcomeUnknown(operation_id=name, cart_id=cart_id, detail=FORGOTTEN)
    if row.kind != "create_page" or not send.seen:
        return [unknown]
    tran_ref = roots(send.seen)[0].tran_ref
    return [unknown, facts.PageOpened(operation_id=name, cart_id=cart_id, tran_ref=tran_ref)]


def _standing(row: Operation, send: FoundSend, now: datetime) -> dict[str, Any]:
    """Return how a row stands whose send was found; what became of it follows from the facts."""
    looked_at = {"due_at": next_step(now, now), "poll_from": now, "updated_at": now, "error": None}
    awaited = any(one.response_status in ("P", None) for one in roots(send.seen))
    if row.kind not in PAGE_KINDS or not awaited:
        return {"status": Status.UNKNOWN, **looked_at}
    page = page_member(send.cart_id, end_of(row.kind, row.params, send.until))
    result = {"tran_ref": roots(send.seen)[0].tran_ref, "redirect_url": None}
    return {"status": Status.PENDING, "page": page, "result": result, **looked_at}


def _refuse(ledger: OperationsLedger, change: Change, row: Operation, seen: Transaction, what: str) -> None:
    """End a row unsent whose id stands for something else at PayTabs."""
    reason = Reason(ReasonCode.FORGOTTEN_DIFFERS, seen.tran_ref, (row.operation_id, what))
    evidence = f"{row.kind} {row.operation_id} asks for {row.params['amount']} {row.params['currency']}"
    change.record(facts.ReviewRaised(**members(reason), evidence=evidence))
    ended = closed(Status.REFUSED, f"not sent: {words(reason)}", row, change.now)
    ledger.withdraw(row, ended, change.now, change.session)


def _page_row(change: Change, send: FoundSend) -> Operation | None:
    """Return the row of a page whose id we had given it ourselves."""
    terms = change.payment.snapshot
    if terms is None or not send.operation_id.startswith(f"page-{change.payment_id}-"):
        return None
    kinds = [one.tran_type for one in roots(send.seen) if one.tran_type in ("sale", "auth", "register")]
    asked = PageTerms().to_document()
    money = {"amount": str(terms.amount), "currency": terms.currency, "title": None}
    params = asked | money | {"transaction": min(kinds, default="sale"), "asked": asked}
    context = Context(correlation_id=send.cart_id, source=SOURCE)
    payment_id = change.payment_id
    return new_row(send.operation_id, payment_id, kind="create_page", params=params, context=context, now=change.now)
