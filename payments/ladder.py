"""When an operation is looked at again, and what is done when nothing is found: one ladder per kind, as data.

An unknown send is never repeated blindly. A lost page moved no money, so it is made anew under another cart; a charge,
a capture or a refund is only ever found, or handed to a human; a void or a release is sent once more, since PayTabs
refuses the second one. Source: section 6 of the gateway contract.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from payments.assessment import Assessment
from payments.operations import Operation, Status
from payments.payment import POLLED
from paytabs.resilience import spread

#: After the last step an open operation is asked about this often, for as long as it is open.
DAILY = timedelta(days=1)

#: How long a cart that was given up is still watched.
WATCH = timedelta(days=1)

#: The last look at a cart that was given up falls this long before its watch ends, so that it still counts.
LAST_LOOK = timedelta(minutes=5)

#: "Nothing found" counts only this long after the send's lease has ended: PayTabs' duplicate window, and some more.
SETTLING = timedelta(seconds=130)


@dataclass(frozen=True)
class Ladder:
    """How an operation is found out about.

    Attributes:
        steps_seconds: When PayTabs is asked after the send (or after the payer came back).
        every: How often after the last step.
        resends: How often it is sent again when nothing is found; None for as often as it takes.
        review_after: When a human is called over an outcome that is still unknown; None for never.
    """

    steps_seconds: tuple[int, ...]
    every: timedelta
    resends: int | None
    review_after: timedelta | None

    @property
    def on_nothing(self) -> str:
        """Say for operators what follows when nothing is found."""
        resent = {None: "sent again under a new cart", 0: "never sent again", 1: "sent once more under a new cart"}
        return resent[self.resends]


#: Seconds after a send (or after the payer came back) at which PayTabs is asked.
STEPS_SECONDS = (5, 15, 60, 130, 300, 3_600, 21_600, 86_400)

#: What PayTabs knows and has not finished, and pages, whose loss costs nothing.
POLLING = Ladder(STEPS_SECONDS, DAILY, resends=None, review_after=None)

#: What the CMS's old code sent: there is nothing of ours to send again.
ADOPTED = Ladder(STEPS_SECONDS, DAILY, resends=0, review_after=None)

#: What moves money: only a found transaction or a human closes the question.
MONEY = Ladder((5, 15, 60, 130, 300), timedelta(hours=1), resends=0, review_after=timedelta(days=1))

#: What frees money: a second one is refused, so one more does no harm.
FREEING = Ladder((5, 15, 60, 130, 300), timedelta(hours=1), resends=1, review_after=timedelta(days=1))

#: The ladder of an operation whose outcome is not known, by kind.
LADDERS: Mapping[str, Ladder] = MappingProxyType(
    {
        "create_page": POLLING, "adopt": ADOPTED, "create_invoice": POLLING,
        "charge_token": MONEY, "charge_card": MONEY, "managed_form": MONEY, "capture": MONEY, "refund": MONEY,
        "void": FREEING, "release": FREEING,
    }
)  # fmt: skip

#: Rows whose last send PayTabs may have executed without our knowing.
_IN_DOUBT = frozenset({Status.SENDING, Status.UNKNOWN})


def next_step(start: datetime, now: datetime, ladder: Ladder = POLLING) -> datetime:
    """Return the first moment of the ladder that begins at `start` and lies after `now`."""
    for seconds in ladder.steps_seconds:
        step = start + timedelta(seconds=seconds)
        if step > now:
            return step
    times = (now - start) // ladder.every + 1
    return start + times * ladder.every


def next_try(at: datetime, now: datetime, rng: Callable[[], float] = random.random) -> datetime:
    """Return when to ask again after PayTabs has not answered: not before `at`, and a draw after it.

    Steps that follow an answer are each operation's own; those that follow a silence are many operations' at once.

    Args:
        at: the earliest moment.
        now: aware UTC.
        rng: where the jitter comes from.
    """
    return now + timedelta(seconds=spread((at - now).total_seconds(), rng))


def next_look(row: Operation, verdict: Assessment, now: datetime) -> datetime | None:
    """Return when an operation has to be looked at again, or None when nothing about it is open.

    Args:
        row: the operation as stored.
        verdict: its payment's assessment.
        now: aware UTC.
    """
    states = {leg.state for leg in verdict.legs_of(row.operation_id) if not (leg.ended and leg.set_aside)}
    given_up = [send.retired_at for send in row.sends if send.retired_at]
    if row.page_ended_at and not row.sends:
        given_up.append(row.page_ended_at)  # one of the CMS's old code
    ends = [moment + WATCH for moment in given_up if now < moment + WATCH]
    if not (row.open or ends or states & POLLED or verdict.parked or verdict.pending):
        return None
    ladder = LADDERS[row.kind] if row.status in _IN_DOUBT else POLLING
    last_looks = [end - LAST_LOOK for end in ends if end - LAST_LOOK > now]
    return min([next_step(row.poll_from, now, ladder), *last_looks])


def is_overdue(row: Operation, now: datetime) -> bool:
    """Tell whether a human has to be called over an operation whose outcome is still unknown."""
    limit = LADDERS[row.kind].review_after
    return limit is not None and row.status is Status.UNKNOWN and now >= row.sends[-1].sent_at + limit


def may_resend(row: Operation) -> bool:
    """Tell whether an operation may be sent again when nothing is found under its carts."""
    most = LADDERS[row.kind].resends
    return most is None or len(row.retired_carts) < most
