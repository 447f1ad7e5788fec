"""The people of a run: callers who ask the system by its tasks, and an operator who is called over what is in doubt.

A caller whose request may not have arrived asks again under the same operation id. The operator does what
docs/operations.md says: looks the cart up at PayTabs, and declares what is not there not to have happened.
"""

import time
from collections import Counter
from contextlib import suppress
from typing import Any

import requests
from kombu.exceptions import OperationalError
from pymongo.errors import PyMongoError
from redis.exceptions import RedisError

from payments.errors import PaymentsError
from payments.events import Context
from tasks.wiring import World
from tests.chaos.fire.board import Board
from tests.chaos.fire.hours import Hours
from tests.chaos.stage import Json, Stage
from tests.support.system import Asked

#: Errors of servers that a run kills; whoever meets one tries again in the next round.
PASSING = (OperationalError, PyMongoError, RedisError, requests.ConnectionError, requests.Timeout)

#: How long a caller waits for any trace of its request before it asks again, in seconds.
PATIENCE_SECONDS = 20.0

#: One request in so many is sent twice at once, as a caller does whose first answer got lost.
IMPATIENT_ONE_IN = 5


class Surprise(AssertionError):
    """Raised when the system does to a payment what nobody asked of it."""


class People:
    """Callers and the operator of one run.

    Args:
        stage: The running system.
        world: The operator's own process.
    """

    def __init__(self, stage: Stage, world: World) -> None:
        self.stage = stage
        self.sandbox = stage.sandbox
        self.board = Board(stage.database)
        self.hours = Hours(stage.database)
        #: How often which person had to do something that a healthy world does not ask for.
        self.tally: Counter[str] = Counter()
        #: Notices that have to be refused at the door.
        self.refused: set[str] = set()
        #: Every request that the broker took: the task, what it was given, and its result.
        self.asked: list[tuple[str, Json, Asked]] = []
        #: Codes of refusals that are the truth for a while: whoever hears one asks again.
        self.passing: set[str] = set()
        #: The operator's own process.
        self.world = world

    def ask(self, task: str, **arguments: Any) -> Asked | None:
        """Enqueue a task, now and then twice at once; None when the broker does not take it now."""
        self.tally["requests"] += 1
        if self.tally["requests"] % IMPATIENT_ONE_IN == 0 and self._enqueue(task, arguments):
            self.tally["requests sent twice at once under one id"] += 1
        return self._enqueue(task, arguments)

    def answer(self, asked: Asked) -> Json | None:
        """Give what a task has answered, None while it has not, or nobody knows."""
        with suppress(*PASSING):
            meta = asked.meta
            return dict(meta["result"]) if meta["status"] == "SUCCESS" else None
        return None

    def failure(self, asked: Asked) -> str | None:
        """Tell how a task has failed, None when it has not, or nobody knows."""
        with suppress(*PASSING):
            meta = asked.meta
            return f"{meta['result']!r}" if meta["status"] == "FAILURE" else None
        return None

    def help(self, rows: list[Json]) -> None:
        """Do what time and the operator can do for operations that wait."""
        for row in rows:
            with suppress(*PASSING):
                if row["status"] == "review" and row["open"] and row["error"] == "nothing_found":
                    self._look_into(row)
                else:
                    self.hours.pass_for(row)

    def _enqueue(self, task: str, arguments: Json) -> Asked | None:
        try:
            asked = self.stage.system.enqueue(task, requested_by="caller", **arguments)
        except Exception:  # noqa: BLE001 - whatever it is, the broker has not said that it took it
            self.tally["requests that the broker did not take"] += 1
            return None
        self.asked.append((task, arguments, asked))
        return asked

    def _look_into(self, row: Json) -> None:
        """Look for an operation's cart at PayTabs, and decide."""
        cart_id = row["sends"][-1]["cart_id"]
        seen_by = Context(correlation_id="desk", source="review", requested_by="omar")
        if self.sandbox.ledger(cart_id=cart_id):
            raise Surprise(f"{row['_id']}: a human was called over what PayTabs shows under cart {cart_id}")
        try:
            self.world.review.settle_operation(row["_id"], "not in the dashboard", seen_by)
        except PaymentsError as error:
            raise Surprise(f"{row['_id']}: the operator may not settle it: {error}") from error
        self.tally[f"operator: {row['kind']} not in the dashboard"] += 1


class Request:
    """One request of a caller, asked again until there is a trace of it.

    Args:
        people: Whose caller it is.
        task: The task's public name.
        arguments: What it takes, its operation id included.
        patience_seconds: How long it waits for a trace before it asks again.
    """

    def __init__(
        self, people: People, task: str, arguments: Json, *, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        self._people, self._task, self._arguments = people, task, arguments
        self._patience_seconds = patience_seconds
        self._asked: Asked | None = None
        self._again_at = 0.0

    def go_on(self) -> None:
        """Ask, or ask again when the last time has left no trace for long.

        Raises:
            Surprise: The task has failed.
        """
        if time.monotonic() < self._again_at:
            return
        if self._asked:
            failure = self._people.failure(self._asked)
            ask_again = ("OutcomeUnknown", "WorkersLost", "StreamContended", *self._people.passing)
            if failure and not any(word in failure for word in ask_again):
                raise Surprise(f"{self._task} of {self._arguments} failed: {failure}")
            self._people.tally[f"asked again: {self._task}"] += 1
        self._asked = self._people.ask(self._task, **self._arguments)
        self._again_at = time.monotonic() + (self._patience_seconds if self._asked else 0.0)
