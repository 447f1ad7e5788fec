"""What an answer to a send means for the operation's row and for the payment: one of five outcomes."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from payments import facts
from payments.facts import Fact
from payments.ladder import next_step, next_try
from payments.observing import observations
from payments.operations import Operation, Status
from payments.requesting import FOLLOW_UP_KINDS
from paytabs.resilience import BackoffPolicy
from paytabs.responses import Answer, Outcome, Transaction


@dataclass(frozen=True)
class Booking:
    """What is written into the row, and the facts that are recorded."""

    changes: dict[str, Any]
    facts: tuple[Fact, ...]


def book(row: Operation, cart_id: str, answer: Answer, now: datetime, policy: BackoffPolicy) -> Booking:
    """Return what an answer to a send comes to.

    Args:
        row: the operation as it was sent, its secret included.
        cart_id: the cart of this send.
        answer: what PayTabs or the network said.
        now: aware UTC.
        policy: how long what did not happen waits.
    """
    name = {"operation_id": row.operation_id, "cart_id": cart_id}
    if answer.outcome is Outcome.DID_NOT_HAPPEN and answer.error_code is not None:
        error = f"PayTabs refused the request with code {answer.error_code}: {answer.message}"
        refused = facts.AttemptRefused(**name, code=answer.error_code, detail=answer.detail)
        return Booking(closed(Status.REFUSED, error, row, now), (refused,))
    if answer.outcome is Outcome.DID_NOT_HAPPEN:
        return Booking(_again(row, answer, now, policy), (facts.AttemptNotSent(**name, detail=answer.detail),))
    seen = answer.transaction
    if answer.invoice_id is not None and answer.outcome is Outcome.SUCCEEDED:
        result = {"tran_ref": None, "redirect_url": answer.invoice_link, "invoice_id": answer.invoice_id}
        return Booking(_waiting(result, now), (facts.InvoiceOpened(**name, invoice_id=answer.invoice_id),))
    if answer.outcome is Outcome.UNKNOWN or seen is None:
        waiting = {"status": Status.UNKNOWN, "due_at": next_try(next_step(now, now), now), "error": answer.detail}
        return Booking(
            waiting,
            (facts.OutcomeUnknown(**name, detail=answer.detail, code=answer.error_code), *_said(row, cart_id, answer)),
        )
    result = {"tran_ref": seen.tran_ref, "redirect_url": seen.redirect_url}
    opened = (facts.PageOpened(**name, tran_ref=seen.tran_ref),) if _is_attempt(row, seen) else ()
    return Booking(_waiting(result, now), (*opened, *_said(row, cart_id, answer)))


def _waiting(result: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Return how a row waits of which PayTabs knows."""
    asked = {"due_at": next_step(now, now), "poll_from": now}
    return {"status": Status.PENDING, "result": result, "error": None, **asked}


def closed(status: Status, error: str, row: Operation, now: datetime) -> dict[str, Any]:
    """Return how a row ends of which nothing came; carts that were given up before stay watched."""
    due_at = next_step(now, now) if row.retired_carts else None
    return {"status": status, "open": False, "due_at": due_at, "error": error}


def _is_attempt(row: Operation, seen: Transaction) -> bool:
    """Return whether an answer names the transaction that the payer will finish; a finished one is found by its cart.

    A charge that was completed at once may name the origin of its token: it is ours by its cart alone.
    """
    return row.kind not in FOLLOW_UP_KINDS and (seen.redirect_url is not None or row.kind == "create_page")


def _said(row: Operation, cart_id: str, answer: Answer) -> list[Fact]:
    """Return what an answer says of transactions; what it leaves out of our own request is known."""
    told = (replace(one, cart_id=one.cart_id or cart_id) for one in observations(answer))
    on = row.params["on"] if row.kind in FOLLOW_UP_KINDS else None
    return [replace(one, previous_tran_ref=one.previous_tran_ref or on) for one in told]


def _again(row: Operation, answer: Answer, now: datetime, policy: BackoffPolicy) -> dict[str, Any]:
    """Return how a send that did not happen waits for the next one, or gives up after its horizon."""
    attempt = row.attempts + 1
    if not policy.allows(attempt, (now - row.created_at).total_seconds()):
        return closed(Status.FAILED, answer.detail, row, now)
    delay = policy.delay(attempt, at_least=answer.retry_after_seconds or 0.0)
    secret = {"params.secret": row.params["secret"]} if "secret" in row.params else {}
    return {"status": Status.NEW, "due_at": now + timedelta(seconds=delay), "error": answer.detail, **secret}
