"""What became of making the indexes those that are declared, as JSON and in words: the same by every door."""

from dataclasses import asdict
from typing import Any

from aggregations.index_sync import SyncReport

Json = dict[str, Any]


def sync_json(report: SyncReport) -> Json:
    """Write what became of a sync."""
    seconds = {name: round(took, 3) for name, took in report.built.items()}
    return {**asdict(report), "built": seconds}


def sync_text(report: SyncReport) -> str:
    """Write what became of a sync, one thing a line."""
    lines = [f"Built {name} in {seconds:.2f} s." for name, seconds in report.built.items()]
    lines += [f"Dropped {name}." for name in report.dropped]
    lines += list(report.refused.values())
    if report.building:
        lines.append(f"The server is building already: {', '.join(report.building)}.")
    if report.left:
        lines.append(f"Not begun, for want of time: {', '.join(report.left)}. Ask again.")
    if report.waiting:
        lines.append(f"Not built, because their collections do not exist yet: {', '.join(report.waiting)}.")
    if not lines:
        lines.append("There was nothing to do: every declared index is there.")
    return "\n".join(lines)
