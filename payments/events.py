"""The envelope every fact travels in, and the hash chain that seals a payment's history from its first event on.

The hash covers what is stored, members that this version does not know included: an event of a newer version keeps its
hash, and a member smuggled in breaks it. The chain shows everything but a cut tail; seals of the last hash show that.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId

from payments.facts import Fact
from payments.upcasting import SCHEMAS, Schemas

#: What the first event of a payment names as the hash before it.
GENESIS_HASH = "0" * 64


@dataclass(frozen=True, kw_only=True)
class Context:
    """Who asked, through which message, and from where a fact was learnt."""

    correlation_id: str
    source: str
    causation_id: str | None = None
    operation_id: str | None = None
    requested_by: str | None = None


@dataclass(frozen=True, kw_only=True)
class Event:
    """One stored fact of one payment.

    `version` counts from 1 without gaps; `recorded_at` is UTC with millisecond precision, as MongoDB keeps it;
    `content` is what the hash covers, as stored.
    """

    payment_id: str
    version: int
    fact: Fact
    schema_version: int
    recorded_at: datetime
    context: Context
    prev_hash: str
    hash: str
    content: dict[str, Any] = field(compare=False, repr=False)

    @property
    def event_id(self) -> str:
        """Return the event's id: the payment's id and the version."""
        return f"{self.payment_id}-{self.version}"

    @property
    def type(self) -> str:
        """Return the fact's name."""
        return type(self.fact).__name__

    def to_document(self) -> dict[str, Any]:
        """Return the document stored in `payment_events`."""
        own = {"payment_id": ObjectId(self.payment_id), "recorded_at": self.recorded_at, "hash": self.hash}
        return {"_id": self.event_id, **self.content, **own}


def envelope(event: Event) -> dict[str, Any]:
    """Return what the hash covers, as plain JSON values: everything but the hash itself."""
    return dict(event.content)


def canonical_bytes(content: dict[str, Any]) -> bytes:
    """Return the one byte string that stands for an envelope.

    JSON with sorted keys, no spaces, UTF-8 unescaped; numbers are integers only. A golden vector in the tests fixes it.
    """
    return _CANONICAL.encode(content).encode()


def timestamp(moment: datetime) -> str:
    """Return an aware time as ISO-8601 UTC with milliseconds, such as `2026-08-06T10:15:30.000Z`.

    Raises:
        ValueError: the time does not say its zone.
    """
    if moment.utcoffset() is None:
        raise ValueError(f"an aware time was expected, not {moment.isoformat()}")
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def seal(payment_id: str, previous: Event | None, fact: Fact, recorded_at: datetime, context: Context) -> Event:
    """Return the event that follows `previous` in a chain.

    Raises:
        ValueError: `recorded_at` does not say its zone.
    """
    moment = recorded_at.astimezone(UTC)
    version = previous.version + 1 if previous else 1
    prev_hash = previous.hash if previous else GENESIS_HASH
    content = {
        "payment_id": payment_id,
        "version": version,
        "type": type(fact).__name__,
        "schema_version": fact.SCHEMA_VERSION,
        "data": fact.to_data(),
        "recorded_at": timestamp(recorded_at),
        **vars(context),
        "prev_hash": prev_hash,
    }
    return Event(
        payment_id=payment_id,
        version=version,
        fact=fact,
        schema_version=fact.SCHEMA_VERSION,
        recorded_at=moment.replace(microsecond=moment.microsecond // 1000 * 1000),
        context=context,
        prev_hash=prev_hash,
        hash=content_hash(content),
        content=content,
    )


def content_hash(content: dict[str, Any]) -> str:
    """Return the hash of an envelope: SHA-256 over its canonical bytes, in hexadecimal digits."""
    return hashlib.sha256(canonical_bytes(content)).hexdigest()


def from_document(document: dict[str, Any], schemas: Schemas = SCHEMAS) -> Event:
    """Read one stored event back; its fact is brought up to date, what its hash covers stays as it was stored.

    Args:
        document: as MongoDB gives it back.
        schemas: which facts there are, and how their older versions are read.

    Raises:
        EventUnreadable: this version does not know the fact, or misses a member of it.
        KeyError: the document is no event.
        ValueError: `recorded_at` was read without a zone.
    """
    content = stored_content(document)
    return Event(
        payment_id=content["payment_id"],
        version=document["version"],
        fact=fact_of(document, schemas),
        schema_version=document["schema_version"],
        recorded_at=document["recorded_at"],
        context=Context(**{name: document[name] for name in _CONTEXT}),
        prev_hash=document["prev_hash"],
        hash=document["hash"],
        content=content,
    )


def stored_content(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the hash of a stored event covers, whether or not this version knows what stands in it.

    Raises:
        KeyError: the document has no payment or no time.
        AttributeError: its time is none.
        ValueError: its time was read without a zone.
    """
    own = {"payment_id": str(document["payment_id"]), "recorded_at": timestamp(document["recorded_at"])}
    return {name: value for name, value in document.items() if name not in ("_id", "hash")} | own


def fact_of(document: Mapping[str, Any], schemas: Schemas = SCHEMAS) -> Fact:
    """Return what a stored event says happened, brought up to date; its place in the chain is not looked at.

    Raises:
        EventUnreadable: this version does not know the fact, or misses a member of it.
        KeyError: the document is no event.
    """
    return schemas.read(document["type"], document["schema_version"], document["data"])


def broken_link(events: Iterable[Event]) -> Event | None:
    """Return the first event whose payment, version, link or hash does not follow from the ones before it, if any."""
    previous: Event | None = None
    for event in events:
        payment_id = previous.payment_id if previous else event.payment_id
        version = previous.version + 1 if previous else 1
        prev_hash = previous.hash if previous else GENESIS_HASH
        follows = (event.payment_id, event.version, event.prev_hash) == (payment_id, version, prev_hash)
        if not follows or not _is_whole(event):
            return event
        previous = event
    return None


def _is_whole(event: Event) -> bool:
    """Return whether an event's hash is that of its content; what is not JSON was never sealed."""
    try:
        return content_hash(event.content) == event.hash
    except (TypeError, ValueError):
        return False


#: Writes canonical JSON.
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)

#: The members of an event that say who asked and from where.
_CONTEXT = tuple(field.name for field in fields(Context))
