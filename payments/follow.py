"""An operation's row follows the verdict over its payment, in the transaction of every change."""

from dataclasses import replace

from payments.ladder import next_look, next_step
from payments.operations import Operation, OperationsLedger, Status
from payments.payment import FAILED_STATES, OPEN, State
from payments.store import Change

#: Legs whose money is PayTabs' to move and not ours to ask for again.
_DONE = frozenset({State.AUTHORISED, State.PART_CAPTURED, State.PAID, State.PART_REFUNDED, State.REFUNDED,
                   State.VOIDED})  # fmt: skip

#: Rows that a final answer ends; a `new` one waits to be sent under another cart.
_ANSWERABLE = frozenset({Status.SENDING, Status.PENDING, Status.UNKNOWN, Status.REVIEW})

#: Legs that PayTabs knows and that are not final.
_WAITING = (OPEN - {State.SENT}) | {State.ON_HOLD}


class FollowOperations:
    """Closes rows whose leg is final and keeps the others open."""

    def __init__(self, ledger: OperationsLedger) -> None:
        """Write through the ledger."""
        self._ledger = ledger

    def __call__(self, change: Change, version: int) -> None:
        """Bring every open or watched row of the payment in line; nothing is written for what already fits."""
        del version
        rows = self._ledger.of_payment(change.payment_id, change.session)
        for row in rows:
            if not (row.open or row.due_at):
                continue
            status = self._status(row, change)
            if status is None or (status is row.status and row.open):
                continue
            if status is Status.PENDING and not row.open:
                # Another operation may be open by now; this one stays closed, and its next look keeps it watched.
                continue
            self._close_or_keep(row, status, change)
        if rows and set(change.after.parked) - set(change.before.parked):
            # Something acted on a transaction nobody has heard of: that one is asked about, also when all is settled.
            looks = {"due_at": next_step(change.now, change.now), "poll_from": change.now}
            self._ledger.follow(rows[-1], looks, change.session)

    def _status(self, row: Operation, change: Change) -> Status | None:
        verdict = change.after
        states = {leg.state for leg in verdict.legs if leg.operation_id == row.operation_id}
        if states & _DONE:
            return Status.REVIEW if verdict.review else Status.SUCCEEDED
        if states & _WAITING:
            return (
                Status.PENDING if row.status is Status.PENDING or states & _WAITING - {State.AWAITING_PAYER} else None
            )
        # A cart that was given up may fail while its successor is under way: only when nothing is, this is the end.
        if states & FAILED_STATES and not states & OPEN and row.status in _ANSWERABLE:
            return Status.REFUSED
        return None

    def _close_or_keep(self, row: Operation, status: Status, change: Change) -> None:
        keeps_open = status is Status.PENDING
        changes = {"status": status, "open": keeps_open, "error": None, "updated_at": change.now}
        if not keeps_open:
            closed = replace(row, open=False, status=status)
            changes |= {"due_at": next_look(closed, change.after, change.now), "lease": None}
        self._ledger.follow(row, changes, change.session)
