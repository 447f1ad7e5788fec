"""What can go wrong between a person's command and its answer, each as one sentence that also says the way out."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from observability.database_refusals import refusal_in, told_of
from workers.errors import StackError, WorkersError


class NothingRuns(StackError):
    """Raised when a command needs servers that neither the settings nor a running stack name."""

    def __init__(self, variables: Sequence[str], run_file: Path) -> None:
        super().__init__(
            f"no servers are known: start 'nestcms-workers up' in another terminal (its {run_file} is not there), or "
            f"set {' and '.join(variables)}."
        )


class RunFileStale(StackError):
    """Raised when the run file is left over from a stack that has ended or was killed."""

    def __init__(self, run_file: Path, why: str) -> None:
        super().__init__(
            f"{run_file} is left over ({why}): start 'nestcms-workers up' again, or set MONGO_URI and REDIS_URL."
        )


class ServerSilent(StackError):
    """Raised when a server that a command needs does not answer."""

    def __init__(self, program: str, address: str, reason: str) -> None:
        super().__init__(f"{program} at {address} does not answer ({reason}): is it running, and is the address right?")


class ServerForeign(StackError):
    """Raised when a command would use a server that is another system's."""


class MessagesWait(WorkersError):
    """Raised when a server is to be handed over in which the other system's messages wait."""

    def __init__(self, found: int) -> None:
        super().__init__(
            f"{found} messages wait in the broker: if they are this system's, because it was restored, moved or given "
            "a new profile, add --with-messages; if not, this is the wrong broker."
        )
        self.found = found


class DatabaseRefuses(ServerSilent):
    """Raised when the database answers and refuses us until somebody acts."""

    def __init__(self, address: str, told: str) -> None:
        StackError.__init__(self, f"MongoDB at {address}: {told}.")


def database_silent(address: str, error: Exception) -> ServerSilent:
    """Return what to raise of an error of the database's: that it does not answer, or why it refuses us."""
    refusal = refusal_in(error)
    if refusal is None:
        return ServerSilent("MongoDB", address, type(error).__name__)
    return DatabaseRefuses(address, told_of(error, refusal))


class BrokerInUse(StackError):
    """Raised when the demo is pointed at a broker that real work goes through."""

    def __init__(self, address: str, found: str) -> None:
        super().__init__(
            f"the demo would mix with other work, because REDIS_URL's server {address} {found}: unset REDIS_URL to let "
            "the demo start a server of its own, or name one that nobody uses."
        )


