"""Answers aggregations from their views, exactly as their pipelines would, or not at all.

What a view cannot know is read from the sources beside it: the days at the edges of a span or of an age bracket, and
groups that have changed and wait for their refresh. So an answer is as fresh as the watcher, however late a refresh is.
All is read at one moment, on one snapshot of what a majority has: how far the watcher is, the marks, the rows, and the
sources. What has changed in the sources and the watcher has not followed yet may be in one part of an answer and not in
another, until it has.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import partial

import pymongo
import structlog
from bson import Timestamp
from bson.errors import BSONError
from pymongo import ReadPreference
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import PyMongoError

from aggregations.aggregation import Aggregation, Document
from aggregations.parameters import Parameters
from aggregations.view_answers import ANSWERS, Asked
from aggregations.view_keys import Group
from aggregations.view_marks import Marks
from aggregations.view_state import WATCHER, Position, ViewState, seconds_behind
from aggregations.views import ANSWERING, View

log = structlog.get_logger(__name__)

#: How old the state may be that an answer stands for, in seconds, unless set otherwise.
BOUND_SECONDS = 10.0

#: What comes of rows that somebody has written into a view: no caller may fail where the pipeline can answer.
DAMAGE = (ArithmeticError, AttributeError, BSONError, LookupError, TypeError, ValueError)

#: How long a look at how a view stands may take, in seconds: without a primary that answers, others are asked instead.
LOOK_SECONDS = 1.0

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
        self._primary = database.with_options(read_preference=ReadPreference.PRIMARY)
        self._marks, self._state = Marks(self._primary), ViewState(self._primary, "reader")

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
            with pymongo.timeout(row.budget_ms / 1000), self._db.client.start_session(snapshot=True) as session:
                with pymongo.timeout(LOOK_SECONDS):
                    as_of = self._stands(view, after, session)
                dirty = partial(self._dirty, session)
                asked = Asked(self._primary, view, parameters, now, dirty, session)
                documents = ANSWERS[row.name](asked) if as_of is not None else None
        except PyMongoError as error:
            # Whoever asks has other places to read at, such as a secondary while there is no primary.
            log.warning("view_not_read", view=view.name, reason=type(error).__name__)
            return None
        except DAMAGE as error:
            log.warning("view_damaged", view=view.name, reason=type(error).__name__)
            return None
        return None if documents is None or as_of is None else ViewAnswer(documents, min(as_of, now))

    def _stands(self, view: View, after: Timestamp | None, session: ClientSession) -> datetime | None:
        """Return the time that the view can stand for, None when that is not good enough."""
        rows = self._state.rows_now([WATCHER, view.name], session)
        watcher, built = rows.get(WATCHER, {}), rows.get(view.name, {}).get("built")
        position = Position.of(watcher)
        behind = seconds_behind(position, watcher["now"]) if watcher else None
        if position.at is None or behind is None or behind > self._bound or built != position.generation:
            return None
        return None if after is not None and after > position.at else position.at.as_datetime()

    def _dirty(self, session: ClientSession, view: View, group: Group | None) -> set[Group] | None:
        """Return the groups that wait for their refresh, of one or of all; None when they are too many."""
        if group is not None:
            wanted = {"_id": {"v": view.name, "g": group}, "changed": True}
            return {group} if self._marks.rows.find_one(wanted, session=session) else set()
        marks = self._marks.pending(view.name, MOST_LIVE + 1, session=session)
        changed = {mark.group for mark in marks if mark.changed}
        return changed if len(changed) <= MOST_LIVE else None
