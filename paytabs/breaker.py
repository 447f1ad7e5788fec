"""A circuit breaker for the gateway, shared by all processes: when PayTabs fails, everybody stops calling it.

It speaks pybreaker's words (listeners, state names, CircuitBreakerError) but shares none of its code: pybreaker counts
consecutive failures only, lets every process through at half-open, and holds a lock during the call. Here a call asks
for a permit before and records what came of it after, and the decision is made where the state lives.
"""

import random
from collections.abc import Callable, Iterable
from typing import cast
from uuid import uuid4

import structlog
from pybreaker import CircuitBreaker, CircuitBreakerListener, CircuitBreakerState

from paytabs.breaker_errors import BreakerOpen, GatewayFailing
from paytabs.breaker_fallback import Fallback
from paytabs.breaker_local import LocalBreaker
from paytabs.breaker_rules import (
    BreakerRules,
    BreakerSnapshot,
    BreakerState,
    Decision,
    Kind,
    Recorded,
    ScriptClient,
)
from paytabs.breaker_shared import SharedBreaker
from paytabs.breaker_verdict import counts_as_failure, names_wrong_settings
from paytabs.responses import Answer

_log = structlog.get_logger(__name__)


class Permit:
    """Leave to make one call; what the call proved is recorded once, later records are ignored.

    Attributes:
        epoch: Which stay in which state admitted it.
        token: What tells it from every other permit.
    """

    def __init__(self, breaker: "Breaker", home: BreakerState, epoch: str, token: str, kind: Kind = "query") -> None:
        self._breaker, self._home, self._kind = breaker, home, kind
        self.epoch, self.token = epoch, token
        self._recorded = False

    def record(self, ok: bool | None, detail: str = "") -> None:
        """Record what the call proved, and give a probe's token back.

        Args:
            ok: True when PayTabs worked, False when it failed, None when the call proves neither.
            detail: How it failed, for the listeners.
        """
        self._record(Recorded.NONE if ok is None else Recorded.OK if ok else Recorded.FAILED, detail)

    def settle(self, answer: Answer) -> None:
        """Record what an answer proves, by the table of `counts_as_failure`.

        A look-up that is refused for its key stops all calls at once. A send so refused may itself be at fault, so it
        stops nobody: whoever made it asks.
        """
        if names_wrong_settings(answer):
            self._record(Recorded.HALTED if self._kind == "query" else Recorded.NONE, answer.detail)
            return
        failed = counts_as_failure(answer)
        self.record(None if failed is None else not failed, answer.detail)

    def _record(self, result: Recorded, detail: str) -> None:
        if not self._recorded:
            self._recorded = True
            self._breaker.note(self._home, self, result, detail)


class Breaker:
    """One breaker for one profile, the same in every process that is given the same Redis and name.

    Args:
        client: Redis, with short time limits and no retries of its own.
        name: Which breaker, and what listeners read as `name`.
        outages: What `client` raises when Redis cannot be used, `(redis.exceptions.RedisError,)`; then this process
            decides for itself by the same rules.
        rules: The numbers.
        listeners: Told of each call by the process that makes it, and of each change of state by the one process that
            brought it about. A listener that fails is logged: an answer of PayTabs must not be lost over it.
        rng: Where the jitter comes from.
    """

    def __init__(
        self,
        client: ScriptClient,
        name: str,
        *,
        outages: tuple[type[Exception], ...],
        rules: BreakerRules | None = None,
        listeners: Iterable[CircuitBreakerListener] = (),
        rng: Callable[[], float] = random.random,
    ) -> None:
        self.name = name
        self.rules = rules or BreakerRules()
        self._listeners = list(listeners)
        self._rng = rng
        shared: BreakerState = SharedBreaker(client, name, self.rules)
        self._homes = Fallback("breaker", shared, LocalBreaker(self.rules), outages)

    def admit(self, kind: Kind, owner: str, *, may_probe: bool = True) -> Permit:
        """Ask for leave to make one call.

        Args:
            kind: "query" for what moves nothing, else "send".
            owner: Who asks, for operators.
            may_probe: Whether a query may be a probe, which takes as long as PayTabs likes.

        Returns:
            A permit, which has to be recorded or settled whatever happens; a probe's expires by itself.

        Raises:
            BreakerOpen: PayTabs is failing; nothing may be called, or only one probe, and this is none or not the
                first. It is a pybreaker.CircuitBreakerError.
        """
        token = f"{owner}#{uuid4().hex}"
        home, decision = self._homes.ask(lambda state: state.admit(kind if may_probe else "send", token))
        self._tell_change(decision)
        if not decision.admitted:
            wait_seconds = decision.wait_seconds + self._rng() * self.rules.jitter_seconds
            raise BreakerOpen(decision.after, wait_seconds)
        self._tell("before_call", self.admit, kind, owner)
        return Permit(self, home, decision.epoch, token, kind)

    def state(self) -> str:
        """Return `closed`, `open` or `half-open`."""
        return self.snapshot().state

    def snapshot(self) -> BreakerSnapshot:
        """Return everything there is to know, for operators."""
        _, seen = self._homes.ask(lambda home: home.peek())
        return seen

    def add_listener(self, listener: CircuitBreakerListener) -> None:
        """Tell one more listener from now on."""
        self._listeners.append(listener)

    def note(self, home: BreakerState, permit: Permit, result: Recorded, detail: str) -> None:
        """Take in what a permit's call proved; `Permit.record` is the way to call it."""
        decision = self._homes.tell(home, lambda state: state.record(permit.epoch, permit.token, result))
        if result is Recorded.OK:
            self._tell("success")
        elif result is Recorded.FAILED:
            self._tell("failure", GatewayFailing(detail))
        if decision is not None:
            self._tell_change(decision)

    def _tell_change(self, decision: Decision) -> None:
        if decision.before != decision.after:
            _log.warning(
                "breaker_changed", breaker=self.name, before=decision.before, after=decision.after,
                reason=decision.reason,
            )  # fmt: skip
            breaker = cast("CircuitBreaker", self)
            states = [CircuitBreakerState(breaker, name) for name in (decision.before, decision.after)]
            self._tell("state_change", *states)

    def _tell(self, event: str, *arguments: object) -> None:
        for listener in self._listeners:
            try:
                getattr(listener, event)(self, *arguments)
            except Exception:  # noqa: BLE001 - whatever a listener raises, the call goes on
                _log.exception("breaker_listener_failed", breaker=self.name, listener=type(listener).__name__)
