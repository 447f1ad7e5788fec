"""What waits in the broker, for operators: which task, in which queue, since when; nothing is taken or changed."""

import json
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import redis

from config.queues import QUEUES, SINCE_HEADER
from observability.kept_messages import TAKEN
from workers.messages import Malformed, read_body, read_envelope

#: Behind a queue's name in the names of the lists in which messages with a priority wait; most have none.
PRIORITIES = ("", *(f"\x06\x16{step}" for step in (3, 6, 9)))

#: How many messages of a list are looked through, the oldest first.
LOOKED_THROUGH = 5_000


@dataclass(frozen=True)
class Waiting:
    """One message; `ahead` is how many are served before it from its queue, None when a worker has it already.

    `since` is as its sender wrote it, None when he wrote nothing.
    """

    queue: str
    task: str
    task_id: str
    since: str | None
    ahead: int | None

    @property
    def words(self) -> str:
        """Say it in one line."""
        since = f"since {self.since}" if self.since else "since when its sender did not say"
        if self.ahead is None:
            return f"{self.task} is with a worker; queued in {self.queue} {since}"
        return f"{self.task} waits in {self.queue} {since}, {self.ahead} before it"

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return asdict(self) | {"words": self.words}


def depth(broker: redis.Redis, queue: str) -> int:
    """Count the messages that wait in a queue."""
    return sum(int(broker.llen(f"{queue}{end}")) for end in PRIORITIES)


def oldest(broker: redis.Redis, queue: str) -> Waiting | None:
    """Return the message of a queue that is served next, which is the oldest one; None when nothing waits."""
    for end in PRIORITIES:
        raw = broker.lindex(f"{queue}{end}", -1)
        if raw is not None and (found := _read(raw, queue, 0)) is not None:
            return found[0]
    return None


def waiting_about(broker: redis.Redis, ids: Collection[str]) -> list[Waiting]:
    """Return the messages whose arguments name one of some ids: those that wait, and those that a worker has."""
    wanted = {*ids}
    return [message for message, named in (*_queued(broker), *_in_hand(broker)) if named & wanted]


def _queued(broker: redis.Redis) -> Iterator[tuple[Waiting, set[str]]]:
    for queue in QUEUES:
        for end in PRIORITIES:
            texts: Any = broker.lrange(f"{queue}{end}", -LOOKED_THROUGH, -1)
            for ahead, raw in enumerate(reversed(texts)):
                if found := _read(raw, queue, ahead):
                    yield found


def _in_hand(broker: redis.Redis) -> Iterator[tuple[Waiting, set[str]]]:
    texts: Any = broker.hvals(TAKEN)
    for text in texts:
        try:
            envelope, _exchange, queue = json.loads(text)
        except ValueError:
            continue
        if found := _read(json.dumps(envelope), str(queue), None):
            yield found


def _read(raw: Any, queue: str, ahead: int | None) -> tuple[Waiting, set[str]] | None:  # noqa: ANN401 - text
    """Read a message and the texts among its arguments; None for one that a worker would refuse."""
    try:
        envelope = read_envelope(raw)
        body = read_body(envelope)
    except Malformed:
        return None
    headers = envelope.get("headers") or {}
    since = headers.get(SINCE_HEADER)
    told = since[:40] if isinstance(since, str) and since.isascii() and since.isprintable() else None
    message = Waiting(queue, str(headers.get("task")), str(headers.get("id")), told, ahead)
    given = [*body[0], *body[1].values()] if _has_arguments(body) else []
    return message, {one for one in given if isinstance(one, str)}


def _has_arguments(body: Any) -> bool:  # noqa: ANN401 - JSON
    return isinstance(body, list) and len(body) > 1 and isinstance(body[0], list) and isinstance(body[1], dict)
