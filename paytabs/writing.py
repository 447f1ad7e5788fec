"""Writes a request's JSON: exact decimals as numbers, which the standard encoder cannot do, and nothing empty.

Only members that a model declares are written, so what slipped past its validation cannot leave.
"""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any


def write_json(members: Mapping[str, Any]) -> bytes:
    """Write a request body, leaving out members that are null or empty.

    Args:
        members: Strings, integers, booleans, decimals, lists and mappings of them. A decimal is written with the digits
            it has.

    Raises:
        TypeError: For anything else, floats above all.
    """
    return _write(members).encode("ascii")


def _write(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, Mapping):
        kept = {name: written for name, written in value.items() if not _is_empty(written)}
        return "{" + ",".join(f"{json.dumps(name)}:{_write(written)}" for name, written in kept.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(_write(entry) for entry in value) + "]"
    if isinstance(value, (str, int)):
        return json.dumps(value)
    raise TypeError(f"{type(value).__name__} has no place in a request")


def _is_empty(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(_is_empty(member) for member in value.values())
    return value is None or value in ("", (), [])
