"""What becomes of an operation that was not sent and never will be: an alert, and a letter that keeps its story."""

from dataclasses import dataclass

from config.queues import queue_of
from observability.alerts import Alerts
from observability.dead_letters import DeadLetters, Kind, Letter, letter_id
from payments.operations import Operation
from payments.store import Clock

#: The task that a caller asked for, where it is not called after the kind of operation.
_TASKS = {"create_invoice": "invoices.create"}


@dataclass(frozen=True)
class GivenUp:
    """Tells operators of operations that ended unsent."""

    alerts: Alerts
    letters: DeadLetters
    clock: Clock

    def __call__(self, row: Operation, why: str) -> None:
        """Raise the alert and keep the letter; twice the same is one of each.

        Args:
            row: the operation as it ended.
            why: one sentence without personal data.
        """
        task = task_of(row.kind)
        self.letters.keep(
            Letter(
                letter_id=letter_id("operation", row.operation_id), kind=Kind.NEVER_SENT, at=self.clock(),
                error="NeverSent", text=f"{row.operation_id} of payment {row.payment_id}: {why}", queue=queue_of(task),
                task=task, correlation_id=row.correlation_id, attempts=row.attempts,
            )
        )  # fmt: skip
        told = f"{row.operation_id} of payment {row.payment_id}: {why}"
        self.alerts.raise_alert("operation_given_up", row.kind, told, subject=row.operation_id)


def task_of(kind: str) -> str:
    """Return the task that a caller asked for a kind of operation by."""
    return _TASKS.get(kind, f"payments.{kind}")
