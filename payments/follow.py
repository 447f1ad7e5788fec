"""An operation's row follows the verdict over its payment, in the transaction of every change.

A charge or a page follows its leg; a capture, void, release or refund what PayTabs said under its own carts, whatever
the payment as a whole came to.
"""

from collections.abc import Iterable
from dataclasses import replace

from payments.assessment import Assessment
from payments.follow_ups import found
from payments.ladder import next_look, next_step
from payments.movements import FAILED, RANK, Movement
from payments.operations import Operation, OperationsLedger, Status
from payments.payment import FAILED_STATES, OPEN, State
from payments.reasons import Reason
from payments.requesting import CHARGE_KINDS, FOLLOW_UP_KINDS
from payments.store import Change

#: Legs that have come to what was asked for; their money is PayTabs' to move and not ours to ask for again.
_DONE = frozenset({State.AUTHORISED, State.PART_CAPTURED, State.PAID, State.PART_REFUNDED, State.REFUNDED,
                   State.VOIDED, State.REGISTERED})  # fmt: skip

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
        if _fits_already(change):
            return
        rows = self._ledger.of_payment(change.payment_id, change.session)
        waiting, known = _waiting_elsewhere(change.after), _waiting_elsewhere(change.before)
        if rows and waiting - known:
            # Something acted on a transaction nobody has heard of, or waits for an approval: it is asked about, also
            # when all is settled. The row may move from now on, and so it has to fit from now on.
            rows[-1] = self._watched(rows[-1], change)
        change.rows = [self._followed(row, change) if _may_move(row) else row for row in rows]

    def _watched(self, row: Operation, change: Change) -> Operation:
        """Have a row looked at soon and return it as it stands then."""
        first = next_step(change.now, change.now)
        self._ledger.follow(row, {"due_at": first, "poll_from": change.now}, change.session)
        return replace(row, due_at=first, poll_from=change.now)

    def _followed(self, row: Operation, change: Change) -> Operation:
        """Bring a row in line and return it as it stands then."""
        return self._follow_up(row, change) if row.kind in FOLLOW_UP_KINDS else self._attempt(row, change)

    def _attempt(self, row: Operation, change: Change) -> Operation:
        status = self._status(row, change)
        if status is None or (status is row.status and row.open):
            return row
        if status is Status.PENDING and not row.open:
            # Another operation may be open by now; this one stays closed, and its next look keeps it watched.
            return row if row.due_at else self._watched(row, change)
        return self._close_or_keep(row, status, change)

    def _follow_up(self, row: Operation, change: Change) -> Operation:
        seen = found(row.operation_id, change.after.movements, change.payment.follow_ups)
        if not seen:
            return row
        best = max(seen, key=lambda one: RANK.get(one.status, -1))
        status, is_open = follow_up_status(best, change.after.in_review)
        is_open = is_open and row.open
        if (status, is_open, best.tran_ref) == (row.status, row.open, row.tran_ref):
            return row
        moved = replace(row, status=status, open=is_open, tran_ref=best.tran_ref, redirect_url=None)
        changes = {
            "status": status, "open": is_open, "lease": None, "updated_at": change.now,
            "error": refusal(best), "result": {"tran_ref": best.tran_ref, "redirect_url": None},
            "due_at": next_look(moved, change.after, change.now),
        }  # fmt: skip
        self._ledger.follow(row, changes, change.session)
        return moved

    def _status(self, row: Operation, change: Change) -> Status | None:
        verdict = change.after
        states = {leg.state for leg in verdict.legs if leg.operation_id == row.operation_id}
        if states & _DONE:
            return Status.REVIEW if verdict.in_review else Status.SUCCEEDED
        if states & _WAITING:
            told = row.status is Status.PENDING or states & _WAITING - {State.AWAITING_PAYER}
            # A charge that waits for its payer is known to PayTabs, and is never sent again though its link is lost.
            return Status.PENDING if told or row.kind in CHARGE_KINDS else None
        # A cart that was given up may fail while its successor is under way: only when nothing is, this is the end.
        if states & FAILED_STATES and not states & OPEN and row.status in _ANSWERABLE:
            return Status.REFUSED
        return None

    def _close_or_keep(self, row: Operation, status: Status, change: Change) -> Operation:
        keeps_open = status is Status.PENDING
        moved = replace(row, open=keeps_open, status=status)
        changes = {"status": status, "open": keeps_open, "error": None, "updated_at": change.now}
        if not keeps_open:
            changes |= {"due_at": next_look(moved, change.after, change.now), "lease": None}
        self._ledger.follow(row, changes, change.session)
        return moved


def _may_move(row: Operation) -> bool:
    """Return whether a row may move: it is open, watched, or a failed or ended attempt, which may take money late."""
    failed = row.status is Status.REFUSED and row.kind not in FOLLOW_UP_KINDS
    return row.open or bool(row.due_at) or failed or row.has_ended


def follow_up_status(seen: Movement, review: Iterable[Reason]) -> tuple[Status, bool]:
    """Return what a follow-up has come to, and whether it keeps others from beginning.

    A refund that waits for an approval does not: what it may take is set aside.
    """
    if seen.status == "A":
        differs = any(reason.subject == seen.tran_ref for reason in review)
        return (Status.REVIEW if differs else Status.SUCCEEDED), False
    if seen.status in FAILED:
        return Status.REFUSED, False
    if seen.status in ("P", "H"):
        return Status.PENDING, seen.kind != "refund"
    return Status.REVIEW, True


def refusal(seen: Movement) -> str | None:
    """Return how PayTabs refused a follow-up, in its letters and codes; None when it did not."""
    if seen.status not in FAILED:
        return None
    codes = sorted(code for status, code in seen.codes if status == seen.status and code)
    return " ".join([f"PayTabs answered {seen.status}", *codes])


def _fits_already(change: Change) -> bool:
    """Tell whether rows that fitted before this change still do, so that none has to be read.

    They follow the legs, what is in review and what waits; without new facts they are looked at all the same, and so
    are those of a payment with follow-ups, and those that this transaction may have written itself.
    """
    if not change.new_facts or change.session_lent or change.payment.follow_ups:
        return False
    return _followed_by_rows(change.before) == _followed_by_rows(change.after)


def _followed_by_rows(verdict: Assessment) -> tuple[object, ...]:
    legs = {(leg.operation_id, leg.state, leg.set_aside) for leg in (*verdict.legs, *verdict.set_aside)}
    return legs, verdict.in_review, verdict.parked, verdict.pending


def _waiting_elsewhere(verdict: Assessment) -> set[str]:
    return {*verdict.parked, *verdict.pending}
