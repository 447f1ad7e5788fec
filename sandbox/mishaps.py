"""Chance: which call or notice of a long run has a mishap though nobody ordered one. Repeatable by a seed.

Calls and notices draw from a stream each, so that one does not disturb the other. Each draw falls into one of the
kinds or none, so the rates are exact shares. Under concurrency the draws come in the same order; which call meets
which draw is then a matter of arrival.
"""

import random
import threading
from collections.abc import Mapping
from typing import Any

from sandbox.faults import NOTIFICATIONS, Fault
from sandbox.switchboard import SwitchBoard
from sandbox.switches import Switches

#: Calls that only look; every other API call changes something.
QUERY_PATHS = frozenset(("/payment/query", "/payment/token", "/payment/invoice/status"))

#: Paths under `/payment/` that belong to payers and their browsers.
PAYER_PREFIXES = ("/payment/wr/", "/payment/static/", "/payment/request/invoice/")

#: How long a notice that is reordered by chance waits for one to overtake it, in seconds.
OVERTAKE_SECONDS = 1.0


class Mishaps:
    """Draws mishaps."""

    def __init__(self, switches: SwitchBoard) -> None:
        self._switches = switches
        self._lock = threading.Lock()
        self._seeded_for: Switches | None = None
        self._calls = random.Random(0)  # noqa: S311 - repeatable mishaps, no secrets
        self._notices = random.Random(0)  # noqa: S311 - as above

    def of_call(self, path: str) -> Fault | None:
        """Draw what befalls a call.

        Args:
            path: Its path.

        Returns:
            A fault, or None; always None for payers' pages and for the calls that are spared.
        """
        switches = self._switches.now
        aim = "queries" if path in QUERY_PATHS or path.endswith("/status") else "money"
        if path.startswith(PAYER_PREFIXES) or aim not in switches.random_faults_on:
            return None
        draw, coin = self._draw(self._calls, switches)
        late = {"seconds": switches.slow_seconds, "before": coin}
        dripping = {"interval_seconds": switches.drip_interval_seconds, "part": "headers" if coin else "body"}
        return _pick(
            draw,
            path,
            (switches.cut_rate, "cut_after_accept", {}),
            (switches.error_rate, "http_500", {"executes": coin}),
            (switches.throttle_rate, "http_429", {"retry_after": switches.retry_after_seconds}),
            (switches.slow_rate, "slow", late),
            (switches.drip_rate, "drip", dripping),
        )

    def of_notice(self) -> Fault | None:
        """Draw what befalls a notice, all of its copies alike."""
        switches = self._switches.now
        draw, coin = self._draw(self._notices, switches)
        return _pick(
            draw,
            NOTIFICATIONS,
            (switches.notice_drop_rate, "none", {}),
            (switches.notice_duplicate_rate, "duplicated", {"copies": 2 + coin}),
            (switches.notice_reorder_rate, "reordered", {"seconds": OVERTAKE_SECONDS}),
        )

    def _draw(self, stream: random.Random, switches: Switches) -> tuple[float, bool]:
        with self._lock:
            if self._seeded_for is not switches:
                self._seeded_for = switches
                self._calls.seed(switches.random_seed)
                self._notices.seed(switches.random_seed)
            return stream.random(), stream.random() < 0.5  # noqa: PLR2004 - a fair coin


def _pick(draw: float, path: str, *shares: tuple[float, str, Mapping[str, Any]]) -> Fault | None:
    """Find the share that a draw falls into."""
    for share, kind, members in shares:
        if draw < share:
            return Fault.model_validate({"path": path, "kind": kind, **members})
        draw -= share
    return None
