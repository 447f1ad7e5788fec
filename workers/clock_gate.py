"""Whether this worker takes work: not while its clock is wrong. What it has taken already it brings to its end.

The gate is this process's own. It is looked at whenever the worker is about to ask its broker for a message, so that it
opens again by itself; revoking, pings and the other broadcasts go on meanwhile.
"""

from typing import Any

import structlog

log = structlog.get_logger(__name__)


class Gate:
    """Open, unless the clock was found to be wrong."""

    def __init__(self) -> None:
        """Begin open: where nothing is known nothing stops."""
        self.is_open = True

    def set(self, *, is_open: bool) -> None:
        """Open or close it."""
        if is_open != self.is_open:
            self.is_open = is_open
            log.warning("clock_gate", takes_work=is_open)


#: This process's gate.
GATE = Gate()


class GatedByClock:
    """A part of the channel: asks for no message while the gate is closed."""

    def _brpop_start(self, timeout: float | None = None) -> None:
        """Ask for the next message, unless the gate is closed; kombu asks again with its next round."""
        if GATE.is_open:
            whole: Any = super()
            whole._brpop_start(timeout)  # noqa: SLF001 - kombu's
