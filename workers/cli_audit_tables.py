"""How the audit trail is laid out for a person."""

from collections.abc import Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from payments.findings import Report
from payments.seal_file import SealFile

Json = dict[str, Any]

#: How many broken places, and how many notes, are shown.
SHOWN = 20


def told(report: Report, file: SealFile | None) -> str:
    """Write a report for a person: whether the trail is whole, else the first broken place and those after it."""
    if report.whole:
        counts = ", ".join(f"{count} {name}" for name, count in report.checked.items())
        where = f", as in {file.path}" if file is not None and report.sealed_until else ""
        lines = [f"The trail is whole: {counts}{where}.", f"Sealed up to {report.sealed_until or 'now: nothing'}."]
    else:
        lines = [f"The trail is broken. {report.findings[0]}"]
        lines += [f"  also {finding}" for finding in report.findings[1:SHOWN]]
        if (more := len(report.findings) + report.more - SHOWN) > 0:
            lines.append(f"  and {more} more places; --json lists them")
    return "\n".join([*lines, *(f"Note: {note}." for note in report.notes[:SHOWN])])


def entries_table(entries: Sequence[Json]) -> RenderableType:
    """Lay out what operators did, one act's beginning or end a line."""
    if not entries:
        return "No operator has done anything yet."
    table = Table(title="Operators' acts (UTC)", title_justify="left")
    for name in ("#", "when", "who", "command"):
        table.add_column(name, no_wrap=True)
    for name in ("arguments", "reason", "outcome"):
        table.add_column(name, overflow="fold")
    for entry in entries:
        given = " ".join(f"{name}={value}" for name, value in dict(entry.get("arguments") or {}).items())
        end = f"{entry.get('outcome')} (#{entry['began']})" if entry.get("began") else "begun"
        told = [entry.get(name) for name in ("n", "at", "by", "command")]
        table.add_row(*(Text(str(word)) for word in (*told, given, entry.get("reason"), end)))
    return table


def seals_table(seals: Sequence[Json]) -> RenderableType:
    """Lay out seals, one a line."""
    if not seals:
        return "Nothing is sealed yet."
    table = Table(title="Seals (UTC)", title_justify="left")
    for name in ("#", "horizon", "events", "late", "all events", "audit entries", "hash"):
        table.add_column(name, no_wrap=name != "hash", overflow="fold")
    for seal in seals:
        known = {**seal, "late": len(seal.get("late") or ())}
        words = (known.get(name) for name in ("n", "horizon", "count", "late", "total", "entries", "hash"))
        table.add_row(*(Text(str(word)) for word in words))
    return table
