"""The breaker's state in this process alone, for the time in which Redis cannot be reached.

The same rules as `lua/breaker.lua`, step by step; a test runs any history through both and compares.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from paytabs.breaker_rules import (
    HALTED_REASON,
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


@dataclass
class _Stay:
    """One stay in one state; leaving it forgets everything that was counted in it."""

    state: str = STATE_CLOSED
    epoch: int = 0
    since_us: int = 0
    reason: str = ""
    ends_at_us: int = 0
    calls: deque[tuple[int, bool]] = field(default_factory=deque)
    in_a_row: int = 0
    probe: str = ""
    probe_until_us: int = 0
    probes_passed: int = 0


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
        self._stay = _Stay()

    def admit(self, kind: Kind, token: str) -> Decision:
        """Ask for a call."""
        with self._lock:
            now_us, before = self._now_us(), self._stay.state
            if self._stay.state == STATE_OPEN and now_us >= self._stay.ends_at_us:
                self._enter(STATE_HALF_OPEN, self._stay.reason, now_us)
            wait_us = self._wait_us(kind, now_us)
            if self._stay.state == STATE_HALF_OPEN and not wait_us:
                self._stay.probe, self._stay.probe_until_us = token, now_us + microseconds(self._rules.probe_seconds)
            return self._decision(before, wait_us)

    def record(self, epoch: str, token: str, result: Recorded) -> Decision:
        """Tell what a call proved."""
        with self._lock:
            before, now_us = self._stay.state, self._now_us()
            if epoch == str(self._stay.epoch):
                if before == STATE_CLOSED:
                    self._record_while_closed(now_us, result)
                if before == STATE_HALF_OPEN and token == self._stay.probe:
                    self._record_probe(now_us, result)
            return self._decision(before, 0)

    def peek(self) -> BreakerSnapshot:
        """Look without asking for anything."""
        with self._lock:
            now_us = self._now_us()
            self._forget_old_calls(now_us)
            is_open = self._stay.state == STATE_OPEN and now_us < self._stay.ends_at_us
            probing = self._stay.probe if now_us < self._stay.probe_until_us else ""
            return BreakerSnapshot(
                state=STATE_HALF_OPEN if self._stay.state == STATE_OPEN and not is_open else self._stay.state,
                reason=self._stay.reason,
                for_seconds=(now_us - self._stay.since_us) / MICROSECONDS if self._stay.epoch else None,
                open_for_seconds=(self._stay.ends_at_us - now_us) / MICROSECONDS if is_open else 0.0,
                calls=len(self._stay.calls),
                failures=sum(failed for _, failed in self._stay.calls),
                failures_in_a_row=self._stay.in_a_row,
                probes_passed=self._stay.probes_passed,
                probe_owner=probing.rpartition("#")[0] or None,
                shared=False,
            )

    def _wait_us(self, kind: Kind, now_us: int) -> int:
        if self._stay.state == STATE_OPEN:
            return self._stay.ends_at_us - now_us
        if self._stay.state == STATE_HALF_OPEN and (
            kind != "query" or (self._stay.probe and now_us < self._stay.probe_until_us)
        ):
            return microseconds(self._rules.probe_pause_seconds)
        return 0

    def _record_while_closed(self, now_us: int, result: Recorded) -> None:
        if result is Recorded.HALTED:
            self._open(HALTED_REASON, now_us)
        elif result is not Recorded.NONE:
            self._count(now_us, failed=result is Recorded.FAILED)

    def _count(self, now_us: int, *, failed: bool) -> None:
        self._stay.calls.append((now_us, failed))
        if failed:
            self._stay.in_a_row += 1
        else:
            self._stay.in_a_row = 0
        self._forget_old_calls(now_us)
        calls, failures = len(self._stay.calls), sum(failed for _, failed in self._stay.calls)
        if self._stay.in_a_row >= self._rules.failures_in_a_row:
            self._open(f"{self._stay.in_a_row} failures in a row", now_us)
        elif calls >= self._rules.least_calls and failures * 100 >= self._rules.failure_percent * calls:
            self._open(f"{failures} of {calls} calls failed", now_us)

    def _record_probe(self, now_us: int, result: Recorded) -> None:
        self._stay.probe, self._stay.probe_until_us = "", 0
        if result is Recorded.HALTED:
            self._open(HALTED_REASON, now_us)
        elif result is Recorded.FAILED:
            self._open("a probe failed", now_us)
        elif result is Recorded.OK:
            self._stay.probes_passed += 1
            if self._stay.probes_passed >= self._rules.probes_to_close:
                self._enter(STATE_CLOSED, "", now_us)

    def _open(self, reason: str, now_us: int) -> None:
        self._enter(STATE_OPEN, reason, now_us, now_us + microseconds(self._rules.open_seconds))

    def _enter(self, state: str, reason: str, now_us: int, ends_at_us: int = 0) -> None:
        epoch = max(now_us, self._stay.epoch + 1)
        self._stay = _Stay(state, epoch, since_us=now_us, reason=reason, ends_at_us=ends_at_us)

    def _forget_old_calls(self, now_us: int) -> None:
        oldest = now_us - microseconds(self._rules.window_seconds)
        while self._stay.calls and self._stay.calls[0][0] <= oldest:
            self._stay.calls.popleft()

    def _decision(self, before: str, wait_us: int) -> Decision:
        return Decision(
            before, self._stay.state, str(self._stay.epoch), self._stay.reason, admitted=not wait_us,
            wait_seconds=wait_us / MICROSECONDS,
        )  # fmt: skip
