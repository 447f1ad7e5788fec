"""The breaker's state in Redis, where every process of every machine sees the same one.

The whole decision is one script, so nothing can come between looking and deciding, and the server's clock is the only
one. The script travels with each call: a server that was emptied or restarted needs no preparation.
"""

from collections.abc import Callable
from importlib.resources import files
from typing import Any

from paytabs.breaker_rules import (
    MICROSECONDS,
    BreakerRules,
    BreakerSnapshot,
    Decision,
    Kind,
    Recorded,
    ScriptClient,
)

_SCRIPT = (files("paytabs") / "lua" / "breaker.lua").read_text()


class SharedBreaker:
    """Decides in Redis.

    Args:
        client: Runs the script.
        name: Which breaker; one per profile.
        rules: The numbers.
        now_us: Another clock than the server's, in microseconds: for comparing histories.
    """

    def __init__(
        self, client: ScriptClient, name: str, rules: BreakerRules, *, now_us: Callable[[], int] | None = None
    ) -> None:
        self._client = client
        # The braces keep the three on one node of a cluster.
        self._keys = [f"nestcms:breaker:{{{name}}}:{part}" for part in ("state", "calls", "failures")]
        self._rules = rules.to_json()
        self._now_us = now_us

    def admit(self, kind: Kind, token: str) -> Decision:
        """Ask for a call."""
        return self._decide("admit", kind, token)

    def record(self, epoch: str, token: str, result: Recorded) -> Decision:
        """Tell what a call proved."""
        return self._decide("record", epoch, token, result.value)

    def peek(self) -> BreakerSnapshot:
        """Look without asking for anything."""
        state, reason, for_us, open_us, calls, failures, in_a_row, passed, probe = self._run("peek")
        return BreakerSnapshot(
            state=state,
            reason=reason,
            for_seconds=int(for_us) / MICROSECONDS if for_us else None,
            open_for_seconds=open_us / MICROSECONDS,
            calls=calls,
            failures=failures,
            failures_in_a_row=in_a_row,
            probes_passed=passed,
            probe_owner=probe.rpartition("#")[0] or None,
            shared=True,
        )

    def _decide(self, action: str, *arguments: str) -> Decision:
        before, after, epoch, reason, admitted, wait_us = self._run(action, *arguments)
        return Decision(before, after, epoch, reason, admitted=admitted == 1, wait_seconds=wait_us / MICROSECONDS)

    def _run(self, action: str, *arguments: str) -> list[Any]:
        now_us = str(self._now_us()) if self._now_us else ""
        answer: list[Any] = self._client.eval(
            _SCRIPT, len(self._keys), *self._keys, action, now_us, self._rules, *arguments
        )
        return answer
