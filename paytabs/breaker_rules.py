"""The breaker's numbers, and the words in which its two homes (Redis and this process) answer."""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Literal, Protocol

from pybreaker import STATE_CLOSED, STATE_HALF_OPEN, STATE_OPEN

__all__ = [
    "HALTED_REASON",
    "STATE_CLOSED",
    "STATE_HALF_OPEN",
    "STATE_OPEN",
    "BreakerRules",
    "BreakerSnapshot",
    "BreakerState",
    "Decision",
    "Kind",
    "Recorded",
    "ScriptClient",
    "microseconds",
]

#: What a call does: only a query, which moves nothing, may be a probe.
Kind = Literal["query", "send"]

#: Why a breaker is open whose PayTabs is well.
HALTED_REASON = "PayTabs refuses our key or profile"

#: Clocks here count whole microseconds, as Redis does.
MICROSECONDS = 1_000_000


def microseconds(seconds: float) -> int:
    """Return seconds in the unit of the clocks here."""
    return round(seconds * MICROSECONDS)


class Recorded(StrEnum):
    """What a call that was let through proved."""

    OK = "ok"
    FAILED = "failed"
    #: PayTabs refuses our key or profile: that is no failure of PayTabs, and all the same no reason to go on sending.
    HALTED = "halted"
    NONE = "none"


@dataclass(frozen=True)
class BreakerRules:
    """When to stop calling PayTabs and when to begin again.

    Attributes:
        window_seconds: How far back the share of failures looks.
        least_calls: With fewer calls in the window the share decides nothing.
        failure_percent: From this share on it opens.
        failures_in_a_row: So many failures without a success between them open it as well.
        open_seconds: How long nothing is called.
        probe_seconds: How long a probe's owner keeps others from probing; longer than a call may take.
        probes_to_close: How many probes must pass, one after the other.
        probe_pause_seconds: When to ask again while another one probes.
        jitter_seconds: Over how long the parked work comes back.
        forget_seconds: When a state that nobody touches is forgotten, that is, closed.
    """

    window_seconds: float = 10
    least_calls: int = 10
    failure_percent: int = 50
    failures_in_a_row: int = 5
    open_seconds: float = 30
    probe_seconds: float = 15
    probes_to_close: int = 3
    probe_pause_seconds: float = 1
    jitter_seconds: float = 5
    forget_seconds: float = 86_400

    def to_json(self) -> str:
        """Return the rules as the script reads them."""
        numbers: dict[str, float | str] = asdict(self)
        numbers |= {"forget_ms": round(self.forget_seconds * 1000), "halted": HALTED_REASON}
        for name in ("window", "open", "probe", "probe_pause"):
            numbers[f"{name}_us"] = microseconds(getattr(self, f"{name}_seconds"))
        return json.dumps(numbers)


@dataclass(frozen=True)
class Decision:
    """What asking or telling the breaker led to.

    Attributes:
        before: The state found.
        after: The state left behind.
        epoch: Which stay in that state it is; a call's result counts only in the epoch that admitted it.
        reason: What opened the breaker last, empty while it is closed.
        admitted: Whether the call may be made.
        wait_seconds: If not, when the answer may be another one.
    """

    before: str
    after: str
    epoch: str
    reason: str
    admitted: bool = True
    wait_seconds: float = 0.0


@dataclass(frozen=True)
class BreakerSnapshot:
    """The breaker as operators see it.

    Attributes:
        state: closed, open or half-open; an open one whose time is over counts as half-open.
        reason: What opened it last.
        for_seconds: How long it has been so; None when nothing ever happened.
        open_for_seconds: How long nothing will be called yet.
        calls: The calls in the rolling window.
        failures: Those of them that failed.
        failures_in_a_row: Failures since the last success.
        probes_passed: Probes that have passed since it was open.
        probe_owner: Whose probe is on its way.
        shared: False while this process cannot reach Redis and decides for itself.
    """

    state: str
    reason: str
    for_seconds: float | None
    open_for_seconds: float
    calls: int
    failures: int
    failures_in_a_row: int
    probes_passed: int
    probe_owner: str | None
    shared: bool


class ScriptClient(Protocol):
    """The one thing needed of Redis; a `redis.Redis` that decodes its answers is one."""

    def eval(self, script: str, numkeys: int, *keys_and_args: str) -> Any:  # noqa: ANN401 - whatever the script returns
        """Run a script; the server keeps its compiled form, and gets the text each time in case it lost that."""


class BreakerState(Protocol):
    """Where the breaker's state lives."""

    def admit(self, kind: Kind, token: str) -> Decision:
        """Ask for a call."""

    def record(self, epoch: str, token: str, result: Recorded) -> Decision:
        """Tell what a call proved."""

    def peek(self) -> BreakerSnapshot:
        """Look without asking for anything."""
