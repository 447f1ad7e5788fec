"""Taking a card's token out of a body that is kept: everything else stays as it came, byte for byte where that can be.

An empty token stands where one was, which every reader takes for none. The row's id stays the hash of what came.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from paytabs.errors import MalformedBody
from paytabs.transactions import read_json

#: Members that hold a token, whatever their case and wherever they stand.
_MEMBERS = frozenset({"token", "payment_token"})

_WRITTEN = re.compile(rb'(?i)("(?:payment_)?token"\s*:\s*")(?:[^"\\]|\\.)*"')

#: The same in what is no JSON: a form, a text within a text.
_NAMED = re.compile(rb"""(?i)((?:\b|_)token\\*["']?\s*[:=]\s*\\*["']?)[^\\"'\s&,;}\]]+""")


def has_token(body: bytes) -> bool:
    """Tell whether a body holds a token; one that is no JSON is judged by its looks."""
    try:
        return any(_tokens(read_json(body)))
    except MalformedBody:
        return _NAMED.search(body) is not None


def without_token(body: bytes) -> bytes:
    """Return a body without any token."""
    if not has_token(body):
        return body
    cut = _WRITTEN.sub(rb'\1"', body)
    if has_token(cut) and not _is_json(cut):
        return _NAMED.sub(rb"\1", cut)
    if not has_token(cut):
        return cut
    # Its name is written in a way of its own, or it is no text: what it says is kept, how it was written is not.
    return json.dumps(_emptied(read_json(cut)), default=str, separators=(",", ":"), ensure_ascii=False).encode()


def _is_json(body: bytes) -> bool:
    try:
        read_json(body)
    except MalformedBody:
        return False
    return True


def _tokens(value: object) -> Iterator[object]:
    if isinstance(value, Mapping):
        for name, member in value.items():
            if str(name).lower() in _MEMBERS and member not in (None, ""):
                yield member
            else:
                yield from _tokens(member)
    elif isinstance(value, list):
        for member in value:
            yield from _tokens(member)


def _emptied(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, Mapping):
        return {name: "" if str(name).lower() in _MEMBERS else _emptied(member) for name, member in value.items()}
    return [_emptied(member) for member in value] if isinstance(value, list) else value
