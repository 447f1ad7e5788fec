"""Sending one accepted operation, at most once per cart, and booking whatever came of it.

The row and the fact that a send begins are committed before the call; just before the socket write the client checks
a monotonic deadline taken before that commit. What came back is one of five outcomes; only what provably did not
happen is ever sent again, and then under a fresh cart.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from payments import facts
from payments.cms import CmsReader
from payments.errors import NotYet
from payments.events import Context
from payments.ladder import next_step
from payments.observing import observations
from payments.operations import Operation, OperationsLedger, Status, new_cart_id
from payments.payment import CONFIRMED, Snapshot
from payments.projections import RaiseAlert
from payments.store import Change, Clock, PaymentStore
from paytabs.errors import LISTED_CODES, InvalidRequest
from paytabs.operations import PageRequest, PartyDetails
from paytabs.resilience import PARKED_WORK, BackoffPolicy
from paytabs.responses import Answer, Outcome

#: PayTabs takes at most this many characters of description.
MAX_DESCRIPTION = 128


class Gateway(Protocol):
    """The calls the life of a payment makes; `paytabs.client.PayTabsClient` is the real one."""

    def request_page(self, request: PageRequest, *, not_after: float | None, correlation_id: str | None) -> Answer:
        """Ask for a hosted page; nothing is written to the socket after `not_after` (monotonic seconds)."""

    def query_tran(self, tran_ref: str, *, correlation_id: str | None = None) -> Answer:
        """Ask what became of a transaction."""

    def query_cart(self, cart_id: str, *, correlation_id: str | None = None) -> Answer:
        """Ask which transactions a cart has."""


@dataclass(frozen=True)
class Senders:
    """What sending needs; `fence_seconds` is how long after `sending` was committed a write may still begin."""

    store: PaymentStore
    ledger: OperationsLedger
    gateway: Gateway
    cms: CmsReader
    clock: Clock
    alert: RaiseAlert
    owner: str
    fence_seconds: float
    policy: BackoffPolicy = PARKED_WORK
    monotonic: Callable[[], float] = time.monotonic


class Sender:
    """Sends operations."""

    def __init__(self, parts: Senders) -> None:
        """Keep what sending needs."""
        self._parts = parts

    def send(self, operation_id: str, context: Context) -> Operation:
        """Send an operation that is `new`, and book the outcome.

        Returns:
            The row afterwards, whatever it has become; closed unsent when the payment has been paid meanwhile.

        Raises:
            NotYet: another worker is sending it.
        """
        parts = self._parts
        row = parts.ledger.get(operation_id)
        if row is None or row.status is not Status.NEW:
            raise NotYet(row.payment_id if row else operation_id, 1.0, "in_flight")
        cart_id = new_cart_id()
        try:
            request = build_page(row, cart_id, parts.cms, parts.store.payment(row.payment_id).snapshot)
        except InvalidRequest as error:
            return self._unsendable(row, str(error), context)
        not_after = parts.monotonic() + parts.fence_seconds
        if not parts.store.change(row.payment_id, context, lambda change: self._start(change, row, cart_id)):
            return self._not_started(row)
        answer = parts.gateway.request_page(request, not_after=not_after, correlation_id=context.correlation_id)
        parts.store.change(row.payment_id, context, lambda change: self._book(change, row, cart_id, answer))
        self._alert_on_fault(answer, row)
        sent = parts.ledger.get(operation_id) or row
        if sent.status is Status.FAILED:
            parts.alert("operation_given_up", operation_id, f"never sent: {sent.error}")
        return sent

    def _unsendable(self, row: Operation, mistake: str, context: Context) -> Operation:
        """Close what the CMS's later edits have made impossible to send: trying again cannot help."""
        parts = self._parts

        def work(change: Change) -> None:
            closed = _closed(Status.REFUSED, f"not sent: {mistake}", row, change.now)
            parts.ledger.withdraw(row, closed, change.now, change.session)

        parts.store.change(row.payment_id, context, work)
        parts.alert("operation_given_up", row.operation_id, f"cannot be sent: {mistake}")
        return parts.ledger.get(row.operation_id) or row

    def _not_started(self, row: Operation) -> Operation:
        stored = self._parts.ledger.get(row.operation_id)
        if stored is None or stored.open:
            raise NotYet(row.payment_id, 1.0, "in_flight")
        return stored

    def _start(self, change: Change, row: Operation, cart_id: str) -> bool:
        state = change.before.base_state
        if state in CONFIRMED:
            # An earlier attempt succeeded late, after this one was accepted: asking again could charge twice.
            closed = _closed(Status.REFUSED, f"not sent: the payment is {state}", row, change.now)
            self._parts.ledger.withdraw(row, closed, change.now, change.session)
            return False
        if not self._parts.ledger.start(row, cart_id, self._parts.owner, change.now, change.session):
            return False
        change.record(
            facts.AttemptStarted(
                operation_id=row.operation_id,
                cart_id=cart_id,
                transaction=row.params["transaction"],
                amount=row.params["amount"],
                currency=row.params["currency"],
            )
        )
        return True

    def _book(self, change: Change, row: Operation, cart_id: str, answer: Answer) -> None:
        changes, happened = self._outcome(row, cart_id, answer, change.now)
        self._parts.ledger.settle(row, cart_id, change.now, changes, change.session)
        change.record(*happened, *observations(answer))

    def _outcome(
        self, row: Operation, cart_id: str, answer: Answer, now: datetime
    ) -> tuple[dict[str, Any], list[facts.Fact]]:
        """Return what to write into the row and which fact to record, for one of the five outcomes."""
        name = {"operation_id": row.operation_id, "cart_id": cart_id}
        if answer.outcome is Outcome.DID_NOT_HAPPEN and answer.error_code is not None:
            error = f"PayTabs refused the request with code {answer.error_code}: {answer.message}"
            closed = _closed(Status.REFUSED, error, row, now)
            return closed, [facts.AttemptRefused(**name, code=answer.error_code, detail=answer.detail)]
        if answer.outcome is Outcome.DID_NOT_HAPPEN:
            return self._again(row, answer, now), [facts.AttemptNotSent(**name, detail=answer.detail)]
        if answer.outcome is Outcome.UNKNOWN or answer.transaction is None:
            waiting = {"status": Status.UNKNOWN, "due_at": next_step(now, now), "error": answer.detail}
            return waiting, [facts.OutcomeUnknown(**name, detail=answer.detail)]
        seen = answer.transaction
        result = {"tran_ref": seen.tran_ref, "redirect_url": seen.redirect_url}
        pending = {"status": Status.PENDING, "due_at": next_step(now, now), "result": result, "poll_from": now}
        pending["error"] = None
        return pending, [facts.PageOpened(**name, tran_ref=seen.tran_ref)]

    def _again(self, row: Operation, answer: Answer, now: datetime) -> dict[str, Any]:
        """Return how a send that did not happen waits for the next one, or gives up after its horizon."""
        attempt = row.attempts + 1
        if not self._parts.policy.allows(attempt, (now - row.created_at).total_seconds()):
            return _closed(Status.FAILED, answer.detail, row, now)
        delay = max(self._parts.policy.delay(attempt), answer.retry_after_seconds or 0.0)
        return {"status": Status.NEW, "due_at": now + timedelta(seconds=delay), "error": answer.detail}

    def _alert_on_fault(self, answer: Answer, row: Operation) -> None:
        known = LISTED_CODES.get(answer.error_code or 0)
        if known and known.configuration_fault:
            self._parts.alert("gateway_configuration", str(known.code), f"{known.meaning} ({row.operation_id})")


