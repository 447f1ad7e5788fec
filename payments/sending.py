"""Sending one accepted operation, at most once per cart, and booking whatever came of it.

Breaker and limiter come first: whoever is turned away there waits in `due_at` and has spent no attempt. The row and the
fact that a send begins are committed before the call; just before the socket write the client checks
a monotonic deadline taken before that commit. What came back is one of five outcomes; only what provably did not
happen is ever sent again, and then under a fresh cart. What was refused for the key waits like that too, until
questions have told whether it is the key.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from payments.allowance import order
from payments.booking import KEY_IN_DOUBT, REFUSED_ONCE, Booking, book, closed, refused
from payments.card_keeping import told, with_cards
from payments.card_rules import CardRules
from payments.carts import cart_of, payment_in
from payments.cms import CmsReader
from payments.cms_refusals import new_charge_refused
from payments.epochs import Epochs
from payments.errors import InvalidArgument, LedgerBehind, NotYet, Refusal, RowWaits, note_sent
from payments.events import Context
from payments.forgotten import Forgotten
from payments.gateway import Gateway, Permit
from payments.key_doubt import Fault, KeyDoubt, never
from payments.movements import FOLLOW_UPS
from payments.operations import Operation, OperationsLedger, Status, page_member
from payments.page_times import end_of
from payments.payment import CONFIRMED, OPEN
from payments.quoting import quoted
from payments.requesting import FOLLOW_UP_KINDS, Request, build_request
from payments.starting import started
from payments.store import Change, Clock, PaymentStore
from payments.unexplained import Unexplained
from paytabs.breaker_errors import Parked
from paytabs.breaker_verdict import names_wrong_settings
from paytabs.errors import InvalidRequest
from paytabs.fault_points import fault_point
from paytabs.invoices import InvoiceRequest
from paytabs.operations import FollowUpRequest, PageRequest
from paytabs.resilience import PARKED_WORK, BackoffPolicy, spread
from paytabs.responses import Answer, Outcome

#: How long a row waits at least for a process that has the key of its card, and why it does.
KEY_WAIT = timedelta(seconds=60)

#: How long a row waits at least while a copy of the ledger outside is ahead of it: a person has to say what happened.
BEHIND_WAIT = timedelta(seconds=60)

#: Why it does.
BEHIND = "parked: the database was restored"

_MAY_COME = frozenset({Refusal.CARD_KEY_MISSING, Refusal.CARD_UNREADABLE, Refusal.CARD_WAITING})


#: How long a row waits at least while nothing would keep a second operation of its payment out.
GUARD_WAIT = timedelta(seconds=60)


def key_wait() -> float:
    """Draw how long a row waits for the key of its card, in seconds: many wait for one key."""
    return spread(KEY_WAIT.total_seconds())


@contextmanager
def _once_sent() -> Iterator[None]:
    """Have whatever stops a send from here on say that it was sent: it is found out about, and not sent again."""
    try:
        yield
    except BaseException as error:
        note_sent(error)
        raise


def endless() -> float:
    """Leave all the time there is."""
    return math.inf


@dataclass(frozen=True)
class Senders:
    """What sending needs.

    Attributes:
        epochs: Counts every send, and tells when the database has forgotten some.
        forgotten: Asks PayTabs for sends that it has forgotten.
        fence_seconds: How long after `sending` was committed a write may still begin.
        give_up: Tells operators of an operation that has ended unsent, and why.
        call_seconds: How long a call takes at most.
        seconds_left: How long whoever sends may still take.
        key_refused_since: Tells whether PayTabs has refused our key since a moment.
        unexplained: Tells operators of refusals that nobody understands.
    """

    store: PaymentStore
    ledger: OperationsLedger
    epochs: Epochs
    forgotten: Forgotten
    gateway: Gateway
    cms: CmsReader
    cards: CardRules
    clock: Clock
    give_up: Callable[[Operation, str], None]
    unexplained: Unexplained
    owner: str
    fence_seconds: float
    call_seconds: float = 0.0
    seconds_left: Callable[[], float] = endless
    key_refused_since: Callable[[datetime], bool] = never
    policy: BackoffPolicy = PARKED_WORK
    monotonic: Callable[[], float] = time.monotonic


class Sender:
    """Sends operations."""

    def __init__(self, parts: Senders) -> None:
        """Keep what sending needs."""
        self._parts = parts
        self._key_doubt = KeyDoubt(parts.ledger, parts.gateway, parts.key_refused_since)

    def send(self, operation_id: str, context: Context) -> Operation:
        """Send an operation that is `new`, and book the outcome.

        Returns:
            The row afterwards, whatever it has become; closed unsent when the payment has been paid meanwhile.

        Raises:
            RowWaits: another worker is sending it, PayTabs may not be called now, or there is too little time left.
        """
        parts = self._parts
        row = parts.ledger.get(operation_id)
        if row is None or row.status is not Status.NEW:
            raise RowWaits(row.payment_id if row else operation_id, 1.0, "in_flight")
        # Whoever sends it, it is the request of whoever began it that PayTabs receives.
        context = replace(context, correlation_id=row.correlation_id)
        self._require_guard(row)
        row, cart_id = self._cart(row, context)
        if row.status is not Status.NEW:
            return row
        try:
            token = self._token(row)
            request = build_request(row, cart_id, parts.cms, parts.store.payment(row.payment_id).snapshot, token)
        except (InvalidRequest, InvalidArgument) as error:
            return self._unsendable(row, str(error), context)
        try:
            with parts.gateway.passage() as permit:
                sent, answer = self._pass(row, cart_id, request, permit, context)
        except Parked as parked:
            wait = parked.retry_after_seconds
            parts.ledger.reschedule(row, parts.clock() + timedelta(seconds=wait))
            raise RowWaits(row.payment_id, wait, f"parked: {parked.reason}") from parked
        refused_before = row.error == REFUSED_ONCE
        return self._doubted(sent, answer, refused_before, context) if answer and names_wrong_settings(answer) else sent

    def _require_guard(self, row: Operation) -> None:
        """Raise RowWaits while the index is missing without which two operations of a payment could be under way."""
        if not self._parts.ledger.keeps_one_open():
            wait = spread(GUARD_WAIT.total_seconds())
            raise self._put_off(row, wait, "index_missing: one_open")

    def _cart(self, row: Operation, context: Context) -> tuple[Operation, str]:
        """Return the cart of a row's next send, which no send that was forgotten can have had, and the row.

        The row is not `new` any more when a forgotten send of it was found.

        Raises:
            RowWaits: the database was restored: nothing is sent, or it is too early, or PayTabs does not say.
        """
        parts = self._parts
        try:
            epoch = parts.epochs.admit()
        except LedgerBehind:
            raise self._put_off(row, spread(BEHIND_WAIT.total_seconds()), BEHIND) from None
        try:
            row = parts.forgotten.recall(row, epoch, context)
        except NotYet as error:
            raise self._put_off(row, error.delay_seconds, error.reason) from error
        number = len(row.sends) + 1
        profile_id = parts.forgotten.profile_id
        return row, cart_of(profile_id, row.payment_id, row.operation_id, epoch=epoch.number, number=number)

    def _put_off(self, row: Operation, wait_seconds: float, reason: str) -> RowWaits:
        """Have a row looked at again when it may be sent, and return what to raise."""
        self._parts.ledger.reschedule(row, self._parts.clock() + timedelta(seconds=wait_seconds))
        return RowWaits(row.payment_id, wait_seconds, reason)

    def _token(self, row: Operation) -> str | None:
        """Return the token of the stored card that a row charges, if it charges one.

        Raises:
            InvalidArgument: the card may not be charged any more.
            RowWaits: this process has no key; one that has may send the row.
        """
        parts, now = self._parts, self._parts.clock()
        try:
            client = parts.cms.client_of(row.payment_id) if row.params.get("card_id") else None
            return parts.cards.token_for(row, now, client)
        except InvalidArgument as error:
            waited = (now - row.created_at).total_seconds()
            if error.code not in _MAY_COME or not parts.policy.allows(row.attempts + 1, waited):
                raise
            wait = key_wait()
            parts.ledger.reschedule(row, now + timedelta(seconds=wait))
            raise RowWaits(row.payment_id, wait, str(error.code)) from error

    def _pass(
        self, row: Operation, cart_id: str, request: Request, permit: Permit, context: Context
    ) -> tuple[Operation, Answer | None]:
        parts, operation_id = self._parts, row.operation_id
        if parts.seconds_left() < parts.fence_seconds + parts.call_seconds:
            # Broken off on the wire, nobody would know what became of it: the next run has its whole time.
            raise RowWaits(row.payment_id, 0.0, "no_time_left")
        not_after = parts.monotonic() + parts.fence_seconds
        if not parts.store.change(row.payment_id, context, lambda change: self._start(change, row, cart_id)):
            return self._not_started(row), None
        with _once_sent():
            fault_point("after_sending")
            answer = self._call(request, not_after, context)
            answer = replace(answer, message=quoted(answer.message, request.to_members()))
            permit.settle(answer)
            fault_point("before_booking")
            parts.store.change(row.payment_id, context, lambda change: self._book(change, row, cart_id, answer))
            fault_point("after_booking")
        sent = parts.ledger.get(operation_id) or row
        if answer.outcome is Outcome.UNKNOWN and answer.error_code:
            parts.unexplained.tell(sent, answer)
        if sent.status is Status.FAILED and answer.not_taken is None:
            parts.give_up(sent, f"never sent: {sent.error}")
        return sent, answer

    def _doubted(self, sent: Operation, answer: Answer, refused_before: bool, context: Context) -> Operation:
        """Find out whether a send was refused for the key or for itself, and end it if it was for itself.

        That takes two sends, each followed by a question that was answered: between a send and its question a key may
        have been mended, and the first to meet a refused key must not end for it.
        """
        parts = self._parts
        if parts.seconds_left() < parts.call_seconds or not sent.sends:
            return sent
        fault = self._key_doubt.fault(parts.store.payment(sent.payment_id), sent.sends[-1].sent_at, context)
        if answer.key_in_doubt and fault is Fault.REQUEST and not refused_before:
            parts.ledger.note_waiting(sent, REFUSED_ONCE)
            return parts.ledger.get(sent.operation_id) or sent
        if answer.key_in_doubt and fault is not Fault.KEY:
            parts.store.change(sent.payment_id, context, lambda change: self._conclude(change, sent, answer, fault))
            sent = parts.ledger.get(sent.operation_id) or sent
        if sent.status is Status.FAILED:
            parts.give_up(sent, f"never sent: {sent.error}")
        return sent

    def _conclude(self, change: Change, row: Operation, answer: Answer, fault: Fault) -> None:
        """End a row whose request is at fault, or for which nobody could tell for as long as it is worth trying."""
        elapsed = (change.now - row.created_at).total_seconds()
        if fault is Fault.REQUEST:
            booking = refused(row, row.cart_id or "", answer, change.now)
        elif self._parts.policy.allows(len(row.sends), elapsed):
            return
        else:
            booking = Booking(closed(Status.FAILED, KEY_IN_DOUBT, row, change.now), ())
        if self._parts.ledger.end_waiting(row, booking.changes, change.now, change.session):
            change.record(*booking.facts)

    def _unsendable(self, row: Operation, mistake: str, context: Context) -> Operation:
        """Close what the CMS's later edits have made impossible to send: trying again cannot help."""
        parts = self._parts

        def work(change: Change) -> None:
            ended = closed(Status.REFUSED, f"not sent: {mistake}", row, change.now)
            parts.ledger.withdraw(row, ended, change.now, change.session)

        parts.store.change(row.payment_id, context, work)
        ended = parts.ledger.get(row.operation_id) or row
        parts.give_up(ended, f"cannot be sent: {mistake}")
        return ended

    def _not_started(self, row: Operation) -> Operation:
        stored = self._parts.ledger.get(row.operation_id)
        if stored is None or stored.open:
            raise RowWaits(row.payment_id, 1.0, "in_flight")
        return stored

    def _call(self, request: Request, not_after: float, context: Context) -> Answer:
        gateway, correlation_id = self._parts.gateway, context.correlation_id
        if isinstance(request, PageRequest):
            return gateway.request_page(request, not_after=not_after, correlation_id=correlation_id)
        if isinstance(request, FollowUpRequest):
            return gateway.follow_up(request, not_after=not_after, correlation_id=correlation_id)
        if isinstance(request, InvoiceRequest):
            return gateway.create_invoice(request, not_after=not_after, correlation_id=correlation_id)
        return gateway.charge(request, not_after=not_after, correlation_id=correlation_id)

    def _start(self, change: Change, row: Operation, cart_id: str) -> bool:
        obstacle = _obstacle(change, row)
        if obstacle:
            ended = closed(Status.REFUSED, f"not sent: {obstacle}", row, change.now)
            self._parts.ledger.withdraw(row, ended, change.now, change.session)
            return False
        if not self._parts.ledger.start(row, cart_id, self._parts.owner, change.now, change.session):
            return False
        change.record(started(row, cart_id))
        return True

    def _book(self, change: Change, row: Operation, cart_id: str, answer: Answer) -> None:
        booking = book(row, cart_id, answer, change.now, self._parts.policy)
        changes = booking.changes | self._page(row, cart_id, booking.changes)
        self._parts.ledger.settle(row, cart_id, change.now, changes, change.session)
        change.record(*with_cards(change, booking.facts, told([answer])))

    def _page(self, row: Operation, cart_id: str, changes: dict[str, Any]) -> dict[str, Any]:
        """Return when the page is over that a send was answered with; nothing when there is no link to one."""
        if not changes.get("result", {}).get("redirect_url"):
            return {}
        # Counted from the answer, which is somewhat later than PayTabs counts: no page is taken for over too early.
        return {"page": page_member(cart_id, end_of(row.kind, row.params, self._parts.ledger.now()))}


