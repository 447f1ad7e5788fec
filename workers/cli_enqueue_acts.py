"""Which tasks only look, and how the others are written down when a person enqueues them.

Decided here: what is not known to look only is an act, so that a new task is written down until somebody decides
otherwise.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any

from config.settings import Settings
from workers.cli_audit_entry import Action, operator_action

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


@contextmanager
def recorded(settings: Settings, task: str, arguments: Mapping[str, Any], *, by: str, reason: str) -> Iterator[Action]:
    """Have the enqueueing of a task written down, if it is an act."""
    if not acts(task):
        yield Action(entry=0)
        return
    given = {**arguments, "task": task}
    with operator_action(settings, command="enqueue", by=by, reason=reason, arguments=given) as action:
        yield action
