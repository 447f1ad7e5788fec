"""Asking PayTabs what became of things: by reference, by cart, on a ladder of growing intervals.

Queries are the source of truth and notices only accelerate them. An unknown send is settled by what is found under its
cart; "nothing found" counts only after the lease has ended and PayTabs' duplicate window has passed, and for what moves
money not even then: after a day a human is called.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from payments import facts
from payments.assessment import assess
from payments.card_keeping import told, with_cards
from payments.cases import in_doubt
from payments.events import Context
from payments.gateway import Gateway
from payments.ladder import LADDERS, POLLING, SETTLING, is_overdue, may_resend, next_look, next_step, next_try
from payments.observing import observations
from payments.operations import Operation, OperationsLedger, Status
from payments.page_ends import PageDesk
from payments.payment import State
from payments.projections import RaiseAlert
from payments.questions import Question, questions, what_undid
from payments.reason_kinds import members
from payments.requesting import FOLLOW_UP_KINDS
from payments.store import Change, Clock, PaymentStore
from paytabs.answers import PARKED
from paytabs.responses import Answer, Outcome

#: PayTabs is given so much longer to answer at all before operators are told of what nobody could find out.
SILENCE = timedelta(hours=2)

#: Once "nothing found" would count, a payer waits for the answer: a query that got none is repeated this soon.
UNANSWERED = timedelta(seconds=60)


class Reconciler:
    """Asks PayTabs about operations and applies the answers."""

    def __init__(
        self, store: PaymentStore, ledger: OperationsLedger, gateway: Gateway, *, clock: Clock, lease: timedelta,
        alert: RaiseAlert, pages: PageDesk,
    ) -> None:  # fmt: skip
        """Keep what asking needs."""
        self._pages = pages
        self._store, self._ledger, self._gateway = store, ledger, gateway
        self._clock, self._lease, self._alert = clock, lease, alert

    def poll(self, operation_id: str, context: Context) -> bool:
        """Ask about one operation, apply what is said, and set when to look again.

        Returns:
            Whether the operation is ready to be sent (again).
        """
        row = self._ledger.get(operation_id)
        if row is None or not (row.open or row.due_at):
            return False
        now = self._clock()
        if row.status is Status.NEW and not row.sends:
            return True
        if row.status is Status.SENDING:
            if row.lease_until and now < row.lease_until:
                return False
            row = self._give_up_lease(row, context)
        if not all(is_conclusive(answer) for answer in self.look(row, context)):
            return row.status is Status.NEW
        return self._look_again(operation_id)

    def look(self, row: Operation, context: Context) -> list[Answer]:
        """Ask everything that is open about an operation, apply what is said, and return the answers."""
        asked_at, by_database = self._clock(), self._ledger.now()
        answers = self.ask(row, context)

        def work(change: Change) -> None:
            self._settle(change, row, answers, asked_at)
            self._end_page(change, row, answers, by_database)

        if all(is_conclusive(answer) for answer in answers):
            self._store.change(row.payment_id, context, work)
        else:
            self._apply_what_is_said(row, answers, context)
        return answers

    def ask(self, row: Operation, context: Context, *, also: str | None = None) -> list[Answer]:
        """Ask PayTabs everything that is open about an operation, and about one more transaction if it is named."""
        return self.ask_all([row], context, also=also)

    def ask_all(self, rows: Sequence[Operation], context: Context, *, also: str | None = None) -> list[Answer]:
        """Ask everything that is open about some operations of one payment, each question once."""
        asked = [one for row in rows for one in questions(row, self._store.payment(row.payment_id), self._clock())]
        asked += [Question("tran_ref", also)] if also else []
        known = self._store.payment(rows[0].payment_id).observations if rows else frozenset()
        return [answer for one in dict.fromkeys(asked) for answer in self._whole(one, known, context)]

    def ask_ref(self, tran_ref: str, context: Context) -> Answer:
        """Ask PayTabs what became of one transaction."""
        return self._query(Question("tran_ref", tran_ref), context)

    def ask_cart(self, cart_id: str, context: Context) -> Answer:
        """Ask PayTabs which transactions a cart has."""
        return self._query(Question("cart_id", cart_id), context)

    def apply(
        self, payment_id: str, answers: list[Answer], context: Context, *, about: Sequence[Operation] = (),
        asked_at: datetime | None = None, look: bool = False,
    ) -> None:  # fmt: skip
        """Apply what answers say of a payment.

        Args:
            payment_id: 24 hexadecimal digits.
            answers: what PayTabs said.
            context: who asked.
            about: operations about which everything that is open was asked: their pages may have ended.
            asked_at: when, by the database's clock.
            look: whether the CMS's document is looked at also when nothing is new: one that lacks something is written.
        """
        seen = [fact for answer in answers for fact in observations(answer)]
        heard = all(is_conclusive(answer) for answer in answers)

        def work(change: Change) -> None:
            change.record(*with_cards(change, seen, told(answers)))
            if heard and asked_at:
                for row in about:
                    self._end_page(change, row, answers, asked_at)
            if look:
                change.look()

        self._store.change(payment_id, context, work)

    def _end_page(self, change: Change, row: Operation, answers: list[Answer], asked_at: datetime) -> None:
        """End the page of an operation that was asked about, unless it has moved on since."""
        stored = self._ledger.get(row.operation_id, change.session) if row.is_page else None
        if stored and stored.cart_id == row.cart_id:
            self._pages.end(change, stored, answers, asked_at)

    def _whole(self, question: Question, known: Iterable[facts.TransactionObserved], context: Context) -> list[Answer]:
        """Ask a question, and what undid a transaction where nobody has told: both are answered, or neither is."""
        answer = self._query(question, context)
        further = what_undid(answer, known)
        if further is None:
            return [answer]
        more = self._query(further, context)
        return [answer, more] if is_conclusive(more) else [more]

    def _query(self, question: Question, context: Context) -> Answer:
        ask = self._gateway.query_tran if question.by == "tran_ref" else self._gateway.query_cart
        return ask(question.value, correlation_id=context.correlation_id)

    def _apply_what_is_said(self, row: Operation, answers: list[Answer], context: Context) -> None:
        """Apply the answers there are; what was not answered is asked again on the next step."""
        self.apply(row.payment_id, answers, context)
        stored = self._ledger.get(row.operation_id) or row
        now = self._clock()
        if stored.status is Status.NEW:
            # It is to be sent, whatever its old carts come to: were it put off by their ladder and its sender died, or
            # had no time left, it would wait for hours. As it is, the sweep that had it polled takes it up again.
            return
        if is_overdue(stored, now - SILENCE):
            # Silence proves nothing, so it ends nothing either: operators are told, and PayTabs is asked on.
            unheard = f"{stored.kind} of payment {row.payment_id}: no query about cart {stored.cart_id} was answered"
            self._alert("operation_unanswered", row.kind, unheard, subject=row.operation_id)
        if stored.due_at and (parked := parked_seconds(answers)):
            self._ledger.reschedule(stored, now + timedelta(seconds=parked))
        elif stored.due_at:
            in_doubt = stored.status is Status.UNKNOWN
            step = next_step(stored.poll_from, now, LADDERS[stored.kind] if in_doubt else POLLING)
            step = self._before_its_page_ends(stored, step) or step
            soon = in_doubt and may_resend(stored) and self._settling_end(stored) is None
            self._ledger.reschedule(stored, next_try(min(step, now + UNANSWERED) if soon else step, now))

    def _give_up_lease(self, row: Operation, context: Context) -> Operation:
        """Book a send whose worker is gone as unknown."""

        def work(change: Change) -> None:
            cart = row.cart_id or ""
            changes = {"status": Status.UNKNOWN, "due_at": change.now, "error": "worker_lost"}
            if self._ledger.settle(row, cart, change.now, changes, change.session):
                change.record(facts.OutcomeUnknown(operation_id=row.operation_id, cart_id=cart, detail="worker_lost"))

        self._store.change(row.payment_id, context, work)
        return self._ledger.get(row.operation_id) or row

    def _settle(self, change: Change, row: Operation, answers: list[Answer], asked_at: datetime) -> None:
        seen = [fact for answer in answers for fact in observations(answer)]
        change.record(*with_cards(change, seen, told(answers)))
        stored = self._ledger.get(row.operation_id, change.session)
        if stored is None or stored.status is not Status.UNKNOWN or stored.cart_id is None:
            return
        if stored.cart_id != row.cart_id:
            return
        if is_overdue(stored, asked_at):
            self._call_a_human(change, stored, f"PayTabs shows nothing under cart {stored.cart_id}")
            return
        reason = self._lost(stored, change, asked_at) if may_resend(stored) else None
        if reason and self._ledger.retire(stored, stored.cart_id, change.now, change.session):
            change.record(facts.CartRetired(operation_id=stored.operation_id, cart_id=stored.cart_id, reason=reason))

    def _call_a_human(self, change: Change, row: Operation, evidence: str) -> None:
        """Hand an operation to a human whose outcome no query has told; it stays open and keeps others out."""
        if any(seen.cart_id == row.cart_id for seen in change.payment.observations):
            return
        changes = {"status": Status.REVIEW, "due_at": next_step(row.poll_from, change.now), "error": "nothing_found"}
        if self._ledger.settle(row, row.cart_id or "", change.now, changes, change.session):
            change.record(facts.ReviewRaised(**members(in_doubt(row)), evidence=evidence))

    def _lost(self, row: Operation, change: Change, asked_at: datetime) -> str | None:
        """Return why an unknown send may be followed by one under a new cart, or None while it may not.

        Only what was found under the last cart counts: earlier ones of the same operation have their own ends.
        """
        found = {seen.tran_ref for seen in change.payment.observations if seen.cart_id == row.cart_id}
        if not found:
            return "nothing_found" if asked_at >= self._settled_at(row) else None
        if row.kind in FOLLOW_UP_KINDS:
            return None
        states = {leg.state for leg in change.after.legs if leg.tran_ref in found}
        return "found_without_its_link" if states == {State.AWAITING_PAYER} else None

    def _settled_at(self, row: Operation) -> datetime:
        """Return the moment from which "nothing found" under a row's last cart counts."""
        return row.sends[-1].sent_at + self._lease + SETTLING

    def _look_again(self, operation_id: str) -> bool:
        row = self._ledger.get(operation_id)
        if row is None or row.status is Status.NEW:
            return row is not None
        verdict = assess(self._store.payment(row.payment_id))
        look = next_look(row, verdict, self._clock())
        self._ledger.reschedule(row, self._settling_end(row) or self._before_its_page_ends(row, look))
        return False

    def _before_its_page_ends(self, row: Operation, look: datetime | None) -> datetime | None:
        """Return when to look again, at the end of the row's page at the latest; it is the database that says when."""
        if not row.is_page and row.status is not Status.REFUSED:
            return look
        payment, now = self._store.payment(row.payment_id), self._clock()
        waits = self._pages.looks_after(row, payment, assess(payment))
        return min([*([look] if look else []), *(now + wait for wait in waits)], default=None)

    def _settling_end(self, row: Operation) -> datetime | None:
        """Return the moment from which "nothing found" counts, when that is the next thing to happen."""
        if row.status is not Status.UNKNOWN or not may_resend(row):
            return None
        now, end = self._clock(), self._settled_at(row)
        return min(next_step(row.poll_from, now), end) if end > now else None


def parked_seconds(answers: Iterable[Answer]) -> float:
    """Return how long to wait because some questions might not be asked now; 0 when all were.

    Each of these waits ends with a draw of its own, made where the question was turned away.
    """
    return max((answer.retry_after_seconds or 0.0 for answer in answers if answer.detail == PARKED), default=0.0)


def is_conclusive(answer: Answer) -> bool:
    """Tell whether a query was answered: something was found, or PayTabs said that there is nothing.

    An error page, an answer without a body, a timeout or a wrong key says nothing about the transaction.
    """
    found = answer.transaction is not None or bool(answer.transactions)
    return found or (answer.outcome is not Outcome.UNKNOWN and answer.detail in ("empty", "not_found"))
