"""Whose turn it is: a worker's turns are shared among its queues by weight, and none that has a message is left out.

Each turn costs a queue one part of its share on a common scale; the queue that is least far on it is served next. One
that was empty begins where the others are, so that it gets no turns for the time in which it had no messages.
"""

from collections.abc import Iterable

from config.queues import LANES

#: Turns beside the others', and who is first at a tie, by queue.
SHARES = {lane.name: lane.share for lane in LANES}
RANKS = {lane.name: rank for rank, lane in enumerate(LANES)}

#: What a message costs its door that is only put into its lane, as a part of a turn: a long file of them must not keep
#: back whoever stands behind them at that door.
PASSING_ON = 1 / 32


class ShareCycle:
    """The order in which kombu looks into a worker's queues; in the place of its round robin."""

    def __init__(self, items: Iterable[str] = ()) -> None:
        self._items = list(items)
        self._ends: dict[str, float] = {}
        self._now = 0.0

    def update(self, items: Iterable[str]) -> None:
        """Look into these queues from now on."""
        self._items = list(items)

    def consume(self, count: int) -> list[str]:
        """Return the queues, the one whose turn it is first; the first of them that has a message is served."""
        return sorted(self._items, key=lambda queue: (self._begin(queue), RANKS.get(queue, len(RANKS))))[:count]

    def rotate(self, last_used: str) -> str:
        """Note that a queue was served."""
        self._now = self._begin(last_used)
        self._ends[last_used] = self._now + 1 / SHARES.get(last_used, 1)
        return last_used

    def passed_on(self, queue: str) -> None:
        """Give a queue most of its last turn back, whose message was only put into its lane."""
        self._ends[queue] = self._now + PASSING_ON / SHARES.get(queue, 1)

    def _begin(self, queue: str) -> float:
        return max(self._ends.get(queue, 0.0), self._now)
