"""The order that our clocks must keep for money to stay safe: a table, one row per promise.

Each link says that one time is shorter than another and what breaks otherwise. A shorter lease, for example, would let
a second worker take an operation over while the first one's request is still on the wire.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Link:
    """One rule: the sum of ``shorter`` stays under ``longer`` (or at most equals it)."""

    shorter: tuple[str, ...]
    longer: str
    why: str
    may_equal: bool = False

    def mistake(self, values: Mapping[str, float]) -> str | None:
        """Say how ``values`` break this rule, or None when they keep it or lack a part of it."""
        if not {*self.shorter, self.longer} <= values.keys():
            return None
        total, limit = sum(values[name] for name in self.shorter), values[self.longer]
        if total < limit or (self.may_equal and total == limit):
            return None
        names = " + ".join(f"{name.upper()} ({values[name]:g})" for name in self.shorter)
        relation = "at least" if self.may_equal else "more than"
        return f"expected {relation} {names}, got {limit:g}: {self.why}"


#: The time chain, in seconds.
LINKS: tuple[Link, ...] = (
    Link(("connect_timeout_seconds",), "call_timeout_seconds", "connecting is a part of the whole call"),
    Link(("send_fence_seconds",), "call_timeout_seconds", "a send that may start late must still have its whole call"),
    Link(
        ("send_fence_seconds", "call_timeout_seconds"),
        "soft_time_limit_seconds",
        "a call begun at the fence's last moment must end before its task is asked to stop",
        may_equal=True,
    ),
    Link(("soft_time_limit_seconds",), "hard_time_limit_seconds", "a task is asked to stop before it is killed"),
    Link(("hard_time_limit_seconds",), "lease_seconds", "the lease must outlive the task that holds it"),
    Link(("sweep_seconds",), "lease_seconds", "the sweep must see an ended lease soon"),
    Link(("lease_seconds",), "visibility_timeout_seconds", "a redelivered task must find the old lease ended"),
    Link(
        ("other_soft_time_limit_seconds",),
        "other_hard_time_limit_seconds",
        "a task is asked to stop before it is killed",
    ),
    Link(
        ("other_hard_time_limit_seconds",),
        "visibility_timeout_seconds",
        "a task that outlives the visibility timeout runs twice",
    ),
    Link(
        ("inbox_timeout_seconds",),
        "notice_patience_seconds",
        "the receiver must answer before PayTabs stops listening",
    ),
)
