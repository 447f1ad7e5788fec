"""What the sweeps have in common: how much one of them does, and when it stops."""

from collections.abc import Iterable
from itertools import takewhile
from typing import Any

#: How many rows one sweep enqueues; the rest is there for the next one.
SWEEP_LIMIT = 500


def enqueued(sent: Iterable[bool]) -> dict[str, Any]:
    """Send until the broker fails, since every further one would wait for it too; what is left is due again soon."""
    return {"enqueued": sum(1 for _ in takewhile(bool, sent))}
