"""What seals know of events: a mark of each, and the marks of a span of time taken together."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from bson import ObjectId

#: The form of a hash.
SHA256 = r"[0-9a-f]{64}"

#: The form of a mark as text.
MARK = rf"[0-9a-f]{{24}}-[1-9][0-9]* {SHA256}"


@dataclass(frozen=True)
class Mark:
    """What a seal knows of an event."""

    payment_id: str
    version: int
    hash: str

    @property
    def event_id(self) -> str:
        """Return the event's id."""
        return f"{self.payment_id}-{self.version}"

    def __str__(self) -> str:
        """Write it as seals do."""
        return f"{self.event_id} {self.hash}"

    @classmethod
    def read(cls, text: str) -> Self:
        """Read what a seal has."""
        event_id, _, event_hash = text.partition(" ")
        payment_id, _, version = event_id.partition("-")
        return cls(payment_id, int(version), event_hash)


def mark_of(document: Mapping[str, Any]) -> Mark | None:
    """Return the mark of a stored event; None for what is none, which the audit of its payment's chain reports."""
    payment_id, version, event_hash = (document.get(name) for name in ("payment_id", "version", "hash"))
    if not isinstance(payment_id, ObjectId) or not isinstance(version, int) or not isinstance(event_hash, str):
        return None
    mark = Mark(str(payment_id), int(version), event_hash)
    return mark if re.fullmatch(MARK, str(mark)) and type(version) is not bool else None


class Span:
    """The events of one span of time, taken in by time, payment and version; `sent` are the operations sent in it."""

    def __init__(self) -> None:
        """Begin with none."""
        self.count = 0
        self.heads: dict[str, Mark] = {}
        self.sent: set[str] = set()
        self._digest = hashlib.sha256()

    def add(self, mark: Mark) -> None:
        """Take the next event in."""
        self.count += 1
        self._digest.update(f"{mark}\n".encode())
        head = self.heads.get(mark.payment_id)
        if head is None or head.version < mark.version:
            self.heads[mark.payment_id] = mark

    @property
    def digest(self) -> str:
        """Return the hash over all events of the span in their order."""
        return self._digest.hexdigest()