class UnknownTask(WorkersError):
    """Raised when no task has that name.

    Attributes:
        name: What was asked for.
        known: Every task's name.
    """

    def __init__(self, name: str, known: Sequence[str], *, kind: str = "task") -> None:
        close = get_close_matches(name, known, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        super().__init__(
            f"there is no {kind} {name}{hint}; the known ones are:\n" + "\n".join(f"  {one}" for one in known)
        )
        self.name = name
        self.known = tuple(known)


class TaskFailed(WorkersError):
    """Raised when a task ended with an error.

    Attributes:
        task: Its name.
        reason: What the error says.
    """

    def __init__(self, task: str, reason: str) -> None:
        super().__init__(f"the task {task} failed: {reason}")
        self.task = task
        self.reason = reason


class PaymentUnreadable(WorkersError):
    """Raised when there is nothing to show of a payment."""

    def __init__(self, payment_id: str, reason: str) -> None:
        super().__init__(f"payment {payment_id} cannot be shown: {reason}")
        self.payment_id = payment_id


class LetterUnusable(WorkersError):
    """Raised when a dead letter cannot be shown or replayed."""

    def __init__(self, letter_id: str, reason: str) -> None:
        super().__init__(f"dead letter {letter_id} cannot be used: {reason}")
        self.letter_id = letter_id


class AlertUnusable(WorkersError):
    """Raised when an alert cannot be closed."""

    def __init__(self, alert: str, reason: str) -> None:
        super().__init__(f"alert {alert} cannot be closed: {reason}")
        self.alert = alert


class AlertUnknown(WorkersError):
    """Raised when there is no alert of a name and key."""

    def __init__(self, alert: str) -> None:
        super().__init__(
            f"there is no alert {alert}: expected NAME:KEY as 'nestcms-workers alerts list --all' shows it"
        )
        self.alert = alert


class CaseUnusable(WorkersError):
    """Raised when a case cannot be found or settled."""

    def __init__(self, case_id: str, reason: str) -> None:
        super().__init__(f"case {case_id} cannot be settled: {reason}")
        self.case_id = case_id


class CardUnusable(WorkersError):
    """Raised when a stored card cannot be forgotten, or its token not be encrypted anew."""

    def __init__(self, card_id: str, reason: str) -> None:
        super().__init__(f"card {card_id}: {reason}")
        self.card_id = card_id


class PageStands(WorkersError):
    """Raised when a payment's page is not overridden."""

    def __init__(self, payment_id: str, reason: str) -> None:
        super().__init__(f"payment {payment_id} is as it was: {reason}")
        self.payment_id = payment_id


class DocumentNotGone(WorkersError):
    """Raised when a document of the CMS is not taken for gone."""

    def __init__(self, document_id: str, reason: str) -> None:
        super().__init__(f"nothing was changed of {document_id}: {reason}")
        self.document_id = document_id


class NotImported(WorkersError):
    """Raised when a payment is not taken over as settled outside."""

    def __init__(self, payment_id: str, reason: str) -> None:
        super().__init__(f"payment {payment_id} is as it was: {reason}")
        self.payment_id = payment_id


class PayTabsUnset(StackError):
    """Raised when a command has to ask PayTabs, and neither the settings nor a running stack say how."""

    def __init__(self) -> None:
        super().__init__(
            "PayTabs has to be asked first: set PAYTABS_PROFILE, PAYTABS_SERVERK and PAYTABS_REGION, or start "
            "'nestcms-workers up', whose sandbox stands in for PayTabs."
        )


class SealsApart(WorkersError):
    """Raised when the seals in the database are not those outside it."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"nothing was sealed: {reason}. 'nestcms-workers audit verify' says more; what to do is in "
            "docs/operations.md, “The audit trail”."
        )


class CopyUnreadable(WorkersError):
    """Raised when the seals' copy outside the database cannot be read, so that nothing is known of the trail."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f"nothing was verified: the seals' copy {path} cannot be read ({reason}). Name another one with --file, "
            "or leave it out with --no-file."
        )


class UnknownReaction(UnknownTask):
    """Raised when no reaction to events has that name."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(name, known, kind="reaction")


class ReplayUnusable(WorkersError):
    """Raised when a replay cannot be gone on with."""

    def __init__(self, replay_id: str, reason: str) -> None:
        super().__init__(f"{replay_id} cannot be gone on with: {reason}")
        self.replay_id = replay_id


class EventNotLate(WorkersError):
    """Raised when an event is to be accepted that no seal names as late."""

    def __init__(self, event_id: str) -> None:
        super().__init__(f"event {event_id} cannot be accepted: no seal names it as late")
        self.event_id = event_id


class NoAnswer(WorkersError):
    """Raised when a task has not ended within the time that its caller had."""

    def __init__(self, task: str, task_id: str, seconds: float) -> None:
        super().__init__(
            f"the task {task} has not answered within {seconds:g} s; it stays enqueued as {task_id}. Does a worker of "
            "its queue run ('nestcms-workers up')?"
        )
        self.task_id = task_id


class DemoFailed(WorkersError):
    """Raised when something that the demo checks is not so.

    Attributes:
        step: The step's title.
    """

    def __init__(self, step: str, happened: str, logs: Path) -> None:
        super().__init__(f"the step “{step}” failed: {happened}. The processes' logs are in {logs}.")
        self.step = step
