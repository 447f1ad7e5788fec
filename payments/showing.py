"""What follows when the CMS and the reads are shown something else of a payment, whichever event has led to it.

A contract is counted, and reads are out of date, at the first showing and at every change of `payments.status`; the CMS
is told of every change of the status or of the sums. What a milestone in the same change leads to is not done twice.
"""

from collections.abc import Collection
from decimal import Decimal

from payments.assessment import Assessment
from payments.store import Change

#: What keeps contracts and reads right.
COUNTING = ("recount_contract", "invalidate_reads")

#: What tells the CMS.
TELLING = ("notify_cms",)


def sums(verdict: Assessment) -> tuple[Decimal, ...]:
    """Return everything that is added up of a payment."""
    return (verdict.authorised, verdict.captured, verdict.released, verdict.refunded, verdict.refund_pending)


def shown_status(verdict: Assessment) -> str | None:
    """Return what the CMS reads in `payments.status`; None while that is the CMS's own word."""
    return None if "status" in verdict.left else verdict.cms_status


def follows(before: Assessment, after: Assessment, *, first: bool) -> tuple[str, ...]:
    """Return the reactions that a change of what is shown leads to.

    Args:
        before: the verdict before the change.
        after: the one after it.
        first: whether the payment is shown for the first time.
    """
    status = shown_status(before) != shown_status(after)
    moved = sums(before) != sums(after)
    counting = COUNTING if first or status or moved else ()
    return (*counting, *(TELLING if status or moved else ()))


def owed_besides(change: Change, owed: Collection[str]) -> tuple[str, ...]:
    """Return what a change leads to besides what its milestones already do."""
    found = follows(change.before, change.after, first=not change.history)
    return tuple(one for one in found if one not in owed)
