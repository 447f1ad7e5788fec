"""Where the limiter's turns and places are kept: in Redis for all processes, or in this one while Redis is away.

Both follow the same rules, GCRA for the rate and leases for the places; a test runs any history through both.
"""

import threading
from collections.abc import Callable
from importlib.resources import files

from paytabs.breaker_local import monotonic_us
from paytabs.breaker_rules import MICROSECONDS, ScriptClient, microseconds
from paytabs.limiter_rules import LimiterRules, Reserved

_SCRIPT = (files("paytabs") / "lua" / "limiter.lua").read_text()


class SharedLimiter:
    """Keeps turns and places in Redis, by the server's clock.

    Args:
        client: Runs the script.
        name: Which limiter; one per profile.
        rules: The numbers.
        now_us: Another clock than the server's, in microseconds: for comparing histories.
    """

    def __init__(
        self, client: ScriptClient, name: str, rules: LimiterRules, *, now_us: Callable[[], int] | None = None
    ) -> None:
        self._client, self._rules, self._now_us = client, rules, now_us
        # The braces keep the two on one node of a cluster.
        self._keys = [f"nestcms:limiter:{{{name}}}:{part}" for part in ("due", "places")]

    def reserve(self) -> Reserved:
        """Reserve the next turn."""
        rules = self._rules
        granted, wait_us = self._run(
            "reserve", rules.interval_us, rules.at_once, microseconds(rules.longest_wait_seconds)
        )
        return Reserved(granted == 1, wait_us / MICROSECONDS)

    def take(self, token: str) -> bool:
        """Take a place, if one is free."""
        return self._run("take", token, self._rules.at_once, microseconds(self._rules.lease_seconds))[0] == 1

    def give(self, token: str) -> None:
        """Give a place back."""
        self._run("give", token)

    def _run(self, action: str, *arguments: str | int) -> tuple[int, int]:
        now_us = str(self._now_us()) if self._now_us else ""
        granted, wait_us = self._client.eval(_SCRIPT, 2, *self._keys, action, now_us, *map(str, arguments))
        return granted, wait_us


class LocalLimiter:
    """Keeps turns and places in this process; thread-safe.

    Args:
        rules: The numbers.
        now_us: A clock in microseconds.
    """

    def __init__(self, rules: LimiterRules, *, now_us: Callable[[], int] = monotonic_us) -> None:
        self._rules, self._now_us = rules, now_us
        self._lock = threading.Lock()
        self._due_us = 0
        self._places: dict[str, int] = {}

    def reserve(self) -> Reserved:
        """Reserve the next turn."""
        with self._lock:
            now_us, interval_us = self._now_us(), self._rules.interval_us
            due_us = max(self._due_us, now_us)
            wait_us = max(0, due_us - (self._rules.at_once - 1) * interval_us - now_us)
            granted = wait_us <= microseconds(self._rules.longest_wait_seconds)
            if granted:
                self._due_us = due_us + interval_us
            return Reserved(granted, wait_us / MICROSECONDS)

    def take(self, token: str) -> bool:
        """Take a place, if one is free."""
        with self._lock:
            now_us = self._now_us()
            self._places = {taken: end_us for taken, end_us in self._places.items() if end_us > now_us}
            if len(self._places) >= self._rules.at_once:
                return False
            self._places[token] = now_us + microseconds(self._rules.lease_seconds)
            return True

    def give(self, token: str) -> None:
        """Give a place back."""
        with self._lock:
            self._places.pop(token, None)
