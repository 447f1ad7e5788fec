"""Reads of the catalogue where each belongs: at the primary, or at a secondary that is fresh enough."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from bson import Timestamp
from pymongo.database import Database
from pymongo.errors import ExecutionTimeout, OperationFailure

from aggregations.aggregation import Aggregation, Stage
from aggregations.errors import BudgetExceeded, ReplicaBehind
from aggregations.readers import INVALID_OPTIONS, DatabaseReader, Reader, Reading
from aggregations.replicas import Place, Replicas

Document = dict[str, Any]


class RoutedReader:
    """Reads from whichever member the set's health names.

    Args:
        replicas: knows the members.
        primary: explains what is slow.
    """

    def __init__(self, replicas: Replicas, primary: DatabaseReader) -> None:
        self._replicas, self._primary = replicas, primary

    def read(self, row: Aggregation, pipeline: list[Stage], as_of: datetime, after: Timestamp | None) -> Reading:
        """Run a pipeline within its time budget at each place that is tried.

        Raises:
            BudgetExceeded: the last place stopped it.
            ReplicaBehind: the last place has not heard of the time yet.
            PrimaryBusy: no secondary can be read, and the primary has enough of such reads.
            PyMongoError: whatever else the database says.
        """

        def attempt(place: Place) -> Reading:
            collection = place.database[row.collections[0]]
            found = list(collection.aggregate(pipeline, comment=f"aggregations.{row.name}", session=place.session))
            return Reading(found, as_of - timedelta(seconds=place.lag_seconds), place.source)

        with _told(row):
            return self._replicas.read(attempt, intent=row.read, timeout_seconds=row.budget_ms / 1000, after=after)

    def has_secondaries(self) -> bool:
        """Tell whether there is any choice."""
        return self._replicas.has_secondaries()

    def explain(self, row: Aggregation, pipeline: list[Stage], *, execute: bool) -> Document:
        """Return how the primary would do it."""
        return self._primary.explain(row, pipeline, execute=execute)


class Routing:
    """Chooses the reader of a row: those that need the primary read it as ever."""

    def __init__(self, database: Database[Document], replicas: Replicas) -> None:
        """Read from the CMS's database."""
        self._primary = DatabaseReader(database)
        self._routed = RoutedReader(replicas, self._primary)

    def __call__(self, row: Aggregation) -> Reader:
        """Return the reader."""
        return self._routed if row.read == "replica" and self._routed.has_secondaries() else self._primary


@contextmanager
def _told(row: Aggregation) -> Iterator[None]:
    try:
        yield
    except ExecutionTimeout as error:
        raise BudgetExceeded(row.name, row.budget_ms) from error
    except OperationFailure as error:
        if error.code != INVALID_OPTIONS or "afterClusterTime" not in str(error):
            raise
        raise ReplicaBehind(f"{row.name}: no member has heard of the change yet") from error
