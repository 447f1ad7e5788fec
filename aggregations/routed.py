"""A reader that goes where each read belongs: the same read, at a secondary that is fresh enough or at the primary."""

from datetime import datetime
from typing import Any, Literal

from bson import Timestamp
from pymongo.database import Database

from aggregations.aggregation import Aggregation, Stage
from aggregations.readers import DatabaseReader, Reading
from aggregations.replicas import Place, Replicas

Document = dict[str, Any]

#: What a reader needs beyond the read's own budget, to find out whether a server that did not answer is there at all.
MARGIN_SECONDS = 2.0


class RoutedReader:
    """Reads by intent.

    Args:
        database: the CMS's, of the client that `replicas` chooses members for.
        replicas: sends each read where it belongs.
    """

    def __init__(self, database: Database[Document], replicas: Replicas) -> None:
        self._replicas = replicas
        self._readers: dict[Literal["primary", "replica"], DatabaseReader] = {
            "primary": DatabaseReader(database),
            "replica": DatabaseReader(database, "replica"),
        }

    def read(
        self,
        row: Aggregation,
        pipeline: list[Stage],
        as_of: datetime,
        after: Timestamp | None,
        *,
        at_primary: bool = False,
    ) -> Reading:
        """Run a pipeline in the right place, and once more elsewhere when it had no answer."""

        def attempt(place: Place) -> Reading:
            seconds = place.timeout_seconds - MARGIN_SECONDS
            return self._readers[place.source].read(row, pipeline, as_of, after, seconds=seconds)

        return self._replicas.read(
            attempt,
            intent=row.read,
            timeout_seconds=row.budget_ms / 1000 + MARGIN_SECONDS,
            at_primary=at_primary,
        )

    def explain(self, row: Aggregation, pipeline: list[Stage], *, execute: bool) -> Document:
        """Return how the database does it, there."""
        return self._replicas.read(
            lambda place: self._readers[place.source].explain(row, pipeline, execute=execute),
            intent=row.read,
            timeout_seconds=row.budget_ms / 1000 + MARGIN_SECONDS,
        )
