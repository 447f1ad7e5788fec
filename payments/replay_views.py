"""What callers are told of a replay: ids, counts and ISO times, ready for JSON."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from payments.events import timestamp
from payments.replay_pieces import Found

Json = dict[str, Any]

#: Documents that a replay leaves as they are although something about them is not right.
LEFT = (Found.LEFT, Found.NEWER, Found.UNREADABLE)


def view_replay(row: Mapping[str, Any]) -> Json:
    """Return a replay's row as plain JSON."""
    times = ("from", "to", "started_at", "ended_at", "complete_to")
    return {
        "replay_id": row["_id"],
        **{name: row[name] for name in ("projection", "phase", "dry_run", "by", "reason")},
        **{name: _time(row[name]) for name in times},
        "counts": row["counts"] | ({Found.BUSY: len(row["busy"])} if row["busy"] else {}),
        "differs": differs(row),
        "members": dict(row["members"]),
        "samples": [_sample(one) for one in row["samples"]],
    }


def differs(row: Mapping[str, Any]) -> bool:
    """Tell whether something still is not as the events have it, as far as the replay has come."""
    counts = row["counts"]
    return bool(row["busy"]) or any(counts.get(name) for name in (Found.DIFFERING, *LEFT))


def _sample(one: Mapping[str, Any]) -> Json:
    fields = {name: {"found": found, "expected": expected} for name, found, expected in one["fields"]}
    ids = {name: str(one[name]) for name in ("payment_id", "document_id")}
    return {**ids, "found": one["found"], "fields": fields}


def _time(moment: datetime | None) -> str | None:
    return timestamp(moment) if moment else None
