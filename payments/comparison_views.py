"""What people and programs are told of a comparison: one finding as plain JSON, or as one line."""

from typing import Any

from payments.comparison import Finding
from payments.corrections import Judged, in_words
from payments.movements import Movement


def view_finding(payment_id: str, judged: Judged) -> dict[str, Any]:
    """Return a finding as plain JSON; amounts are decimal text in major units."""
    found = judged.finding
    asked = {"by": found.question.by, "value": found.question.value} if found.question else None
    return {
        "payment_id": payment_id, "kind": found.kind, "tran_ref": found.tran_ref, "operation_id": found.operation_id,
        "fields": list(found.fields), "standing": judged.standing, "ours": _entry(found.ours),
        "theirs": _entry(found.theirs), "question": asked, "detail": found.detail,
    }  # fmt: skip


def line(payment_id: str, judged: Judged) -> str:
    """Return a finding as one line."""
    found = judged.finding
    became = f"  [{judged.standing}]" if judged.standing else ""
    return f"{payment_id}  {found.kind:<11}  {_subject(found)}  {_said(found)}{became}"


def _subject(found: Finding) -> str:
    if found.question:
        return f"{found.question.by} {found.question.value}"
    return found.tran_ref or f"operation {found.operation_id}"


def _said(found: Finding) -> str:
    if found.question:
        return f"not answered: {found.detail}"
    fields = f"{', '.join(found.fields)}: " if found.fields else ""
    why = f" ({found.detail})" if found.detail else ""
    return f"{fields}ours {in_words(found.ours)}, PayTabs' {in_words(found.theirs)}{why}"


def _entry(entry: Movement | None) -> dict[str, Any] | None:
    if entry is None:
        return None
    return {
        "type": entry.kind, "status": entry.standing, "amount": f"{entry.amount:f}",
        "currency": "/".join(sorted(entry.currencies)) or None, "acts_on": entry.previous,
    }  # fmt: skip
