"""Which key an alert has: what versions before keyed by something else is counted under the key of this one.

Yesterday's workers may go on writing old keys, so this is looked at for as long as alerts are tended.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from payments.ladder import LADDERS
from payments.notices import KEYS as UNKNOWN_KEYS
from payments.notices import OUR_PROFILE
from payments.operations import OperationsLedger
from payments.owed import MISSING
from payments.owed import Kind as Missing
from payments.projections import ALL_PAYMENTS
from payments.sealing import AUDIT_TRAIL, SEAL_FILE

#: Where a dead letter counts whose task this version does not have.
OTHER: Final = "other"

#: Where an operation counts whose row is not there any more.
NO_KIND: Final = "unknown"

Row = Mapping[str, Any]
Placed = Callable[[Row, OperationsLedger], str]


def _of_kind(row: Row, ledger: OperationsLedger) -> str:
    if row["key"] in {*LADDERS, NO_KIND}:
        return str(row["key"])
    found = ledger.get(row["key"])
    return found.kind if found else NO_KIND


def _error(row: Row) -> str:
    """Return the sort of error of a delivery's alert: its key, or the first word of an old one's sentence."""
    is_delivery = re.fullmatch("[0-9a-f]{64}", row["key"]) is not None
    return str(row["detail"]).partition(" ")[0] if is_delivery else str(row["key"])


#: The key under which a row of each name belongs; names that are not here have the keys that they always had.
KEYS: Final[Mapping[str, Placed]] = {
    "unknown_payment": lambda row, _: row["key"] if row["key"] in UNKNOWN_KEYS else OUR_PROFILE,
    MISSING: lambda row, _: row["key"] if row["key"] in set(Missing) else ALL_PAYMENTS,
    "operation_given_up": _of_kind,
    "operation_unanswered": _of_kind,
    "delivery_fails": lambda row, _: _error(row),
    "late_event": lambda _, __: AUDIT_TRAIL,
    "seal_not_written": lambda _, __: SEAL_FILE,
    "view_group_unreadable": lambda row, _: str(row["key"]).partition(":")[0],
    "view_list_cut": lambda row, _: str(row["key"]).partition(":")[0],
}


def letter_key(task: str | None, known: Iterable[str]) -> str:
    """Return the key of a dead letter's alert: its task, which anybody may have written into a message."""
    return task if task and task in known else OTHER