def _obstacle(change: Change, row: Operation) -> str | None:
    """Return what has happened since a row was accepted that forbids sending it, or None."""
    state = change.before.base_state
    if row.kind not in FOLLOW_UP_KINDS:
        if refused := new_charge_refused(change):
            return str(refused)
        # An earlier attempt succeeded late, after this one was accepted: asking again could charge twice.
        return f"the payment is {state}" if state in CONFIRMED else _other_page(change, row) or _forgotten_money(change)
    params = row.params
    try:
        order(params["transaction"], change.payment, change.before, amount=params["amount"], tran_ref=params["on"])
    except InvalidArgument as error:
        return str(error)
    return None


def _forgotten_money(change: Change) -> str | None:
    """Return which money stands under a cart of ours though no send that is known had it; a restore has forgotten it.

    One that names another payment's transaction, as the charge of a token does, counts for nobody's attempt until then.
    """
    payment = change.payment
    known = {one.cart_id for one in payment.attempts} | {one.cart_id for one in payment.follow_ups}
    for one in change.before.movements:
        ours = any(payment_in(cart) == change.payment_id for cart in one.carts)
        if ours and one.kind not in FOLLOW_UPS and one.status in ("A", "H") and not one.carts & known:
            return f"{one.tran_ref} was taken under an operation_id that is forgotten"
    return None


def _other_page(change: Change, row: Operation) -> str | None:
    """Return which other attempt may still be paid; one beside it could take the money twice."""
    others = [leg for leg in change.before.legs if leg.operation_id != row.operation_id and leg.state in OPEN]
    return f"{others[0].tran_ref} may still be paid" if others else None
