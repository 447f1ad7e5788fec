"""Runs an aggregation on the database and gives its answer as plain JSON with the time it stands for."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pymongo
from bson import Decimal128, ObjectId
from pymongo.database import Database

from aggregations.catalogue import Parameters, find


class AggregationRunner:
    """Answers aggregations from the primary."""

    def __init__(self, database: Database[dict[str, Any]], *, clock: Callable[[], datetime]) -> None:
        """Read from the CMS's database."""
        self._db = database
        self._clock = clock

    def run(self, name: str, parameters: Parameters) -> dict[str, Any]:
        """Run one aggregation.

        Returns:
            `data`, `as_of` (ISO-8601 UTC: nothing older than this was read) and `source`.

        Raises:
            UnknownAggregation: there is none of that name.
            NotFound: its subject does not exist.
            ExecutionTimeout: the server stopped it at its time budget; NetworkTimeout: it did not answer by then.
        """
        row = find(name)
        as_of = self._clock()
        # PyMongo derives the server's maxTimeMS from this, and overwrites one that is given beside it.
        with pymongo.timeout(row.budget_ms / 1000):
            pipeline = row.build(parameters, as_of)
            found = list(self._db[row.collections[0]].aggregate(pipeline, comment=f"aggregations.{name}"))
        data = row.answer(found)
        return {"data": to_json(data), "as_of": iso_utc(as_of), "source": "primary"}


def to_json(value: object) -> object:
    """Return MongoDB values as plain JSON: ids and exact decimals as text, times as ISO-8601 UTC."""
    if isinstance(value, dict):
        return {str(name): to_json(member) for name, member in value.items()}
    if isinstance(value, list):
        return [to_json(member) for member in value]
    if isinstance(value, ObjectId | Decimal128 | Decimal):
        return str(value)
    if isinstance(value, datetime):
        return iso_utc(value)
    return value


def iso_utc(moment: datetime) -> str:
    """Return an aware time as ISO-8601 UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
