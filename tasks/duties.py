"""What becomes of a task whose work the database refuses until an operator acts: one closed table over all tasks.

Who asked for a change is told nothing final: the message stays in the broker until there is a row. What a sweep or the
schedule finds again needs no message: its row waits. Who reads, or acts by hand, is told the reason at once.
"""

from enum import StrEnum
from typing import Final


class Duty(StrEnum):
    """What becomes of a task's message."""

    STAYS = "stays in the broker"
    SWEPT = "is made again by a sweep or by the schedule"
    ENDS = "ends with the reason"


#: Whose callers wait for a change: nothing else would bring it about.
_STAY: Final = frozenset(
    {
        "payments.create_page", "payments.capture", "payments.void", "payments.release", "payments.refund",
        "payments.charge_token", "payments.charge_card", "payments.managed_form", "payments.verify",
        "invoices.create", "invoices.cancel", "invoices.send_sms", "invoices.mark_paid", "tokens.delete",
        "cards.forget", "aggregations.invalidate",
    }
)  # fmt: skip

#: What a row in the database stands for, which somebody looks for every few seconds.
_SWEPT: Final = frozenset(
    {"payments.poll", "webhooks.process", "events.handle", "events.dispatch", "aggregations.refresh", "views.refresh"}
)

#: What accepts a row before anything else: `queued` is said once it has it, and not before.
ROWED: Final = frozenset(
    {
        "payments.create_page", "payments.capture", "payments.void", "payments.release", "payments.refund",
        "payments.charge_token", "payments.charge_card", "payments.managed_form", "invoices.create",
    }
)  # fmt: skip


def duty_of(task: str, *, scheduled: bool) -> Duty:
    """Return what becomes of a task's message.

    Args:
        task: its public name.
        scheduled: whether it is a tick of the schedule, which comes again.
    """
    if scheduled or task in _SWEPT:
        return Duty.SWEPT
    return Duty.STAYS if task in _STAY else Duty.ENDS


def has_caller(task: str) -> bool:
    """Tell whether a caller may wait for a task's answer; what a sweep or the schedule sends has none."""
    return task not in _SWEPT and not task.startswith("maintenance.")
