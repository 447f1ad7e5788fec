"""Closing cases with a word about why: who decided, and what, stays in the payment's history.

An operation in doubt may be declared not to have happened, but only once "nothing found" counts; should PayTabs show it
later all the same, that is a new case. While it is in doubt its case cannot be closed in any other way: the payment
would stay closed to other operations, and nobody would know why.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from payments import facts
from payments.assessment import assess
from payments.cases import Case, cases, in_doubt
from payments.errors import InvalidArgument
from payments.events import Context
from payments.ladder import SETTLING, next_look
from payments.operations import Operation, OperationsLedger, Status
from payments.reason_kinds import all_words, members
from payments.reasons import Reason
from payments.store import Change, PaymentStore

__all__ = ["Case", "ReviewDesk", "cases", "decider", "in_doubt", "said"]


@dataclass(frozen=True)
class ReviewDesk:
    """Closes cases; `lease` is how long a send may still be under way."""

    store: PaymentStore
    ledger: OperationsLedger
    lease: timedelta

    def cases(self, payment_id: str) -> list[Case]:
        """Return the open cases of a payment."""
        payment = self.store.payment(payment_id)
        return cases(payment_id, payment, assess(payment), self.ledger.of_payment(payment_id))

    def settle(self, payment_id: str, reason: Reason, note: str, context: Context) -> None:
        """Close a case that needs nothing further, or of which something else was done.

        Raises:
            InvalidArgument: there is no such case, its operation is still open, or nobody says who decides and why.
        """
        by, why = decider(context), said(note)

        def work(change: Change) -> None:
            row = self.ledger.open_of(change.payment_id, change.session)
            if row and row.status is Status.REVIEW and in_doubt(row) == reason:
                raise InvalidArgument("reason", f"a case whose operation has ended; {row.operation_id} is in doubt")
            if reason not in change.before.review:
                raise InvalidArgument("reason", f"one of the payment's open cases: {all_words(change.before.review)}")
            change.record(facts.ReviewSettled(**members(reason), note=why, by=by))

        self.store.change(payment_id, context, work)

    def settle_operation(self, operation_id: str, note: str, context: Context) -> None:
        """Declare that an operation in doubt did not happen, so that the payment is free for another one.

        Raises:
            InvalidArgument: it is not in doubt, PayTabs may still be carrying it out, or nobody says who and why.
        """
        by, why, row = decider(context), said(note), self.ledger.get(operation_id)
        if row is None:
            raise InvalidArgument("operation_id", "the id of an operation")

        def work(change: Change) -> None:
            stored = self.ledger.get(operation_id, change.session)
            if stored is None or not stored.open or stored.status not in (Status.REVIEW, Status.UNKNOWN):
                raise InvalidArgument("operation_id", f"an operation in doubt; {operation_id} is not, or not any more")
            self._require_past(stored, change.now)
            about = members(in_doubt(stored))
            change.record(facts.ReviewSettled(**about, note=why, by=by, operation_id=operation_id))
            self.ledger.give_up(stored, f"settled by {by}: {why}", change.now, change.session)
            given_up = self.ledger.get(operation_id, change.session)
            if given_up:
                look = {"due_at": next_look(given_up, change.after, change.now)}
                self.ledger.follow(given_up, look, change.session)

        self.store.change(row.payment_id, context, work)

    def _require_past(self, row: Operation, now: datetime) -> None:
        past = row.sends[-1].sent_at + self.lease + SETTLING
        if now < past:
            raise InvalidArgument("operation_id", f"one that PayTabs cannot be carrying out any more; from {past} on")


def decider(context: Context) -> str:
    """Return who decides.

    Raises:
        InvalidArgument: nobody says so.
    """
    if not context.requested_by:
        raise InvalidArgument("requested_by", "who decides")
    return context.requested_by


def said(note: str) -> str:
    """Return why something was decided.

    Raises:
        InvalidArgument: nothing is said.
    """
    if not note.strip():
        raise InvalidArgument("note", "a word about why")
    return note.strip()
