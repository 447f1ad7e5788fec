"""The token of a tag: random, and behind an `@` the database's time of the change that it speaks of.

A build that finds such a token reads at that time or later, so that a secondary which has not heard of the change
cannot give the answer from before it.
"""

import re
from collections.abc import Iterable
from uuid import uuid4

from bson import Timestamp

#: Before every tag's key.
PREFIX = "nestcms:tag:"

#: How long a token is kept, in seconds: longer than any entry lives. A missing one is a miss as well.
KEPT_SECONDS = 7 * 86_400

#: A time of the database in a task's arguments and in tokens: seconds since 1970 and a number within the second.
CLUSTER_TIME = r"^[0-9]{1,10}\.[0-9]{1,10}$"

#: The largest number that MongoDB's time has room for in either part.
_MOST = 2**32 - 1


def new_token(at: Timestamp | None = None) -> str:
    """Return a token that no entry was built under."""
    return uuid4().hex if at is None else f"{uuid4().hex}@{written(at)}"


def written(at: Timestamp) -> str:
    """Return a time of the database as text."""
    return f"{at.time}.{at.inc}"


def cluster_time(text: str) -> Timestamp | None:
    """Return a time of the database from its text, None when that is none."""
    if not re.match(CLUSTER_TIME, text):
        return None
    seconds, number = (int(part) for part in text.split("."))
    return Timestamp(seconds, number) if max(seconds, number) <= _MOST else None


def latest(tokens: Iterable[str]) -> Timestamp | None:
    """Return the latest time that any of these tokens speaks of, if one does."""
    times = [at for token in tokens if (at := cluster_time(token.partition("@")[2])) is not None]
    return max(times, default=None)
