"""The breaker's state in this process alone, for the time in which Redis cannot be reached.

The same rules as `lua/breaker.lua`, step by step; a test runs any history through both and compares.
"""

import threading
import time
from collections import deque
from collections.abc import Callable

from paytabs.breaker_rules import (
    MICROSECONDS,
    STATE_CLOSED,
    STATE_HALF_OPEN,
    STATE_OPEN,
    BreakerRules,
    BreakerSnapshot,
    Decision,
    Kind,
    Recorded,
    microseconds,
)


def monotonic_us() -> int:
    """Return this process's clock in microseconds."""
    return time.monotonic_ns() // 1000


class LocalBreaker:
    """Decides in this process; thread-safe.

    Args:
        rules: The numbers.
        now_us: A clock in microseconds.
    """

    def __init__(self, rules: BreakerRules, *, now_us: Callable[[], int] = monotonic_us) -> None:
        self._rules = rules
        self._now_us = now_us
        self._lock = threading.Lock()
        self._state, self._epoch, self._since_us, self._reason = STATE_CLOSED, 0, 0, ""
        self._forget()

    def admit(self, kind: Kind, token: str) -> Decision:
        """Ask for a call."""
        with self._lock:
            now_us, before = self._now_us(), self._state
            if self._state == STATE_OPEN and now_us >= self._ends_at_us:
                self._enter(STATE_HALF_OPEN, self._reason, now_us)
            wait_us = self._wait_us(kind, now_us)
            if self._state == STATE_HALF_OPEN and not wait_us:
                self._probe, self._probe_until_us = token, now_us + microseconds(self._rules.probe_seconds)
            return self._decision(before, wait_us)

    def record(self, epoch: str, token: str, result: Recorded) -> Decision:
        """Tell what a call proved."""
        with self._lock:
            before, now_us = self._state, self._now_us()
            if epoch == str(self._epoch):
                if before == STATE_CLOSED and result is not Recorded.NONE:
                    self._record_while_closed(now_us, failed=result is Recorded.FAILED)
                if before == STATE_HALF_OPEN and token == self._probe:
                    self._record_probe(now_us, result)
            return self._decision(before, 0)

    def peek(self) -> BreakerSnapshot:
        """Look without asking for anything."""
        with self._lock:
            now_us = self._now_us()
            self._forget_old_calls(now_us)
            is_open = self._state == STATE_OPEN and now_us < self._ends_at_us
            probing = self._probe if now_us < self._probe_until_us else ""
            return BreakerSnapshot(
                state=STATE_HALF_OPEN if self._state == STATE_OPEN and not is_open else self._state,
                reason=self._reason,
                for_seconds=(now_us - self._since_us) / MICROSECONDS if self._epoch else None,
                open_for_seconds=(self._ends_at_us - now_us) / MICROSECONDS if is_open else 0.0,
                calls=len(self._calls),
                failures=sum(failed for _, failed in self._calls),
                failures_in_a_row=self._in_a_row,
                probes_passed=self._probes_passed,
                probe_owner=probing.rpartition("#")[0] or None,
                shared=False,
            )

    def _wait_us(self, kind: Kind, now_us: int) -> int:
        if self._state == STATE_OPEN:
            return self._ends_at_us - now_us
        if self._state == STATE_HALF_OPEN and (kind != "query" or (self._probe and now_us < self._probe_until_us)):
            return microseconds(self._rules.probe_pause_seconds)
        return 0

    def _record_while_closed(self, now_us: int, *, failed: bool) -> None:
        self._calls.append((now_us, failed))
        self._in_a_row = self._in_a_row + 1 if failed else 0
        self._forget_old_calls(now_us)
        calls, failures = len(self._calls), sum(failed for _, failed in self._calls)
        if self._in_a_row >= self._rules.failures_in_a_row:
            self._open(f"{self._in_a_row} failures in a row", now_us)
        elif calls >= self._rules.least_calls and failures * 100 >= self._rules.failure_percent * calls:
            self._open(f"{failures} of {calls} calls failed", now_us)

    def _record_probe(self, now_us: int, result: Recorded) -> None:
        self._probe, self._probe_until_us = "", 0
        if result is Recorded.FAILED:
            self._open("a probe failed", now_us)
        elif result is Recorded.OK:
            self._probes_passed += 1
            if self._probes_passed >= self._rules.probes_to_close:
                self._enter(STATE_CLOSED, "", now_us)

    def _open(self, reason: str, now_us: int) -> None:
        self._enter(STATE_OPEN, reason, now_us)
        self._ends_at_us = now_us + microseconds(self._rules.open_seconds)

    def _enter(self, state: str, reason: str, now_us: int) -> None:
        self._state, self._reason, self._since_us = state, reason, now_us
        self._epoch = max(now_us, self._epoch + 1)
        self._forget()

    def _forget(self) -> None:
        self._calls: deque[tuple[int, bool]] = deque()
        self._in_a_row: int = 0
        self._probes_passed = self._ends_at_us = self._probe_until_us = 0
        self._probe = ""

    def _forget_old_calls(self, now_us: int) -> None:
        oldest = now_us - microseconds(self._rules.window_seconds)
        while self._calls and self._calls[0][0] <= oldest:
            self._calls.popleft()

    def _decision(self, before: str, wait_us: int) -> Decision:
        return Decision(
            before, self._state, str(self._epoch), self._reason, admitted=not wait_us,
            wait_seconds=wait_us / MICROSECONDS,
        )  # fmt: skip
