"""Which tasks only look, and how the others are written down when a person enqueues them.

Decided here: what is not known to look only is an act, so that a new task is written down until somebody decides
otherwise.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any

from config.redaction import redact_text
from config.settings import Settings
from workers.cli_audit_entry import Action, operator_action
from workers.cli_enqueue import arguments_of

#: Names, or patterns of them, of tasks that tell something, or do what a schedule has them do anyway.
LOOKING = (
    "payments.get",
    "payments.history",
    "tokens.query",
    "cards.list",
    "invoices.status",
    "aggregations.*",
    "maintenance.sweep_*",
    "maintenance.seal_events",
    "events.dispatch",
)

#: What stands for the reason of who gives none.
NO_REASON = "asked on the command line"


def acts(task: str) -> bool:
    """Tell whether a task does more than look."""
    return not any(fnmatchcase(task, pattern) for pattern in LOOKING)


def signed(task: str, arguments: Mapping[str, Any], *, by: str, reason: str) -> dict[str, Any]:
    """Return a task's arguments with who asks and why, as far as it takes that: whoever does the act writes it down.

    Args:
        task: A known task.
        arguments: What was typed; a name or a reason in it goes before the command's.
        by: Who.
        reason: Why.
    """
    if not acts(task):
        return dict(arguments)
    why = {} if reason == NO_REASON else {_reason_of(task): redact_text(reason)}
    who = {"requested_by": redact_text(by)}
    return {**who, **{name: text for name, text in why.items() if name}, **arguments}


def _reason_of(task: str) -> str | None:
    """Name the argument in which a task takes a reason that is kept; None when it takes none."""
    taken = arguments_of(task).model_fields
    keeps = "audit_reason" if "audit_reason" in taken else "reason"
    return keeps if keeps in taken else None


@contextmanager
def recorded(settings: Settings, task: str, arguments: Mapping[str, Any], *, by: str, reason: str) -> Iterator[Action]:
    """Have the enqueueing of a task written down, if it is an act."""
    if not acts(task):
        yield Action(entry=0)
        return
    given = {**arguments, "task": task}
    with operator_action(settings, command="enqueue", by=by, reason=reason, arguments=given) as action:
        yield action
