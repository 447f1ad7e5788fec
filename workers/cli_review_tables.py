"""How cases look on a screen, and as JSON."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from payments.cases import Case
from payments.operations import Operation
from payments.reason_kinds import REASON_KINDS, words
from workers.cli_review_steps import steps

#: Facts that say what a human decided.
DECISIONS = frozenset({"ReviewSettled", "PageOverridden", "PaymentSettledOutside"})

#: What is shown of a case, in this order, and what it is called.
SHOWN = {
    "evidence": "evidence",
    "operation": "operation",
    "means": "means",
    "to_do": "what to do",
}

_UNLISTED = "a kind of case that this version does not know"


def plain(case: Case, rows: Sequence[Operation], by: str) -> dict[str, Any]:
    """Write a case as JSON has it."""
    kind = REASON_KINDS.get(case.reason.code)
    about = next((row for row in rows if _is_about(case, row)), None)
    return {
        "case_id": case.case_id,
        "payment_id": case.payment_id,
        "code": case.reason.code,
        "reason": words(case.reason),
        "evidence": list(case.evidence),
        "operation": _operation(about) if about else None,
        "means": kind.means if kind else _UNLISTED,
        "to_do": kind.to_do if kind else "settle it when it has been cleared up",
        "proposal": case.proposal,
        "commands": steps(case, rows, by),
    }


def decisions(history: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what humans have decided about a payment, oldest first."""
    return [
        {"at": event["recorded_at"], "what": event["type"], **event["data"]}
        for event in history
        if event["type"] in DECISIONS
    ]


def list_table(shown: Iterable[dict[str, Any]]) -> Table:
    """Lay out cases, one a line."""
    table = Table(title="Cases for a human", title_justify="left")
    for name in ("case", "payment", "proposed"):
        table.add_column(name, no_wrap=True)
    table.add_column("reason", overflow="fold")
    for case in shown:
        proposed = case["proposal"]["task"] if case["proposal"] else "-"
        table.add_row(case["case_id"], case["payment_id"], proposed, Text(case["reason"]))
    return table


def print_case(console: Console, case: dict[str, Any]) -> None:
    """Print everything about a case; its commands unfolded, so that they can be copied."""
    title = Text(f"Case {case['case_id']}: {case['reason']}", style="table.title")
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for field, name in SHOWN.items():
        if case[field]:
            table.add_row(name, Text(_value(case[field])))
    console.print(table)
    for line in case["commands"]:
        console.print(Text(f"  {line}"), soft_wrap=True)
    console.print()


def decisions_table(decided: Iterable[dict[str, Any]]) -> Table:
    """Lay out what was decided before."""
    table = Table(title="Decided before (UTC)", title_justify="left")
    for name in ("when", "who"):
        table.add_column(name, no_wrap=True)
    for name in ("what", "note"):
        table.add_column(name, overflow="fold")
    for one in decided:
        about = one.get("reason") or f"{one['what']} {one.get('tran_ref') or one.get('cart_id') or ''}".rstrip()
        table.add_row(str(one["at"]), Text(one["by"]), Text(about), Text(one["note"]))
    return table


def _is_about(case: Case, row: Operation) -> bool:
    return case.operation_id == row.operation_id or (row.tran_ref is not None and row.tran_ref == case.tran_ref)


def _operation(row: Operation) -> dict[str, Any]:
    return {
        "operation_id": row.operation_id,
        "kind": row.kind,
        "status": row.status,
        "open": row.open,
        "amount": row.params.get("amount"),
        "currency": row.params.get("currency"),
        "tran_ref": row.tran_ref,
        "carts": [send.cart_id for send in row.sends],
        "sent_at": row.sends[-1].sent_at.isoformat() if row.sends else None,
        "requested_by": row.requested_by,
        "correlation_id": row.correlation_id,
        "error": row.error,
    }


def _value(value: object) -> str:
    if isinstance(value, dict):
        return "  ".join(f"{name}={one}" for name, one in value.items() if one not in (None, []))
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)
