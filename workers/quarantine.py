"""Quarantine: what a message that is never delivered leaves behind, and where it is put.

It goes into the broker's own list at once, which takes no longer than taking the next message; a sweep carries it to
`dead_letters`. Only the beginning is kept, decoded as far as possible and without anything secret: base64 would hide a
card number from every redaction.
"""

import base64
import binascii
import json
import re
from datetime import UTC, datetime
from typing import Any

import structlog

from config.redaction import redact, redact_text
from observability.dead_letters import WAITING_LIST, Kind, Letter, letter_id
from observability.metrics import MESSAGES_QUARANTINED
from workers.kept import OWED, Connected
from workers.messages import MAX_CONTROL_BYTES, Json, Malformed, body_bytes

log = structlog.get_logger(__name__)

#: How much of a message is kept, in characters.
KEPT_CHARACTERS = 4_000

#: The longest id or name that is taken over from a message that was refused.
KEPT_NAME = 200

_BASE64_RUN = re.compile(r"[A-Za-z0-9+/]{40,}={0,2}")
_LAST_WORD = re.compile(r"[\w+/=\- %]{1,80}\Z")


def refused(raw: bytes, queue: str, error: Malformed) -> Letter:
    """Write down a message that was refused before it was read.

    Args:
        raw: All of it.
        queue: Where it was found.
        error: What is wrong with it.
    """
    envelope = _parsed(raw)
    headers = envelope.get("headers") if isinstance(envelope.get("headers"), dict) else {}
    return Letter(
        letter_id=letter_id(queue, raw.decode("utf-8", "backslashreplace")),
        kind=Kind.MALFORMED,
        at=datetime.now(UTC),
        error="Malformed",
        text=str(error),
        queue=queue,
        task=_name(headers, "task"),
        task_id=_name(headers, "id"),
        correlation_id=_name(headers, "x-correlation-id"),
        raw=shown(raw, envelope),
        size_bytes=len(raw),
    )


def undeliverable(envelope: Json, queue: str, kind: Kind, reason: str, body: Any = None) -> Letter:  # noqa: ANN401 - JSON
    """Write down a well-formed message that nothing could be done with.

    Args:
        envelope: The message.
        queue: Where it was found.
        kind: Why it is not run.
        reason: The same as a sentence.
        body: Its three parts, where they were read.
    """
    named: Json = envelope.get("headers") or {}
    # What changes from one delivery to the next is left out, so that the same message has the same id.
    lasting = {
        **envelope,
        "headers": {name: value for name, value in named.items() if name != "redelivered"},
        "properties": {"body_encoding": envelope["properties"].get("body_encoding")},
    }
    raw = json.dumps(lasting, sort_keys=True).encode()
    given = {"args": body[0], "kwargs": body[1]} if isinstance(body, list) else None
    harmless = redact(given)
    text = None if given is None else json.dumps(harmless)
    kept = text is not None and len(text) <= KEPT_CHARACTERS
    return Letter(
        letter_id=letter_id(queue, raw.decode()),
        kind=kind,
        at=datetime.now(UTC),
        error=kind.value,
        text=redact_text(reason)[:KEPT_CHARACTERS],
        queue=queue,
        task=_name(named, "task"),
        task_id=_name(named, "id"),
        correlation_id=_name(named, "x-correlation-id") or _name(named, "id"),
        arguments=text if kept else None,
        intact=kept and harmless == given,
        raw=shown(raw, lasting),
        size_bytes=len(raw),
    )


def put_away(letter: Letter, connected: Connected) -> None:
    """Put a letter where the sweep finds it, now or as soon as the broker takes it."""
    MESSAGES_QUARANTINED.labels(queue=letter.queue or "", kind=letter.kind.value).inc()
    log.error("message_quarantined", letter_id=letter.letter_id, kind=letter.kind.value, reason=letter.text,
              queue=letter.queue, refused_task=letter.task, size_bytes=letter.size_bytes)  # fmt: skip
    OWED.queue(connected, WAITING_LIST, letter.to_json())


def shown(raw: bytes, envelope: Json) -> str:
    """Give the beginning of a message as it may be shown: decoded, redacted, cut off."""
    if not envelope:
        return _beginning(_unfolded(raw[: 4 * KEPT_CHARACTERS].decode("utf-8", "backslashreplace")))
    try:
        body = body_bytes(envelope)[: 4 * KEPT_CHARACTERS].decode("utf-8", "backslashreplace")
    except (Malformed, KeyError, AttributeError, TypeError):
        body = _unfolded(str(envelope.get("body"))[: 4 * KEPT_CHARACTERS])
    try:
        body = json.dumps(redact(json.loads(body)), ensure_ascii=False)
    except (ValueError, RecursionError):
        body = _beginning(_unfolded(body))
    rest = {name: value for name, value in envelope.items() if name != "body"}
    return _beginning(json.dumps(redact(rest), ensure_ascii=False) + "\nbody: " + body)


def _parsed(raw: bytes) -> Json:
    """Parse a message that may be anything, for what can be told about it; empty when that fails."""
    try:
        envelope = json.loads(raw) if len(raw) <= MAX_CONTROL_BYTES else {}
    except (ValueError, RecursionError):
        return {}
    return envelope if isinstance(envelope, dict) else {}


def _beginning(text: str) -> str:
    """Redact a text and keep its beginning, without the word that the cut would go through: a half number is a leak."""
    head = text if len(text) <= KEPT_CHARACTERS else _LAST_WORD.sub("", text[:KEPT_CHARACTERS]) + " …"
    return redact_text(head).replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()


def _unfolded(text: str) -> str:
    """Replace what looks like base64 by what it says, so that it can be redacted."""
    return _BASE64_RUN.sub(lambda run: _decoded(run.group()), text)


def _decoded(run: str) -> str:
    whole = run.rstrip("=")
    whole = whole[: len(whole) // 4 * 4]
    try:
        return f"[base64: {base64.b64decode(whole).decode()}]"
    except (binascii.Error, ValueError):
        return f"[base64, {len(run)} characters]"


def _name(headers: Any, name: str) -> str | None:  # noqa: ANN401 - JSON
    value = headers.get(name) if isinstance(headers, dict) else None
    return _beginning(value[:KEPT_NAME]) if isinstance(value, str) else None
