"""Where a read is done: one node's view of the database, at or after the changes that it must not miss.

Reads see what a majority has, so nothing that is answered can be rolled back; a primary that has lost its majority
cannot reach a later time, and neither can a secondary that lags: they time out instead of answering from before it.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

import pymongo
from bson import Timestamp
from bson.codec_options import DatetimeConversion
from pymongo import ReadPreference
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import ExecutionTimeout, NetworkTimeout, OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern

from aggregations.aggregation import Stage
from aggregations.catalogue import Aggregation
from aggregations.errors import AnswerTooLarge, BudgetExceeded, ReplicaBehind

Document = dict[str, Any]

#: A node has not even heard of the time it is asked to read after.
INVALID_OPTIONS = 72

#: MongoDB's codes for a document of more than 16 MB: the pipeline's own, and what a join brings together.
TOO_LARGE = frozenset({4568, 10334})

#: How long a node has for a sign of life, in seconds.
PING_SECONDS = 1.0

#: A member that was chosen may have become primary since: it is read all the same, nobody else is.
_PREFERENCES = {"primary": ReadPreference.PRIMARY, "replica": ReadPreference.NEAREST}


@dataclass(frozen=True)
class Reading:
    """What a pipeline gave, where, and the time that nothing older than was read."""

    documents: list[Document]
    as_of: datetime
    source: str


class Reader(Protocol):
    """Runs an aggregation's pipeline somewhere."""

    def read(
        self,
        row: Aggregation,
        pipeline: list[Stage],
        as_of: datetime,
        after: Timestamp | None,
        *,
        at_primary: bool = False,
    ) -> Reading:
        """Run a pipeline that was built for a time, not before another time of the database.

        With `at_primary` no secondary is asked: what one has said was not enough.
        """

    def explain(self, row: Aggregation, pipeline: list[Stage], *, execute: bool) -> Document:
        """Return how the database does it, running it once more with `execute`."""


class DatabaseReader:
    """Reads from the primary, or from a secondary.

    Args:
        database: the CMS's.
        source: where, as answers say it.
    """

    def __init__(self, database: Database[Document], source: Literal["primary", "replica"] = "primary") -> None:
        self._db, self.source = database, source

    def read(
        self,
        row: Aggregation,
        pipeline: list[Stage],
        as_of: datetime,
        after: Timestamp | None,
        *,
        at_primary: bool = False,
        seconds: float | None = None,
    ) -> Reading:
        """Run a pipeline within its time budget, or within so many seconds if they are fewer.

        Raises:
            BudgetExceeded: the primary stopped it.
            AnswerTooLarge: it is more than MongoDB puts into one document.
            ReplicaBehind: a secondary stopped it, or has not reached the time.
            PyMongoError: whatever else the database says.
        """
        del at_primary  # this one reads in one place only
        began, budget = time.perf_counter(), row.budget_ms / 1000
        # PyMongo derives the server's maxTimeMS from this, and overwrites one that is given beside it.
        limit = budget if seconds is None else min(budget, seconds)
        with self._told(row), pymongo.timeout(limit), self._session(after) as session:
            comment = f"aggregations.{row.name}"
            found = list(self._collection(row).aggregate(pipeline, comment=comment, session=session))
        if self.source == "replica":
            as_of = min(as_of, _reached(session, time.perf_counter() - began))
        return Reading(found, as_of, self.source)

    def explain(self, row: Aggregation, pipeline: list[Stage], *, execute: bool) -> Document:
        """Return how the database does it."""
        command = {"aggregate": row.collections[0], "pipeline": pipeline, "cursor": {}}
        verbosity = "executionStats" if execute else "queryPlanner"
        asked = {"explain": command, "verbosity": verbosity, "comment": f"aggregations.{row.name}.explain"}
        with pymongo.timeout(row.budget_ms / 1000):
            return self._db.command(asked, read_preference=_PREFERENCES[self.source])

    def _collection(self, row: Aggregation) -> Collection[Document]:
        return self._db.get_collection(
            row.collections[0],
            read_preference=_PREFERENCES[self.source],
            read_concern=ReadConcern("majority"),
            # JavaScript writes years that Python has not; they arrive as they are instead of stopping the read.
            codec_options=self._db.codec_options.with_options(datetime_conversion=DatetimeConversion.DATETIME_AUTO),
        )

    @contextmanager
    def _session(self, after: Timestamp | None) -> Iterator[ClientSession]:
        with self._db.client.start_session(causal_consistency=True) as session:
            if after is not None:
                session.advance_operation_time(after)
            yield session

    @contextmanager
    def _told(self, row: Aggregation) -> Iterator[None]:
        try:
            yield
        except (ExecutionTimeout, NetworkTimeout) as error:
            # The server's own end and the driver's are a moment apart: whichever comes first, a server that answers
            # others was busy with this one, which it stops by itself; one that answers nobody is worth another try.
            if _never_sent(error) or (isinstance(error, NetworkTimeout) and not self._answers()):
                raise
            if self.source == "replica":
                raise ReplicaBehind(f"{row.name}: the secondary did not answer within {row.budget_ms} ms") from error
            raise BudgetExceeded(row.name, row.budget_ms) from error
        except OperationFailure as error:
            if error.code in TOO_LARGE:
                raise AnswerTooLarge(row.name) from error
            if error.code != INVALID_OPTIONS or "afterClusterTime" not in str(error):
                raise
            raise ReplicaBehind(f"{row.name}: the {self.source} has not heard of the change yet") from error

    def _answers(self) -> bool:
        try:
            with pymongo.timeout(PING_SECONDS):
                self._db.command("ping", read_preference=_PREFERENCES[self.source])
        except PyMongoError:
            return False
        return True


def _never_sent(error: Exception) -> bool:
    """Tell whether the time went by before the server heard of it: while one was elected, for example."""
    return isinstance(error, ExecutionTimeout) and "codeName" not in (error.details or {})


def _reached(session: ClientSession, seconds: float) -> datetime:
    """Return what a secondary had reached when a read of so many seconds began on it, to the second before."""
    reached: Timestamp | None = session.operation_time
    if reached is None:
        raise ReplicaBehind("the secondary does not say what it has reached")
    return reached.as_datetime() - timedelta(seconds=seconds)


def operation_time(database: Database[Document]) -> Timestamp | None:
    """Return the primary's time: of the last change that it has made; None on a server that keeps none."""
    with pymongo.timeout(PING_SECONDS):
        told: Timestamp | None = database.command("ping", read_preference=ReadPreference.PRIMARY).get("operationTime")
    return told


#: Chooses the reader of an aggregation.
ReaderOf = Callable[[Aggregation], Reader]
