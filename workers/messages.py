"""What a task message must look like before anything of Celery or Kombu touches it.

A stock worker dies of a message whose parts have other types than it expects, and finds the message again after its
restart. So the whole message is held to a closed table first: what breaks it is never delivered. Sizes are bounded
before anything is parsed, since both a long text and a deep one can end a process by themselves.
"""

import base64
import binascii
import json
import math
import re
from collections.abc import Mapping
from typing import Any, NoReturn
from uuid import uuid4

from workers.message_headers import HEADERS, PROPERTIES, Rule

Json = dict[str, Any]

#: The longest message in bytes: arguments are ids, amounts and short texts.
MAX_MESSAGE_BYTES = 1_048_576

#: The longest message between workers, which may list every task that was revoked.
MAX_CONTROL_BYTES = 16 * MAX_MESSAGE_BYTES

#: The deepest nesting, far from where Python's own parsers give up.
MAX_DEPTH = 64

#: Task messages carry JSON and nothing that could run.
CONTENT_TYPE = "application/json"

#: Other encodings, some of which decompress, are refused.
ENCODINGS = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})

#: Escapes of characters that no text may hold: null, and halves of characters.
_SUSPECT_ESCAPE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


class Malformed(Exception):
    """Raised when a message is not one that a worker may touch.

    Attributes:
        part: What is wrong with it: ``envelope``, ``body``, or a header's or property's name.
        expected: What would have been accepted; the message's own words are not repeated.
    """

    def __init__(self, part: str, expected: str) -> None:
        self.part = part
        self.expected = expected
        super().__init__(part, expected)

    def __str__(self) -> str:
        return f"{self.part}: expected {self.expected}"


def read_envelope(raw: bytes | str, *, most_bytes: int = MAX_MESSAGE_BYTES) -> Json:
    """Read any message of the broker: an object with a body, headers and properties.

    Args:
        raw: The message as the broker holds it.
        most_bytes: How long it may be.

    Raises:
        Malformed: it is something else.
    """
    envelope = read_json(_text(raw, "envelope", most_bytes), "envelope")
    if not isinstance(envelope, dict):
        raise Malformed("envelope", "an object")
    headers, properties = envelope.get("headers"), envelope.get("properties")
    if not (headers is None or isinstance(headers, dict)):
        raise Malformed("headers", "an object")
    if headers and headers.get("compression") is not None:
        raise Malformed("compression", "none: a small message could unpack to any size")
    if not isinstance(properties, dict):
        raise Malformed("properties", "an object")
    if not isinstance(properties.get("delivery_info"), dict):
        raise Malformed("delivery_info", "an object")
    if properties.get("body_encoding") not in (None, "base64"):
        raise Malformed("body_encoding", "base64 or none")
    if not isinstance(envelope.get("body"), str):
        raise Malformed("body", "a text")
    return envelope


def check_task_message(envelope: Json) -> None:
    """Check that an envelope carries a task: its headers by the table, and a body of three parts.

    Raises:
        Malformed: it carries something else.
    """
    if envelope.get("content-type") != CONTENT_TYPE:
        raise Malformed("content-type", CONTENT_TYPE)
    encoding = envelope.get("content-encoding")
    if not isinstance(encoding, str) or encoding.lower() not in ENCODINGS:
        raise Malformed("content-encoding", "utf-8")
    _check_members(envelope.get("headers") or {}, HEADERS)
    _check_members(envelope["properties"], PROPERTIES)
    check_body(read_body(envelope))


def set_delivery(envelope: Json, queue: str) -> None:
    """Set what only concerns the way to the worker, whatever the sender wrote there.

    A message that comes back goes to the queue it was found in, and a tag belongs to one delivery: two messages with
    one tag would be acknowledged together.
    """
    properties = envelope["properties"]
    properties["delivery_tag"] = str(uuid4())
    properties["delivery_info"] |= {"exchange": "", "routing_key": queue}
    envelope["headers"]["retries"] = envelope["headers"].get("retries") or 0


def read_body(envelope: Json) -> Any:  # noqa: ANN401 - JSON
    """Read an envelope's body.

    Raises:
        Malformed: it is not base64, or not JSON.
    """
    return read_json(_text(body_bytes(envelope), "body"), "body")


def body_bytes(envelope: Json) -> bytes:
    """Take an envelope's body out of its encoding.

    Raises:
        Malformed: it is not base64.
    """
    body: str = envelope["body"]
    if envelope["properties"].get("body_encoding") is None:
        return body.encode("utf-8", "backslashreplace")
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed("body", "base64") from error


def check_body(body: Any) -> None:  # noqa: ANN401 - JSON
    """Check the three parts: positional arguments, arguments by name, and what is to follow.

    Raises:
        Malformed: they are something else.
    """
    match body:
        case [list(), dict(), dict() | None as follow]:
            for name, shape in (("callbacks", list), ("errbacks", list), ("chain", list), ("chord", dict)):
                part = (follow or {}).get(name)
                signatures = part if isinstance(part, list) else [part]
                usable = all(isinstance(one, dict) and isinstance(one.get("task"), str) for one in signatures)
                if part is not None and not (isinstance(part, shape) and usable):
                    raise Malformed(f"body: {name}", "signatures of tasks, or null")
        case _:
            raise Malformed("body", "[positional arguments, arguments by name, {callbacks, errbacks, chain, chord}]")


def read_json(text: str, part: str) -> Any:  # noqa: ANN401 - JSON
    """Parse JSON as the standard has it, within bounds.

    Raises:
        Malformed: it is not JSON, too deep, or holds characters that are none.
    """
    if depth_of(text) > MAX_DEPTH:
        raise Malformed(part, f"at most {MAX_DEPTH} levels")
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise Malformed(part, "JSON") from error
    if _SUSPECT_ESCAPE.search(text) and not _is_clean(value):
        raise Malformed(part, "texts without null characters and half characters")
    return value


def depth_of(text: str) -> int:
    """Count how deep a JSON text nests, without parsing it."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return 0  # it cannot be too deep, which is nearly always so
    depth = deepest = 0
    for sign in re.findall(r"[\[\]{}]", _STRING.sub("", text)):
        depth += 1 if sign in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _text(raw: bytes | str, part: str, most_bytes: int = MAX_MESSAGE_BYTES) -> str:
    if len(raw) > most_bytes:
        raise Malformed(part, f"at most {most_bytes} bytes, got {len(raw)}")
    try:
        return raw if isinstance(raw, str) else raw.decode()
    except UnicodeDecodeError as error:
        raise Malformed(part, "UTF-8") from error


def _refuse(_constant: str) -> NoReturn:
    raise ValueError("not a number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number too large")
    return value


def _is_clean(value: Any) -> bool:  # noqa: ANN401 - JSON
    match value:
        case str():
            return "\0" not in value and not any("\ud800" <= sign <= "\udfff" for sign in value)
        case list():
            return all(map(_is_clean, value))
        case dict():
            return all(_is_clean(name) and _is_clean(one) for name, one in value.items())
    return True


def _check_members(given: Mapping[str, Any], table: Mapping[str, Rule]) -> None:
    for name, (fits, expected) in table.items():
        if not fits(given.get(name)):
            raise Malformed(name, expected)
