"""Answers as plain JSON that every reader understands exactly: no floats for money, no times without a zone."""

import math
from datetime import UTC, datetime
from decimal import Decimal

from bson import Decimal128, ObjectId


def to_json(value: object) -> object:
    """Return MongoDB values as plain JSON: ids and exact decimals as text, times as ISO-8601 UTC."""
    if isinstance(value, dict):
        return {str(name): to_json(member) for name, member in value.items()}
    if isinstance(value, list):
        return [to_json(member) for member in value]
    if isinstance(value, ObjectId | Decimal128 | Decimal):
        return str(value)
    if isinstance(value, datetime):
        return iso_utc(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no word for it, and Python's would break every other reader
    return value


def iso_utc(moment: datetime) -> str:
    """Return an aware time as ISO-8601 UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
