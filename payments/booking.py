"""What an answer to a send means for the operation's row and for the payment: one of five outcomes.

An answer whose own terms cannot be taken is a case besides: a page is given up, since nobody holds its link; whatever
may have moved money is still found out by query.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from payments import facts
from payments.facts import Fact
from payments.ladder import next_step, next_try
from payments.observing import observations
from payments.operations import Operation, Status
from payments.reason_kinds import members, words
from payments.reasons import Reason, ReasonCode
from payments.requesting import FOLLOW_UP_KINDS, PAGE_KINDS
from paytabs.resilience import BackoffPolicy
from paytabs.responses import Answer, Outcome, Transaction

#: What stands in a row whose request was refused for a key that is in doubt.
KEY_IN_DOUBT = "key_in_doubt"

#: What stands there once a question was answered after such a refusal: the key was mended meanwhile, or it is not the
#: key. The next send tells.
REFUSED_ONCE = "refused_once"

#: A request that was refused for its key is made again no sooner.
KEY_WAIT = timedelta(seconds=5)


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
    if answer.outcome is Outcome.DID_NOT_HAPPEN and answer.error_code is not None and not answer.key_in_doubt:
        return refused(row, cart_id, answer, now)
    if answer.outcome is Outcome.DID_NOT_HAPPEN:
        again = _waiting_for_key(row, now, policy) if answer.key_in_doubt else _again(row, answer, now, policy)
        return Booking(again, (facts.AttemptNotSent(**name, detail=answer.detail),))
    seen = answer.transaction
    if answer.invoice_id is not None and answer.outcome is Outcome.SUCCEEDED:
        result = {"tran_ref": None, "redirect_url": answer.invoice_link, "invoice_id": answer.invoice_id}
        return Booking(_waiting(result, now), (facts.InvoiceOpened(**name, invoice_id=answer.invoice_id),))
    if answer.not_taken is not None and row.kind in PAGE_KINDS:
        return _given_up(row, cart_id, answer, now)
    if answer.outcome is Outcome.UNKNOWN or seen is None:
        return _unknown(row, cart_id, answer, now)
    result = {"tran_ref": seen.tran_ref, "redirect_url": seen.redirect_url}
    opened = (facts.PageOpened(**name, tran_ref=seen.tran_ref),) if _is_attempt(row, seen) else ()
    return Booking(_waiting(result, now), (*opened, *_said(row, cart_id, answer)))


def refused(row: Operation, cart_id: str, answer: Answer, now: datetime) -> Booking:
    """Return how a request ends that PayTabs refused; its sentence stays for operators."""
    code = answer.error_code or 0
    error = f"PayTabs refused the request with code {code}: {answer.message}"
    if answer.trace:
        error += f" (trace {answer.trace})"
    refusal = facts.AttemptRefused(
        operation_id=row.operation_id, cart_id=cart_id, code=code, detail=answer.detail, message=answer.message,
        trace=answer.trace,
    )  # fmt: skip
    return Booking(closed(Status.REFUSED, error, row, now), (refusal,))


def _waiting(result: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Return how a row waits of which PayTabs knows."""
    asked = {"due_at": next_step(now, now), "poll_from": now}
    return {"status": Status.PENDING, "result": result, "error": None, **asked}


def _unknown(row: Operation, cart_id: str, answer: Answer, now: datetime) -> Booking:
    """Return how a row waits of which nobody knows whether PayTabs executed it."""
    due_at = next_try(next_step(now, now), now)
    waiting: dict[str, Any] = {"status": Status.UNKNOWN, "due_at": due_at, "error": answer.detail}
    unknown = facts.OutcomeUnknown(
        operation_id=row.operation_id, cart_id=cart_id, detail=answer.detail, code=answer.error_code,
        message=answer.message if answer.error_code else None, trace=answer.trace if answer.error_code else None,
    )  # fmt: skip
    cases = (_case(row, cart_id, answer),) if answer.not_taken is not None else ()
    return Booking(waiting, (unknown, *_said(row, cart_id, answer), *cases))


def _given_up(row: Operation, cart_id: str, answer: Answer, now: datetime) -> Booking:
    """Return how a page ends whose answer cannot be taken: nobody has its link, and its cart is watched."""
    error = words(_reason(cart_id, answer))
    changes = {
        "status": Status.FAILED, "open": False, "due_at": next_step(now, now), "poll_from": now, "error": error,
        f"sends.{len(row.sends)}.retired_at": now,
    }  # fmt: skip
    retired = facts.CartRetired(operation_id=row.operation_id, cart_id=cart_id, reason=ReasonCode.ANSWER_NOT_TAKEN)
    return Booking(changes, (retired, _case(row, cart_id, answer)))


def _case(row: Operation, cart_id: str, answer: Answer) -> facts.ReviewRaised:
    """Return the case of an answer that cannot be taken; nothing of what it said is repeated."""
    evidence = f"{row.kind} {row.operation_id}, trace {answer.trace}"
    return facts.ReviewRaised(**members(_reason(cart_id, answer)), evidence=evidence)


def _reason(cart_id: str, answer: Answer) -> Reason:
    return Reason(ReasonCode.ANSWER_NOT_TAKEN, cart_id, (str(answer.not_taken),))


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
    return _to_be_sent(row, now + timedelta(seconds=delay), answer.detail)


def _waiting_for_key(row: Operation, now: datetime, policy: BackoffPolicy) -> dict[str, Any]:
    """Return how a send waits that was refused for its key: as one that was parked, without an attempt spent."""
    wait = KEY_WAIT + timedelta(seconds=policy.delay(len(row.sends) + 1))
    return _to_be_sent(row, now + wait, KEY_IN_DOUBT) | {"attempts": row.attempts}


def _to_be_sent(row: Operation, due_at: datetime, why: str) -> dict[str, Any]:
    secret = {"params.secret": row.params["secret"]} if "secret" in row.params else {}
    return {"status": Status.NEW, "due_at": due_at, "error": why, **secret}
