"""Answers aggregations from their views, exactly as their pipelines would, or not at all.

What a view cannot know is read from the sources beside it: the days at the edges of a span or of an age bracket, and
groups that have changed and wait for their refresh. So an answer is as fresh as the watcher, however late a refresh is.
The order of the reading makes that true: first how far the watcher is, then the marks, then the rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pymongo
import structlog
from bson import Timestamp
from bson.errors import BSONError
from pymongo import ReadPreference
from pymongo.database import Database
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from aggregations.aggregation import Aggregation, Document
from aggregations.parameters import Parameters
from aggregations.view_answers import ANSWERS, Asked
from aggregations.view_marks import Marks
from aggregations.view_state import META, WATCHER, Position, seconds_behind
from aggregations.views import ANSWERING, View

log = structlog.get_logger(__name__)

#: How old the state may be that an answer stands for, in seconds, unless set otherwise.
BOUND_SECONDS = 10.0

#: What comes of rows that somebody has written into a view: no caller may fail where the pipeline can answer.
DAMAGE = (ArithmeticError, AttributeError, BSONError, LookupError, TypeError, ValueError)

#: With more groups that wait for their refresh than these, the pipeline is as good.
MOST_LIVE = 32


@dataclass(frozen=True)
class ViewAnswer:
    """What a view gave: documents as the aggregation's own pipeline gives them, and the time they stand for."""

    documents: list[Document]
    as_of: datetime


class ViewReads:
    """Reads views on the primary.

    Args:
        database: the CMS's.
        bound_seconds: how old the state may be that an answer stands for.
    """

    def __init__(self, database: Database[Document], *, bound_seconds: float = BOUND_SECONDS) -> None:
        self._db, self._bound = database, bound_seconds
        # As late as the rows are read: a mark whose end is not yet everywhere must still be seen.
        self._marks = Marks(self._majority())

    def from_view(
        self, row: Aggregation, parameters: Parameters, now: datetime, after: Timestamp | None = None
    ) -> ViewAnswer | None:
        """Return an aggregation's documents from its view.

        Args:
            row: the aggregation.
            parameters: its own.
            now: aware UTC time.
            after: a time of the database whose changes must not be missed.

        Returns:
            None when there is no view, when it is not built, older than its bound or than `after`, or when so much of
            it waits for its refresh that the pipeline is as good; also when it is damaged.
        """
        view = ANSWERING.get(row.name)
        if view is None:
            return None
        try:
            with pymongo.timeout(row.budget_ms / 1000):
                as_of = self._stands(view, now, after)
                asked = Asked(self._majority(), view, parameters, now, self._dirty)
                documents = ANSWERS[row.name](asked) if as_of is not None else None
        except PyMongoError as error:
            # Whoever asks has other places to read at, such as a secondary while there is no primary.
            log.warning("view_not_read", view=view.name, reason=type(error).__name__)
            return None
        except DAMAGE as error:
            log.warning("view_damaged", view=view.name, reason=type(error).__name__)
            return None
        return None if documents is None or as_of is None else ViewAnswer(documents, min(as_of, now))

    def _stands(self, view: View, now: datetime, after: Timestamp | None) -> datetime | None:
        """Return the time that the view can stand for, None when that is not good enough."""
        found = self._majority()[META].find({"_id": {"$in": [WATCHER, view.name]}})
        rows: Mapping[str, Document] = {row["_id"]: row for row in found}
        watcher, built = rows.get(WATCHER, {}), rows.get(view.name, {}).get("built")
        position = Position(watcher.get("generation", 0), watcher.get("at"), None, bool(watcher.get("ready")))
        behind = seconds_behind(position, now)
        if position.at is None or behind is None or behind > self._bound or built != position.generation:
            return None
        return None if after is not None and after > position.at else position.at.as_datetime()

    def _dirty(self, view: View, group: Any) -> set[Any] | None:  # noqa: ANN401 - a group, or None for all
        """Return the groups that wait for their refresh, of one or of all; None when they are too many."""
        if group is not None:
            return (
                {group} if self._marks.rows.find_one({"_id": {"v": view.name, "g": group}, "changed": True}) else set()
            )
        marks = self._marks.pending(view.name, MOST_LIVE + 1)
        changed = {mark.group for mark in marks if mark.changed}
        return changed if len(changed) <= MOST_LIVE else None

    def _majority(self) -> Database[Document]:
        return self._db.with_options(read_preference=ReadPreference.PRIMARY, read_concern=ReadConcern("majority"))
