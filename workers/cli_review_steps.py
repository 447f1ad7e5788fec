"""The commands that settle a case, ready to be pasted into a shell.

What moves money has an operation id made from the case, so that pasting a line twice moves it once. A try that PayTabs
refused keeps its id; the next line that is printed has another one.
"""

import json
import shlex
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any, get_args

from payments.cases import Case
from payments.operations import Operation, Status
from payments.reasons import LEAVES
from payments.settling import Decision
from workers.cli_enqueue import read_value

#: What a person fills in.
NOTE = "--note 'what you found'"

#: Rows of tries that came to nothing.
_SPENT = frozenset({Status.REFUSED, Status.FAILED})


def steps(case: Case, rows: Iterable[Operation], by: str) -> list[str]:
    """Return the command lines for a case: look, do what is proposed, settle.

    Args:
        case: The case.
        rows: The operations of its payment.
        by: Who would do it.
    """
    look = {"tran_ref": case.tran_ref} if case.tran_ref else {"payment_id": case.payment_id}
    settle = f"nestcms-workers review settle {case.case_id}{' --not-happened' if case.operation_id else ''}"
    ways = [f" --as {way}" for way in get_args(Decision)] if case.reason.code in LEAVES else [""]
    return [enqueue("payments.verify", look), *_proposed(case, rows, by), *(f"{settle}{way} {NOTE}" for way in ways)]


def _proposed(case: Case, rows: Iterable[Operation], by: str) -> list[str]:
    if case.proposal is None:
        return []
    asked = dict(case.proposal["arguments"])
    asked["operation_id"] = _free_id(f"case-{case.case_id}-{asked['tran_ref']}", rows)
    asked |= {"reason": f"case {case.case_id}", "requested_by": by}
    return [enqueue(str(case.proposal["task"]), asked)]


def _free_id(name: str, rows: Iterable[Operation]) -> str:
    """Return a name that no spent operation has."""
    spent = {row.operation_id for row in rows if row.status in _SPENT}
    return next(one for number in count(1) if (one := f"{name}-{number}") not in spent)


def enqueue(task: str, arguments: Mapping[str, Any]) -> str:
    """Write the line that enqueues a task with these arguments, quoted for a shell."""
    words = [shlex.quote(f"{name}={_text(value)}") for name, value in arguments.items()]
    return " ".join(["nestcms-workers enqueue", task, *words])


def _text(value: object) -> str:
    """Write a value so that it is read back as it is: text that would read as JSON gets its quotes."""
    return value if isinstance(value, str) and read_value(value) == value else json.dumps(value, ensure_ascii=False)