def _closed(status: Status, error: str, row: Operation, now: datetime) -> dict[str, Any]:
    """Return how a row ends that made no page; carts that were given up before stay watched."""
    due_at = next_step(now, now) if row.retired_carts else None
    return {"status": status, "open": False, "due_at": due_at, "error": error}


def build_page(row: Operation, cart_id: str, cms: CmsReader, terms: Snapshot | None) -> PageRequest:
    """Build the request for a hosted page from an accepted row and the people on the payment.

    Args:
        row: the accepted operation.
        cart_id: a cart nobody has used.
        cms: where the people are.
        terms: whose payment it is, as it stood when it was taken over.

    Raises:
        InvalidRequest: a parameter cannot be sent; names it.
    """
    customer, shipping = cms.parties(terms.client_id, terms.contract_id) if terms else ({}, {})
    params = row.params
    return PageRequest(
        cart_id=cart_id,
        cart_description=(params.get("title") or f"Payment {row.payment_id}")[:MAX_DESCRIPTION],
        cart_currency=params["currency"],
        cart_amount=params["amount"],
        tran_type=params["transaction"],
        callback=params.get("callback_url"),
        return_url=params.get("return_url"),
        paypage_lang=params["language"],
        payment_methods=tuple(params["methods"]),
        tokenise=params.get("tokenise"),
        customer_details=PartyDetails(**customer) if customer else None,
        shipping_details=PartyDetails(**shipping) if shipping else None,
    )
