"""A delivery as it is kept and as a worker holds it: plain values, and which of a request's headers belong to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

#: Seconds between two looks at a delivery that PayTabs' query does not confirm yet; after the last, a person looks.
POSTPONE_SECONDS: Final = (1.0, 3.0, 10.0, 30.0, 120.0)

#: Headers that are kept, in lower case; never Authorization or a cookie.
KEPT_HEADERS = frozenset(
    {"content-type", "signature", "user-agent", "x-forwarded-for", "x-request-id", "x-correlation-id"}
)

#: The longest header value that is kept.
MAX_HEADER_LENGTH = 1024


@dataclass(frozen=True)
class Recorded:
    """A delivery that a majority of the database holds, in its journal.

    Attributes:
        delivery_id: SHA-256 of the raw body, in hex.
        is_new: False when the same body was here before.
    """

    delivery_id: str
    is_new: bool


@dataclass(frozen=True)
class Delivery:
    """A delivery that one worker holds until ``lease_until``.

    Attributes:
        attempts: How often it was claimed, this time included.
        postponements: How often it was put back because it could not be confirmed yet.
        fence: Grows with every claim; a write under an older one is refused.
    """

    delivery_id: str
    body: bytes
    headers: Mapping[str, str]
    received_at: datetime
    seen: int
    attempts: int
    postponements: int
    fence: int
    owner: str
    lease_until: datetime
    correlation_id: str

    @property
    def next_delay_seconds(self) -> float | None:
        """How long to wait for a confirmation now, or None when it has been waited for often enough."""
        return POSTPONE_SECONDS[self.postponements] if self.postponements < len(POSTPONE_SECONDS) else None


def harmless(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that may be kept, names in lower case, values cut to a sane length."""
    kept = ((name.lower(), value[:MAX_HEADER_LENGTH]) for name, value in headers.items())
    return {name: value for name, value in kept if name in KEPT_HEADERS}


def delivery_of(row: Mapping[str, Any]) -> Delivery:
    """Return the claimed delivery that a row of the inbox holds."""
    return Delivery(
        delivery_id=row["_id"],
        body=bytes(row["body"]),
        headers=row["headers"],
        received_at=row["received_at"],
        seen=row["seen"],
        attempts=row["attempts"],
        postponements=row["postponements"],
        fence=row["fence"],
        owner=row["owner"],
        lease_until=row["lease_until"],
        correlation_id=row["correlation_id"],
    )
