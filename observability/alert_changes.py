"""How an alert's document changes, as update pipelines: each is one write, so that two at once count two.

The list of what an alert counts is kept here: the newest first, each subject once, no more than `LATEST` of them.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

Document = dict[str, Any]
Pipeline = list[Document]

#: How many subjects an alert lists, and the longest sentence that it keeps, in characters.
LATEST: Final = 20
LONGEST_DETAIL: Final = 1_000

#: Whether the alert is open before the change. One that was never there is not.
_IS_OPEN: Final = {"$eq": ["$closed_at", None]}


def raising(name: str, key: str, detail: str, subject: str, now: datetime) -> Pipeline:
    """Return the change that opens an alert or counts it once more."""
    text = detail[:LONGEST_DETAIL]
    listed = [{"about": _said(subject), "detail": _said(text), "at": now}] if subject else []
    return [
        {
            "$set": {
                **_named(name, key),
                "opened_at": _if_open("$opened_at", now),
                "last_seen_at": now,
                "detail": _said(text),
                "count": {"$add": [_if_open({"$ifNull": ["$count", 0]}, 0), 1]},
                **_listing({"$concatArrays": [listed, _others(subject)]}),
            }
        }
    ]


def absorbing(row: Mapping[str, Any], key: str, subject: str) -> Pipeline:
    """Return the change that counts an alert with an old key in the one with its new key."""
    seen, opened = row["last_seen_at"], row["opened_at"]
    listed = [*row.get("latest", ()), {"about": subject, "detail": row["detail"], "at": seen}][:LATEST]
    both = {"$concatArrays": [_others(subject), _said(listed)]}
    is_newer = {"$or": [{"$not": [_IS_OPEN]}, {"$lt": ["$last_seen_at", seen]}]}
    return [
        {
            "$set": {
                **_named(row["name"], key),
                "opened_at": {"$min": [_if_open("$opened_at", opened), opened]},
                "last_seen_at": {"$max": [_if_open("$last_seen_at", seen), seen]},
                "detail": {"$cond": [is_newer, _said(row["detail"]), "$detail"]},
                "count": {"$add": [_if_open({"$ifNull": ["$count", 0]}, 0), row["count"]]},
                **_listing({"$sortArray": {"input": both, "sortBy": {"at": -1}}}),
            }
        }
    ]


def dropping(subject: str, closed: Document) -> Pipeline:
    """Return the change that takes a subject off the list, and closes the alert when it was the last one."""
    is_last = {"$and": [{"$eq": [{"$size": "$latest"}, 0]}, {"$not": [{"$ifNull": ["$more", False]}]}]}
    ended = {name: {"$cond": [is_last, _said(value), f"${name}"]} for name, value in closed.items()}
    return [{"$set": {"latest": _others(subject)}}, {"$set": ended}]


def _named(name: str, key: str) -> Document:
    return {"name": _said(name), "key": _said(key), "closed_at": None, "closed_by": None, "closed_why": None}


def _listing(together: Document) -> Document:
    """Return the members that list subjects: the first ones of all together, and whether some are left out."""
    had_more = {"$and": [_IS_OPEN, {"$ifNull": ["$more", False]}]}
    too_many = {"$gt": [{"$size": together}, LATEST]}
    return {"latest": {"$slice": [together, LATEST]}, "more": {"$or": [had_more, too_many]}}


def _others(subject: str) -> Document:
    """Return the subjects that are listed while the alert is open, without one."""
    listed = _if_open({"$ifNull": ["$latest", []]}, [])
    return {"$filter": {"input": listed, "cond": {"$ne": ["$$this.about", _said(subject)]}}}


def _if_open(value: Any, otherwise: Any) -> Document:  # noqa: ANN401 - any expression of the database's
    return {"$cond": [_IS_OPEN, value, otherwise]}


def _said(value: Any) -> Document:  # noqa: ANN401 - any value
    """Return a value that the database takes as it is, a dollar sign at its beginning included."""
    return {"$literal": value}
