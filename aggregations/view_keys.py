"""Which group a value of a source document belongs to, read as the pipelines read it, whatever its type."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId

#: A group of a view: the id of what it is about, or a day.
Group = ObjectId | str

#: The group of what has no day.
UNDATED = "undated"

#: Matches nothing: what somebody has put into a view that is no group of it has no source.
NOTHING: dict[str, Any] = {"_id": {"$in": []}}

#: How a group that is a day is written.
DAY = "%Y-%m-%d"


def ids(value: object) -> tuple[ObjectId, ...]:
    """Return the ids that a reference matches: itself, or those in its list."""
    return tuple(one for one in _each(value) if isinstance(one, ObjectId))


def references(value: object) -> tuple[Any, ...]:
    """Return what a field of references names, ids of any type; documents within are no references."""
    return tuple(one for one in _each(value) if not isinstance(one, dict | list | None))


def day_of(value: object) -> str:
    """Return the day of a time in UTC; what is no time has none."""
    if not isinstance(value, datetime):
        return UNDATED
    moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return f"{moment:%Y}".zfill(4) + f"{moment:-%m-%d}"


def starts(day: str) -> datetime:
    """Return the first moment of a day."""
    return datetime.strptime(day, DAY).replace(tzinfo=UTC)


def within(day: str) -> dict[str, Any]:
    """Return the match of what was created on a day; of what has no day, that which has none."""
    if day == UNDATED:
        return {"$expr": {"$ne": [{"$type": "$createdAt"}, "date"]}}
    try:
        first = starts(day)
    except ValueError:
        return NOTHING
    try:
        return {"createdAt": {"$gte": first, "$lt": first + timedelta(days=1)}}
    except OverflowError:
        return {"createdAt": {"$gte": first}}


def _each(value: object) -> Iterable[object]:
    return value if isinstance(value, list) else (value,)
