"""Answers as plain JSON that every reader understands exactly: no floats for money, no times without a zone.

What JSON and this system have no word for (binary data, a time beyond the year 9999) is written as MongoDB's Extended
JSON, relaxed: a strange member of one document must not keep its whole answer from the caller.
"""

import math
from datetime import UTC, datetime
from decimal import Decimal

from bson import Decimal128, ObjectId, json_util


def to_json(value: object) -> object:
    """Return MongoDB values as plain JSON: ids and exact decimals as text, times as ISO-8601 UTC."""
    if isinstance(value, dict):
        return {str(name): to_json(member) for name, member in value.items()}
    if isinstance(value, list):
        return [to_json(member) for member in value]
    return _to_json(value)


def _to_json(value: object) -> object:
    if isinstance(value, ObjectId | Decimal128 | Decimal):
        return str(value)
    if isinstance(value, datetime):
        return iso_utc(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no word for it, and Python's would break every other reader
    if value is None or isinstance(value, str | int | float):
        return value
    return to_json(json_util.default(value, json_util.RELAXED_JSON_OPTIONS))


def iso_utc(moment: datetime) -> str:
    """Return an aware time as ISO-8601 UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
