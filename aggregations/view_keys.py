"""Which group a value of a source document belongs to, read as the pipelines read it, whatever its type."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId

#: A group of a view: the id of what it is about, or a day.
Group = ObjectId | str

#: The group of what has no day.
UNDATED = "undated"

#: The group of what a time is written for, but none of a day: beyond the years that can be written, or a list. A span
#: that is open at one end may hold it, as MongoDB compares.
OUTSIDE = "outside"

#: The groups that are no days.
NO_DAYS = frozenset({UNDATED, OUTSIDE})

#: The first and the last moment that lie in a day.
FIRST_MOMENT, LAST_MOMENT = (
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
)

#: Matches nothing: what somebody has put into a view that is no group of it has no source.
NOTHING: dict[str, Any] = {"_id": {"$in": []}}

#: How long an id is as text.
ID_TEXT_LENGTH = 24

#: How a group that is a day is written.
DAY = "%Y-%m-%d"


def ids(value: object) -> tuple[ObjectId, ...]:
    """Return the ids that a reference matches: itself, or those in its list."""
    return tuple(one for one in _each(value) if isinstance(one, ObjectId))


def ids_or_text(value: object) -> tuple[ObjectId, ...]:
    """Return the ids that a reference names, as themselves or as their text."""
    found = (_id_of(one) for one in _each(value))
    return tuple(one for one in found if one is not None)


def references(value: object) -> tuple[Any, ...]:
    """Return what a field of references names, ids of any type; documents within are no references."""
    return tuple(one for one in _each(value) if not isinstance(one, dict | list | None))


def day_of(value: object) -> str:
    """Return the day of a time in UTC; what is no time has none."""
    if not isinstance(value, datetime):
        return UNDATED
    moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return f"{moment:%Y}".zfill(4) + f"{moment:-%m-%d}"


def days_of(value: object) -> tuple[str, ...]:
    """Return the groups that a document with this time may be in, of what is no day in case of doubt both."""
    if isinstance(value, datetime):
        return (day_of(value),)
    if isinstance(value, list):
        return (OUTSIDE,)
    # The map keeps of a time that Python has no room for, as of anything odd, only that it was there.
    return (UNDATED,) if isinstance(value, str | ObjectId | None) else (UNDATED, OUTSIDE)


def starts(day: str) -> datetime:
    """Return the first moment of a day."""
    return datetime.strptime(day, DAY).replace(tzinfo=UTC)


def within(day: str) -> dict[str, Any]:
    """Return the match of what is in the group of a day; every document is in exactly one group."""
    if day == UNDATED:
        return {"createdAt": {"$not": {"$type": ["date", "array"]}}}
    if day == OUTSIDE:
        odd: list[dict[str, Any]] = [{"$type": "array"}, {"$lt": FIRST_MOMENT}, {"$gt": LAST_MOMENT}]
        return {"$or": [{"createdAt": one} for one in odd]}
    if not is_day(day):
        return NOTHING
    last = starts(day) + timedelta(hours=23, minutes=59, seconds=59, milliseconds=999)
    # A list would match with any of its times, so that it were in several groups.
    return {"createdAt": {"$gte": starts(day), "$lte": last, "$not": {"$type": "array"}}}


def is_day(text: str) -> bool:
    """Tell whether a text is a day, written as we write it."""
    try:
        return day_of(starts(text)) == text
    except ValueError:
        return False


def _id_of(value: object) -> ObjectId | None:
    text = value.strip() if isinstance(value, str) else ""
    if isinstance(value, ObjectId):
        return value
    return ObjectId(text) if len(text) == ID_TEXT_LENGTH and ObjectId.is_valid(text) else None


def _each(value: object) -> Iterable[object]:
    return value if isinstance(value, list) else (value,)
