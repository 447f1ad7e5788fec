"""Which request counts as a repetition of an earlier one."""

import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from sandbox.errors import GatewayRefusal
from sandbox.switchboard import SwitchBoard

#: Request types that act on an earlier transaction.
FOLLOW_UPS = frozenset(("capture", "void", "release", "refund", "authext"))


class DuplicateFilter:
    """Remembers requests for a while and refuses what is identical; a repetition does not prolong the memory."""

    def __init__(self, switches: SwitchBoard, clock: Callable[[], datetime]) -> None:
        self._switches = switches
        self._clock = clock
        self._seen: dict[tuple[str, ...], datetime] = {}
        self._lock = threading.Lock()

    def check(self, members: Mapping[str, Any]) -> None:
        """Refuse a repetition, else remember the request.

        Args:
            members: The request's JSON members.

        Raises:
            GatewayRefusal: Code 4 when an identical request was remembered.
        """
        switches = self._switches.now
        is_followup = str(members.get("tran_type", "")).lower() in FOLLOW_UPS
        if not switches.duplicate_filter or (is_followup and not switches.duplicate_filter_followups):
            return
        likeness = _likeness(members, switches.duplicate_fields)
        now = self._clock()
        with self._lock:
            seen = self._seen.get(likeness)
            if seen is not None and now - seen < timedelta(seconds=switches.duplicate_window_seconds):
                raise GatewayRefusal(4, "Duplicate Request", 409)
            self._seen[likeness] = now

    def forget(self, members: Mapping[str, Any]) -> None:
        """Forget a request that was refused, unless the switch says that it counts."""
        switches = self._switches.now
        if not switches.refused_counts_for_filter:
            with self._lock:
                self._seen.pop(_likeness(members, switches.duplicate_fields), None)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._seen.clear()


def _likeness(members: Mapping[str, Any], names: Iterable[str]) -> tuple[str, ...]:
    return tuple(_plain(name, members.get(name)) for name in names)


def _plain(name: str, value: object) -> str:
    if name in ("tran_type", "tran_class"):
        return str(value).lower()
    if name == "cart_amount":
        # 100, 100.00 and "100" are one amount.
        with suppress(InvalidOperation):
            return str(Decimal(str(value)).normalize())
    return str(value)
