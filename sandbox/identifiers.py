"""How the sandbox names things: references, traces and page addresses in the forms seen at the real gateway."""

import secrets
import threading
from datetime import UTC, datetime

from sandbox.shelf import Shelf

#: How many numbers are set aside at once, so that not each of them need be written down.
RESERVED_AT_ONCE = 1000


def utc_now() -> datetime:
    """Tell the time.

    Returns:
        The present moment, aware, in UTC.
    """
    return datetime.now(UTC)


def desk_time(moment: datetime) -> str:
    """Write a time as the desk shows it.

    Args:
        moment: An aware time.

    Returns:
        ISO-8601 in UTC with milliseconds, such as `2026-08-06T10:15:30.123Z`.
    """
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def gateway_time(moment: datetime) -> str:
    """Write a time as the gateway does.

    Args:
        moment: An aware time.

    Returns:
        ISO-8601 in UTC with whole seconds, such as `2026-08-06T10:15:30Z`.
    """
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Mint:
    """Makes the identifiers of one sandbox; no two alike, also between threads."""

    def __init__(self, shelf: Shelf) -> None:
        self._lock = threading.Lock()
        self._shelf = shelf
        # A random start keeps the references of two runs on one day apart; a run that goes on begins above all that
        # the run before may have used.
        kept = dict(shelf.load("mint", int))
        self._last = self._reserved = kept.get("reserved", secrets.randbelow(90_000) * 1000)

    def _next(self) -> int:
        with self._lock:
            if self._last == self._reserved:
                self._reserved += RESERVED_AT_ONCE
                self._shelf.put("mint", "reserved", self._reserved)
            self._last += 1
            return self._last

    def tran_ref(self) -> str:
        """Make a transaction reference: `TST`, two digits of the year, day of the year, eight digits."""
        return f"TST{utc_now():%y%j}{self._next():08d}"

    def trace(self, prefix: str = "PMNT0201") -> str:
        """Make a trace: prefix, Unix time and counter in hexadecimal.

        Args:
            prefix: `PMNT0201` for answers, `PMNT0402` for errors, `IPNS0201` for notifications, `TRAN0201` for the
                acquirer.
        """
        return f"{prefix}.{int(utc_now().timestamp()):08X}.{self._next():08X}"

    def page_id(self) -> str:
        """Make the unguessable end of a hosted page's address."""
        return secrets.token_hex(28).upper()

    def token(self) -> str:
        """Make a card token."""
        return secrets.token_hex(16).upper()

    def authorisation(self) -> str:
        """Make an authorisation reference as the test acquirer gives: `G` and five digits."""
        return f"G{secrets.randbelow(100_000):05d}"

    def payer_reference(self) -> str:
        """Make the number with which a payer settles a deferred payment."""
        return f"{secrets.randbelow(10**12):012d}"
