"""What callers have read in the end, held against what PayTabs did: nobody reads of a failure where money moved."""

from collections import Counter
from contextlib import suppress
from typing import Any

from payments.errors import Refusal
from tests.chaos.fire.books import Books
from tests.chaos.fire.people import PASSING, People
from tests.chaos.fire.report import Line
from tests.chaos.stage import Json

#: Ends that say nothing of the money: the outcome is unknown, others are at it, or there was no such payment then.
NO_FAILURE = ("OutcomeUnknown", "StreamContended", Refusal.PAYMENT_UNKNOWN)

#: Tasks whose answer tells the operation's own status; the others' tells how the payment stands.
FOLLOW_UPS = frozenset({"payments.capture", "payments.void", "payments.release", "payments.refund"})

#: How such an answer says that the operation did nothing.
UNDONE = frozenset({"failed", "refused"})


def results(books: Books, people: People) -> Line:
    """Hold every result that a caller can read against the movements at PayTabs."""
    moved = {books.owners[one["cart_id"]]["_id"] for one in books.movements if one["cart_id"] in books.owners}
    told, wrong = Counter[str](), []
    for task, arguments, asked in people.asked:
        meta = _meta(asked)
        told[str(meta.get("status"))] += 1
        operation_id = arguments.get("operation_id")
        if operation_id in moved and (said := _failure(task, meta)):
            wrong.append(f"{task} {operation_id}: {said}")
    measured = ", ".join(f"{number} {status}" for status, number in sorted(told.items()))
    return Line("no result says failure for money that moved", measured, wrong)


def _meta(asked: Any) -> Json:
    with suppress(*PASSING):
        return dict(asked.meta)
    return {}


def _failure(task: str, meta: Json) -> str:
    """Tell in which words a result says that nothing was done; empty when it does not."""
    result = meta.get("result")
    if meta.get("status") == "FAILURE":
        said = repr(result)
        return "" if any(word in said for word in NO_FAILURE) else said
    answer = result if isinstance(result, dict) else {}
    return str(answer) if task in FOLLOW_UPS and answer.get("status") in UNDONE else ""
