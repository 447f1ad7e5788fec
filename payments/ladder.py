"""When an open operation is looked at again: a ladder of growing steps, then once a day."""

from datetime import datetime, timedelta

from payments.assessment import Assessment
from payments.operations import Operation
from payments.payment import POLLED

#: Seconds after a send (or after the payer came back) at which PayTabs is asked.
STEPS_SECONDS = (5, 15, 60, 130, 300, 3_600, 21_600, 86_400)

#: After the last step an open operation is asked about this often, for as long as it is open.
DAILY = timedelta(days=1)

#: How long a cart that was given up is still watched.
WATCH = timedelta(days=1)

#: The last look at a cart that was given up falls this long before its watch ends, so that it still counts.
LAST_LOOK = timedelta(minutes=5)

#: "Nothing found" counts only this long after the send's lease has ended: PayTabs' duplicate window, and some more.
SETTLING = timedelta(seconds=130)


def next_step(start: datetime, now: datetime) -> datetime:
    """Return the first moment of the ladder that begins at `start` and lies after `now`."""
    for seconds in STEPS_SECONDS:
        step = start + timedelta(seconds=seconds)
        if step > now:
            return step
    days = (now - start) // DAILY + 1
    return start + days * DAILY


def next_look(row: Operation, verdict: Assessment, now: datetime) -> datetime | None:
    """Return when an operation has to be looked at again, or None when nothing about it is open.

    Args:
        row: the operation as stored.
        verdict: its payment's assessment.
        now: aware UTC.
    """
    states = {leg.state for leg in verdict.legs if leg.operation_id == row.operation_id}
    ends = [send.retired_at + WATCH for send in row.sends if send.retired_at and now < send.retired_at + WATCH]
    if not (row.open or ends or states & POLLED or verdict.parked):
        return None
    last_looks = [end - LAST_LOOK for end in ends if end - LAST_LOOK > now]
    return min([next_step(row.poll_from, now), *last_looks])
