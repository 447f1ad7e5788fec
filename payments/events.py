"""The envelope every fact travels in, and the hash chain that seals a payment's history from its first event on."""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId

from payments.facts import Fact, fact_from

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

    `version` counts from 1 without gaps; `recorded_at` is UTC with millisecond precision, as MongoDB keeps it.
    """

    payment_id: str
    version: int
    fact: Fact
    schema_version: int
    recorded_at: datetime
    context: Context
    prev_hash: str
    hash: str

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
        return {"_id": self.event_id, **envelope(self), "payment_id": ObjectId(self.payment_id),
                "recorded_at": self.recorded_at, "hash": self.hash}  # fmt: skip


def envelope(event: Event) -> dict[str, Any]:
    """Return what the hash covers, as plain JSON values: everything but the hash itself."""
    return {
        "payment_id": event.payment_id,
        "version": event.version,
        "type": event.type,
        "schema_version": event.schema_version,
        "data": event.fact.to_data(),
        "recorded_at": timestamp(event.recorded_at),
        "correlation_id": event.context.correlation_id,
        "causation_id": event.context.causation_id,
        "operation_id": event.context.operation_id,
        "requested_by": event.context.requested_by,
        "source": event.context.source,
        "prev_hash": event.prev_hash,
    }


def canonical_bytes(content: dict[str, Any]) -> bytes:
    """Return the one byte string that stands for an envelope.

    JSON with sorted keys, no spaces, UTF-8 unescaped; numbers are integers only. A golden vector in the tests fixes it.
    """
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def timestamp(moment: datetime) -> str:
    """Return an aware time as ISO-8601 UTC with milliseconds, such as `2026-08-06T10:15:30.000Z`."""
    utc = moment.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z"


def seal(
    payment_id: str,
    previous: Event | None,
    fact: Fact,
    recorded_at: datetime,
    context: Context,
    *,
    schema_version: int | None = None,
) -> Event:
    """Return the event that follows `previous` in a chain; its schema version is the fact's own unless given."""
    open_event = Event(
        payment_id=payment_id,
        version=previous.version + 1 if previous else 1,
        fact=fact,
        schema_version=schema_version or fact.SCHEMA_VERSION,
        recorded_at=recorded_at.replace(microsecond=recorded_at.microsecond // 1000 * 1000),
        context=context,
        prev_hash=previous.hash if previous else GENESIS_HASH,
        hash="",
    )
    digest = hashlib.sha256(canonical_bytes(envelope(open_event))).hexdigest()
    return Event(**{**open_event.__dict__, "hash": digest})


def from_document(document: dict[str, Any]) -> Event:
    """Read one stored event back.

    Raises:
        KeyError: the document is not an event of a known type.
    """
    return Event(
        payment_id=str(document["payment_id"]),
        version=document["version"],
        fact=fact_from(document["type"], document["data"]),
        schema_version=document["schema_version"],
        recorded_at=document["recorded_at"],
        context=Context(
            correlation_id=document["correlation_id"],
            source=document["source"],
            causation_id=document["causation_id"],
            operation_id=document["operation_id"],
            requested_by=document["requested_by"],
        ),
        prev_hash=document["prev_hash"],
        hash=document["hash"],
    )


def broken_link(events: list[Event]) -> Event | None:
    """Return the first event whose version, link or hash does not follow from the ones before it, if any."""
    previous: Event | None = None
    for event in events:
        expected = seal(
            event.payment_id,
            previous,
            event.fact,
            event.recorded_at,
            event.context,
            schema_version=event.schema_version,
        )
        if (event.version, event.prev_hash, event.hash) != (expected.version, expected.prev_hash, expected.hash):
            return event
        previous = event
    return None
