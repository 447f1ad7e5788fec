"""Cases for a human: what they are, what would settle them, and closing them with a word about why.

A case is closed by a fact that names who decided. An operation in doubt may be declared not to have happened, but only
once "nothing found" counts; should PayTabs show it later all the same, that is a new case.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from payments import facts
from payments.assessment import PAID_TWICE, Assessment, assess
from payments.errors import InvalidArgument
from payments.events import Context
from payments.ladder import SETTLING, next_look
from payments.operations import Operation, OperationsLedger, Status
from payments.payment import LIVE, Payment
from payments.store import Change, PaymentStore


@dataclass(frozen=True)
class Case:
    """One reason why a human is needed; `proposal` is a task and its arguments that would settle it, if one would."""

    payment_id: str
    reason: str
    evidence: tuple[str, ...]
    operation_id: str | None = None
    proposal: dict[str, Any] | None = None


def cases(payment_id: str, payment: Payment, verdict: Assessment, rows: Iterable[Operation]) -> list[Case]:
    """Return the open cases of a payment, each with its evidence.

    Args:
        payment_id: 24 hexadecimal digits.
        payment: what is known of it.
        verdict: its assessment.
        rows: its operations.
    """
    doubtful = {in_doubt(row): row.operation_id for row in rows if row.open and row.status is Status.REVIEW}
    return [
        Case(
            payment_id=payment_id,
            reason=reason,
            evidence=tuple(claim.evidence for claim in payment.open_claims if claim.reason == reason),
            operation_id=doubtful.get(reason),
            proposal=_refund_the_second(payment_id, verdict) if reason.startswith(PAID_TWICE) else None,
        )
        for reason in verdict.review
    ]


def in_doubt(row: Operation) -> str:
    """Return the reason for which a human is called over an operation of which nothing was found."""
    return f"{row.kind} {row.operation_id}: nothing found within a day"


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

    def settle(self, payment_id: str, reason: str, note: str, context: Context) -> None:
        """Close a case that needs nothing further, or of which something else was done.

        Raises:
            InvalidArgument: there is no such case, or nobody says who decides.
        """
        by = _decider(context)

        def work(change: Change) -> None:
            if reason not in change.before.review:
                raise InvalidArgument("reason", f"one of the payment's open cases: {list(change.before.review)}")
            change.record(facts.ReviewSettled(reason=reason, note=note, by=by))

        self.store.change(payment_id, context, work)

    def settle_operation(self, operation_id: str, note: str, context: Context) -> None:
        """Declare that an operation in doubt did not happen, so that the payment is free for another one.

        Raises:
            InvalidArgument: it is not in doubt, or PayTabs may still be carrying it out.
        """
        by, row = _decider(context), self.ledger.get(operation_id)
        if row is None:
            raise InvalidArgument("operation_id", "the id of an operation")

        def work(change: Change) -> None:
            stored = self.ledger.get(operation_id, change.session)
            if stored is None or not stored.open or stored.status not in (Status.REVIEW, Status.UNKNOWN):
                raise InvalidArgument("operation_id", f"an operation in doubt; {operation_id} is not, or not any more")
            self._require_past(stored, change.now)
            change.record(facts.ReviewSettled(reason=in_doubt(stored), note=note, by=by, operation_id=operation_id))
            self.ledger.give_up(stored, f"settled by {by}: {note}", change.now, change.session)
            given_up = self.ledger.get(operation_id, change.session)
            if given_up:
                look = {"due_at": next_look(given_up, change.after, change.now)}
                self.ledger.follow(given_up, look, change.session)

        self.store.change(row.payment_id, context, work)

    def _require_past(self, row: Operation, now: datetime) -> None:
        past = row.sends[-1].sent_at + self.lease + SETTLING
        if now < past:
            raise InvalidArgument("operation_id", f"one that PayTabs cannot be carrying out any more; from {past} on")


def _decider(context: Context) -> str:
    if not context.requested_by:
        raise InvalidArgument("requested_by", "who decides")
    return context.requested_by


def _refund_the_second(payment_id: str, verdict: Assessment) -> dict[str, Any] | None:
    live = [leg for leg in verdict.legs if leg.state in LIVE and leg.refundable]
    if len(live) < 2:  # noqa: PLR2004 - two attempts, of which one goes back
        return None
    tran_ref, left = live[-1].refundable[0]
    arguments = {"payment_id": payment_id, "tran_ref": tran_ref, "amount": f"{left:f}"}
    return {"task": "payments.refund", "arguments": arguments}
