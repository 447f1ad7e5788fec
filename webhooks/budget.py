"""How often one sender may be wrong: every failed signature spends a part of its budget, and nothing else does.

The signature is verified first, whatever has been spent. Several senders can share an address, PayTabs and a nuisance
behind the same proxy among them: asked before, a spent budget would turn genuine deliveries away. A failure costs one
hash here and nothing behind it, so what the budget buys is quiet: 429 tells an honest sender with a wrong key to wait.

All processes count together on the cache's server. While it is down each counts for itself: nobody waits for it.
"""

import logging
import time
from ipaddress import IPv4Address

from flask import Flask, g, request
from flask_limiter import Limiter, RateLimitExceeded

from observability.metrics import FAILURE_BUDGET_CHARGES
from webhooks.proxies import parse_address

#: How long the shared counter may take to be reached, and to answer; a frozen one costs a failure this much twice.
STORE_TIMEOUT_SECONDS = 0.2

#: One IPv6 subscriber has a network of this size, and could otherwise come from a new address each time.
IPV6_PREFIX_BITS = 64


class FailureBudget:
    """The budgets of all senders.

    Args:
        store_url: The Redis or Valkey that counts for all processes.
        allowed: How many failures a sender may have within a window.
        window_seconds: From the first failure until the budget is restored.
    """

    def __init__(self, store_url: str, *, allowed: int, window_seconds: int) -> None:
        self._window_seconds = window_seconds
        timeouts = {"socket_timeout": STORE_TIMEOUT_SECONDS, "socket_connect_timeout": STORE_TIMEOUT_SECONDS}
        self._limiter = Limiter(
            sender,
            storage_uri=store_url,
            storage_options=timeouts,  # type: ignore[arg-type] # passed on to the Redis client, which takes fractions
            strategy="fixed-window",
            # Without a list of its own, which would replace the limit below instead of counting the same elsewhere.
            in_memory_fallback_enabled=True,
            key_prefix="nestcms-receiver",
        )
        # One line for every request of a nuisance would be its gift.
        self._limiter.logger.setLevel(logging.WARNING)
        # Before a request it would look whether a lost store is back: that wait is not for genuine deliveries.
        self._limiter.request_filter(lambda: not g.get("charging", False))
        limit = f"{allowed} per {window_seconds} second"
        self._charge = self._limiter.shared_limit(limit, scope="failed-signatures")(_charged)

    def init_app(self, app: Flask) -> None:
        """Tie the budgets to the application whose requests spend them."""
        self._limiter.init_app(app)

    def spend(self) -> int | None:
        """Charge the present request's sender with one failed signature.

        Returns:
            None while the budget lasts, else the seconds until it is restored.
        """
        g.charging = True
        try:
            wait_seconds = self._spend()
            store = "shared" if self._limiter.limiter.storage is self._limiter.storage else "process"
        except Exception:  # noqa: BLE001 - whatever the store's client raises, the answer is a plain refusal
            wait_seconds, store = None, "nowhere"
        finally:
            g.charging = False
        FAILURE_BUDGET_CHARGES.labels(store=store, result="spent" if wait_seconds else "within").inc()
        return wait_seconds

    def close(self) -> None:
        """Let go of the shared counter's connections."""
        self._limiter.storage.storage.close()  # type: ignore[attr-defined] # the Redis one, which has a client

    def _spend(self) -> int | None:
        try:
            try:
                self._charge()
            except RateLimitExceeded:
                raise
            except Exception:  # noqa: BLE001 - as in spend
                # Of threads that lose the store at the same time only the first is led to the fallback.
                self._charge()
        except RateLimitExceeded:
            return self._seconds_left()
        return None

    def _seconds_left(self) -> int:
        limit = self._limiter.current_limit
        try:
            left = limit.reset_at - int(time.time()) if limit else self._window_seconds
        except Exception:  # noqa: BLE001 - as in spend; the budget is spent, only the time is unknown
            left = self._window_seconds
        return min(max(left, 1), self._window_seconds)


def sender() -> str:
    """Name who pays for the present request: an IPv4 address, or an IPv6 network as one subscriber has it."""
    address = parse_address(request.remote_addr or "")
    if address is None or isinstance(address, IPv4Address):
        return str(address or "unknown")
    kept = int(address) >> (128 - IPV6_PREFIX_BITS) << (128 - IPV6_PREFIX_BITS)
    return f"{type(address)(kept)}/{IPV6_PREFIX_BITS}"


def _charged() -> None:
    """Stand for the charge: the limiter counts the calls."""
