"""How a worker reads lanes: a door's with the door, whatever its command names; and what it puts into them."""

from collections.abc import Iterable
from typing import Any

from celery.app.amqp import AMQP, Queues

from config.queues import lane_of, with_lanes


class LaneQueues(Queues):
    """Celery's table of queues, which selects a door's lanes with the door."""

    def select(self, include: Iterable[str] | str | None) -> None:
        """Consume from these and their lanes only; `-X` takes lanes out again."""
        named = [include] if isinstance(include, str) else list(include or ())
        super().select(with_lanes(named))


class LaneAMQP(AMQP):
    """Celery's way to its queues, with the table above."""

    queues_cls = LaneQueues


def place_of(envelope: dict[str, Any], queue: str, read_here: Iterable[str]) -> str:
    """Return the lane that a checked message has to be put into, its own queue if it is where it belongs.

    Args:
        envelope: The message.
        queue: Where it was found.
        read_here: The queues that this worker reads: into one that perhaps nobody reads nothing is put.
    """
    lane = lane_of(str(envelope["headers"]["task"]), envelope["headers"], queue)
    return lane if lane in read_here else queue
