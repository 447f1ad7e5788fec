"""Where a read is done: what decides about money at the primary, the rest at a secondary that is fresh enough.

A read that a secondary does not answer is tried once more elsewhere. Where no secondary will do it goes to the primary,
but only so many at once, lest heavy reads take down what payments need; a set without secondaries knows no such limit.
"""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, TypeVar

import pymongo
from pymongo import ReadPreference
from pymongo.database import Database
from pymongo.errors import ConnectionFailure, ExecutionTimeout, OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern

from aggregations.errors import AggregationError, MayPass
from aggregations.members import PRIMARY, SECONDARY, Address, ChosenAway, Members, chosen, named
from aggregations.readers import INVALID_OPTIONS
from observability.metrics import REPLICA_READS

Document = dict[str, Any]
T = TypeVar("T")
Intent = Literal["replica", "primary"]

#: How long the first of two attempts may take, in seconds: one that hangs must not cost the whole of the read's time.
FIRST_SECONDS = 5.0

#: How long a read waits for its turn at the primary, in seconds.
TURN_SECONDS = 1.0


class PrimaryBusy(MayPass):
    """Raised when no secondary can be read, and the primary has as many of such reads as it may; it may pass."""

    def __init__(self, at_once: int) -> None:
        self.at_once = at_once
        super().__init__(at_once)

    def __str__(self) -> str:
        return f"no secondary can be read, and {self.at_once} reads that they should serve are at the primary already"


@dataclass(frozen=True)
class Place:
    """Where one attempt of a read is done.

    Attributes:
        database: reads of it go there and nowhere else, and see what a majority has.
        source: as answers say it.
        lag_seconds: nothing older than this is read; 0 at the primary.
        timeout_seconds: how long this attempt may take.
    """

    database: Database[Document]
    source: Intent
    lag_seconds: float
    timeout_seconds: float


@dataclass(frozen=True)
class MemberView:
    """What is known of one member of the set."""

    address: str
    role: str
    lag_seconds: float | None
    ejected: str


class Replicas:
    """Sends each read where it belongs.

    Args:
        database: of a client whose `server_selector` is `only_the_chosen`.
        bound_seconds: the longest lag with which a secondary is read.
        fallback_at_once: how many reads this process does at the primary for want of a secondary.
    """

    def __init__(self, database: Database[Document], *, bound_seconds: float, fallback_at_once: int) -> None:
        majority = ReadConcern("majority")
        self._primary = database.with_options(read_preference=ReadPreference.PRIMARY, read_concern=majority)
        self._member = database.with_options(read_preference=ReadPreference.NEAREST, read_concern=majority)
        self._members = Members(database, bound_seconds=bound_seconds)
        self._at_once = fallback_at_once
        self._turns = threading.BoundedSemaphore(fallback_at_once)

    def close(self) -> None:
        """Watch the secondaries no more."""
        self._members.close()

    def read(
        self,
        attempt: Callable[[Place], T],
        *,
        intent: Intent,
        timeout_seconds: float,
        at_primary: bool = False,
    ) -> T:
        """Do a read in the right place.

        Args:
            attempt: the read; called once more for another place when it had no answer.
            intent: `primary` for what decides about money.
            timeout_seconds: how long one attempt may take.
            at_primary: no secondary will do; there it counts as one of those reads that they should serve.

        Raises:
            PrimaryBusy: no secondary can be read, and the primary has enough of such reads.
            PyMongoError: what the last attempt met with.
        """
        go = _Attempt(attempt, timeout_seconds)
        if intent == "primary" or not self._has_secondaries():
            return go.at(self._primary, "primary", 0.0)
        if at_primary:
            return self._at_primary(go)
        addresses = self._members.readable()
        random.shuffle(addresses)
        for address in addresses[:1]:
            try:
                return self._at_member(address, replace(go, timeout_seconds=min(timeout_seconds, FIRST_SECONDS)))
            except (PyMongoError, AggregationError) as error:
                if not _may_pass_elsewhere(error):
                    raise
        other = next((one for one in self._members.readable() if one not in addresses[:1]), None)
        return self._at_primary(go) if other is None else self._at_member(other, go)

    def survey(self) -> list[MemberView]:
        """Probe every secondary now and tell how the set stands."""
        if self._has_secondaries():
            self._members.survey()
        return self.members()

    def members(self) -> list[MemberView]:
        """Tell how the set stands, as far as this process knows."""
        health, now = self._members.health(), self._members.monotonic()
        views = []
        for address, role in sorted(self._members.roles().items()):
            known = health.get(address)
            lag = 0.0 if role == PRIMARY else known.lag_seconds(now) if known else None
            views.append(MemberView(named(address), _ROLES.get(role, "unknown"), lag, known.ejected if known else ""))
        return views

    def _has_secondaries(self) -> bool:
        if not self._members.roles():
            self._primary.command("ping")  # a client that has not talked to anybody yet knows of nobody
        return len(self._members.roles()) > 1

    def _at_member(self, address: Address, go: "_Attempt[T]") -> T:
        try:
            with chosen(address):
                answer = go.at(self._member, "replica", self._members.lag_seconds(address))
        except (PyMongoError, AggregationError) as error:
            if isinstance(_cause(error), ConnectionFailure | ChosenAway):
                self._members.failed(address)
            REPLICA_READS.labels(source="replica", result="failed").inc()
            raise
        REPLICA_READS.labels(source="replica", result="done").inc()
        return answer

    def _at_primary(self, go: "_Attempt[T]") -> T:
        if not self._turns.acquire(timeout=TURN_SECONDS):
            REPLICA_READS.labels(source="primary", result="refused").inc()
            raise PrimaryBusy(self._at_once)
        try:
            answer = go.at(self._primary, "primary", 0.0)
        finally:
            self._turns.release()
        REPLICA_READS.labels(source="primary", result="done").inc()
        return answer


#: The driver's words for roles, and ours.
_ROLES = {PRIMARY: "primary", SECONDARY: "secondary"}


@dataclass(frozen=True)
class _Attempt(Generic[T]):
    """A read with its limits, to be done in one place or another."""

    read: Callable[[Place], T]
    timeout_seconds: float

    def at(self, database: Database[Document], source: Intent, lag_seconds: float) -> T:
        """Do it there."""
        with pymongo.timeout(self.timeout_seconds):
            return self.read(Place(database, source, lag_seconds, self.timeout_seconds))


def _may_pass_elsewhere(error: Exception) -> bool:
    """Tell whether another member may well answer what this one has not."""
    cause = _cause(error)
    if isinstance(error, MayPass) or isinstance(cause, ConnectionFailure | ExecutionTimeout):
        return True
    return isinstance(cause, OperationFailure) and (cause.code == INVALID_OPTIONS or cause.timeout)


def _cause(error: BaseException) -> BaseException:
    """Return what the database said, where somebody has put it into other words."""
    return error if isinstance(error, PyMongoError) or error.__cause__ is None else error.__cause__
