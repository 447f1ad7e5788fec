"""What each header and property of a task message may be: one closed table, names to predicates.

Celery reads these without looking at their types; a wrong one ends a worker or, worse, a later step of a task.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

#: What tells whether a value may be there, and the words for what may.
Rule = tuple[Callable[[Any], bool], str]

#: The longest id or name.
MAX_NAME_LENGTH = 255

#: The longest wait or time limit that makes any sense, in seconds.
MAX_SECONDS = 366 * 86_400

#: Times between these years survive every time zone and every clock.
FIRST_YEAR, LAST_YEAR = 1970, 9000


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME_LENGTH and value.isprintable()


def _is_name_or_none(value: object) -> bool:
    return value is None or _is_name(value)


def _is_text_or_none(value: object) -> bool:
    return value is None or isinstance(value, str)


def _is_time_or_none(value: object) -> bool:
    if value is None:
        return True
    try:
        year = datetime.fromisoformat(value).year if isinstance(value, str) else 0
    except ValueError:
        return False
    return FIRST_YEAR < year < LAST_YEAR


def _is_seconds_or_none(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return value is None or (number and 0 < value <= MAX_SECONDS)  # type: ignore[operator] # number says that it is one


def _is_time_limit(value: object) -> bool:
    return value is None or (isinstance(value, list) and len(value) == 2 and all(map(_is_seconds_or_none, value)))  # noqa: PLR2004 - a pair


def _is_count_or_none(value: object) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31)


def _is_flag_or_none(value: object) -> bool:
    return value is None or isinstance(value, bool)


def _is_priority(value: object) -> bool:
    return value is None or (_is_count_or_none(value) and value in range(256))


def _is_names_or_none(value: object) -> bool:
    return value is None or (isinstance(value, list) and all(map(_is_name, value)))


def _is_object_or_none(value: object) -> bool:
    return value is None or isinstance(value, dict)


_NAME = (_is_name, f"a text of 1 to {MAX_NAME_LENGTH} printable characters")
_NAME_OR_NONE = (_is_name_or_none, "such a text, or null")
_TEXT_OR_NONE = (_is_text_or_none, "a text, or null")
_TIME_OR_NONE = (_is_time_or_none, "a time in ISO 8601, or null")
_COUNT_OR_NONE = (_is_count_or_none, "a number from 0, or null")
_NAMES_OR_NONE = (_is_names_or_none, "a list of texts, or null")

#: Every header that Celery reads, and what it may be. Others are callers' own and pass.
HEADERS: Mapping[str, Rule] = {
    "task": _NAME,
    "id": _NAME,
    "root_id": _NAME_OR_NONE,
    "parent_id": _NAME_OR_NONE,
    "group": _NAME_OR_NONE,
    "shadow": _NAME_OR_NONE,
    "argsrepr": _TEXT_OR_NONE,
    "kwargsrepr": _TEXT_OR_NONE,
    "origin": _TEXT_OR_NONE,
    "lang": _TEXT_OR_NONE,
    "meth": _TEXT_OR_NONE,
    "eta": _TIME_OR_NONE,
    "expires": _TIME_OR_NONE,
    "retries": _COUNT_OR_NONE,
    "group_index": _COUNT_OR_NONE,
    "replaced_task_nesting": _COUNT_OR_NONE,
    "timelimit": (_is_time_limit, "a pair of numbers of seconds, each of which may be null"),
    "ignore_result": (_is_flag_or_none, "true, false or null"),
    "stamped_headers": _NAMES_OR_NONE,
    "groups": _NAMES_OR_NONE,
    "stamps": (_is_object_or_none, "an object, or null"),
}

#: Every property that Celery or Kombu reads besides those checked in the envelope.
PROPERTIES: Mapping[str, Rule] = {
    "correlation_id": _NAME_OR_NONE,
    "reply_to": _NAME_OR_NONE,
    "priority": (_is_priority, "a number from 0 to 255, or null"),
}
