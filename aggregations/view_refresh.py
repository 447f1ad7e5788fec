"""Refreshes a view: the groups that are marked, and no others.

A part of the marks is read, their groups are read from the sources at the marks' time or after it, and then all is
written in one transaction: the groups, their disappearance, the end of the marks that nobody has raised meanwhile. The
transaction finds the lease's fence unchanged or fails, so that a process that was frozen cannot write what is older.

A group that the rebuild has marked, and that is not what it should be although no change is pending, has drifted.
Before that is said, the watcher has to have followed all changes that the reading may have seen.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from bson import Timestamp
from bson.errors import BSONError
from pymongo import ReadPreference
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import DocumentTooLarge, OperationFailure
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from aggregations.aggregation import Document
from aggregations.view_groups import GroupReader, Groups, fingerprint
from aggregations.view_keys import Group
from aggregations.view_marks import Mark, Marks
from aggregations.view_state import ViewState
from aggregations.view_store import ViewStore
from aggregations.view_turn import Turn
from aggregations.views import View
from observability.alerts import RaiseAlert, ResolveAlert

log = structlog.get_logger(__name__)

#: How many groups are refreshed at once.
CHUNK = 40

#: How long the watcher has to follow before a difference is judged, in seconds.
JUDGE_SECONDS = 5.0

#: How often it is looked whether it has, in seconds.
LOOK_SECONDS = 0.05

#: The alert about a group that the database cannot read or store.
UNREADABLE = "view_group_unreadable"

#: Why it closes.
READABLE = "each of the view's groups could be read"


@dataclass
class Outcome:
    """What a refresh has done.

    Attributes:
        groups: how many groups were read and written.
        drifted: which of them had changed without a mark.
        unjudged: how many differed while the watcher did not follow, so that nobody knows.
        failed: which could not be read or written; their marks stay, and answers wait for them.
        left: whether marks are left because the time was up.
        judge: whether differences are judged.
    """

    groups: int = 0
    drifted: list[str] = field(default_factory=list)
    unjudged: int = 0
    failed: set[Group] = field(default_factory=set)
    left: bool = False
    judge: bool = False


class Refresher:
    """Refreshes views.

    Args:
        database: the CMS's.
        state: how far watcher and views are.
        clock: aware UTC time.
        alert: tells operators.
        resolve: tells them that it is over.
        judge_seconds: how long the watcher has to follow before a difference is judged.
    """

    def __init__(
        self,
        database: Database[Document],
        state: ViewState,
        *,
        clock: Callable[[], datetime],
        alert: RaiseAlert,
        resolve: ResolveAlert,
        judge_seconds: float = JUDGE_SECONDS,
    ) -> None:
        self._db, self._state, self._clock, self._alert, self._resolve = database, state, clock, alert, resolve
        self._marks, self._reader, self._judge_seconds = Marks(database), GroupReader(database), judge_seconds

    def refresh(self, view: View, turn: Turn, ends_at: float, *, judge: bool = False) -> Outcome:
        """Refresh what is marked, until nothing is or the time is up.

        Args:
            view: the view.
            turn: the turn to write it.
            ends_at: by the monotonic clock.
            judge: whether what the rebuild has marked can have drifted; not while a view is built for the first time.

        Raises:
            LeaseLost: another has taken over.
        """
        outcome = Outcome(judge=judge)
        while marks := self._marks.pending(view.name, CHUNK, without=outcome.failed):
            # However short the time is, each run gets on.
            if (outcome.groups or outcome.failed) and time.monotonic() >= ends_at:
                outcome.left = True
                break
            self._some(view, turn, marks, outcome)
        return outcome

    def _some(self, view: View, turn: Turn, marks: Sequence[Mark], outcome: Outcome) -> None:
        try:
            self._together(view, turn, marks, outcome)
        except (OperationFailure, DocumentTooLarge, BSONError) as error:
            if not is_of_groups(error):
                raise
            self._apart(view, turn, marks, outcome, error)

    def _together(self, view: View, turn: Turn, marks: Sequence[Mark], outcome: Outcome) -> None:
        """Read groups and write them, all or none."""
        as_of = self._clock()
        found = self._reader.read(view, [mark.group for mark in marks], max(mark.at for mark in marks))
        store = ViewStore(self._db, view)
        differing, known = self._differing(store, marks, found, outcome)

        def write(session: ClientSession) -> list[str]:
            turn.write({"refreshed_at": as_of}, session)
            now = self._marks.again(marks, session)
            store.replace([mark.group for mark in marks], found.rows, as_of, session)
            self._marks.clear(marks, session)
            same = {mark.group for mark in marks if mark.group in now and now[mark.group].sequence == mark.sequence}
            return [name for name, group in differing if group is None or group in same]

        drifted = self._transaction(write)
        if any(mark.told for mark in marks) and not self._marks.told(view.name):
            self._resolve(UNREADABLE, view.name, why=READABLE)
        outcome.groups += len(marks)
        if known:
            outcome.drifted += drifted
        else:
            outcome.unjudged += len(drifted)

    def _differing(
        self, store: ViewStore, marks: Sequence[Mark], found: Groups, outcome: Outcome
    ) -> tuple[list[tuple[str, Group | None]], bool]:
        """Return what is not as it should be with no change pending, and whether the watcher has followed that far."""
        suspects = [mark.group for mark in marks if outcome.judge and not mark.changed]
        if not suspects:
            return [], True
        stored = store.stored(suspects)
        wrong = [one for one in suspects if fingerprint(stored.get(one)) != fingerprint(found.rows.get(one))]
        differing: list[tuple[str, Group | None]] = [(str(one), one) for one in wrong]
        differing += [(name, None) for name in store.crooked(suspects)]
        # A watcher that did not follow once in this run is not waited for again.
        return differing, not differing or (not outcome.unjudged and self._followed(found.reached))

    def _followed(self, reached: Timestamp) -> bool:
        """Wait until every change up to a time has its marks; False when the watcher does not get there."""
        ends_at = time.monotonic() + self._judge_seconds
        while True:
            position = self._state.position()
            if position.ready and position.at is not None and position.at >= reached:
                return True
            if time.monotonic() >= ends_at:
                return False
            time.sleep(LOOK_SECONDS)

    def _apart(self, view: View, turn: Turn, marks: Sequence[Mark], outcome: Outcome, error: Exception) -> None:
        """Take groups one by one when they cannot be taken together: one bad group must not hold up the others."""
        if len(marks) > 1:
            for mark in marks:
                self._some(view, turn, [mark], outcome)
            return
        group, code = marks[0].group, getattr(error, "code", None)
        outcome.failed.add(group)
        lasting = code not in LATER
        self._marks.hold(marks[0], told=lasting)
        log.warning("view_group_not_read", view=view.name, group=str(group), reason=type(error).__name__, code=code)
        if lasting:
            said = f"the database says code {code}" if code else f"it cannot be stored: {type(error).__name__}"
            self._alert(UNREADABLE, view.name, f"{group}: {said}", subject=str(group))

    def _transaction(self, body: Callable[[ClientSession], list[str]]) -> list[str]:
        with self._db.client.start_session() as session:
            return session.with_transaction(
                body,
                read_concern=ReadConcern("snapshot"),
                write_concern=WriteConcern("majority", j=True),
                read_preference=ReadPreference.PRIMARY,
            )


def is_of_groups(error: Exception) -> bool:
    """Tell whether an error may be of one group's and not of all: then the others can go on without it."""
    if not isinstance(error, OperationFailure):
        return True
    passes = any(map(error.has_error_label, ("RetryableReadError", "RetryableWriteError", *OF_TRANSACTIONS)))
    return not (error.timeout or passes or error.code in PASSING)


#: What a driver calls a transaction that may be tried again as a whole, or whose end is not known.
OF_TRANSACTIONS = ("TransientTransactionError", "UnknownTransactionCommitResult")

#: Errors of the database's, not of a group's: no such host, not primary any more, shutting down, interrupted, over its
#: time, no majority.
PASSING = frozenset({6, 7, 50, 64, 89, 91, 133, 134, 189, 9001, 10107, 11600, 11602, 13435, 13436})

#: Errors in passing that the next try may not meet any more: an index or a collection was dropped meanwhile, a cursor
#: or a snapshot is gone, a lock was not got, two writes have met.
LATER = frozenset({24, 43, 112, 175, 237, 239, 246, 251, 262})
