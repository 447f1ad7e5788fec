"""Making seals: once a minute, complete up to 90 seconds ago, in the database and outside of it.

A transaction lives a minute at most, so that what was recorded before the horizon is committed or never will be. The
last 90 seconds under the seals that stand are read once more all the same: what came later than that is sealed as late,
and somebody is told. Two who seal at once make one seal, since a number is given once.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.collection import Collection

from payments.audit_entries import AuditEntries
from payments.errors import NotDelivered, SealsDiffer
from payments.events import timestamp
from payments.marks import SHA256, Mark, Span
from payments.projections import RaiseAlert
from payments.seal_copy import LEDGER, SENT
from payments.seal_file import OpenSealFile, SealFile
from payments.seal_post import SealPost
from payments.seal_store import SealStore
from payments.seals import Seal, make_seal
from payments.span_reading import SpanReader

Document = dict[str, Any]

#: Events are sealed once they are so old: no transaction lives longer than 60 s, the rest is for clocks that differ.
MARGIN = timedelta(seconds=90)

#: How much of what is sealed already is read again for what came late.
OVERLAP = timedelta(seconds=90)

#: How many seals one run posts, how many late events it tells of one by one (one more than the alert lists, so that it
#: knows of others), how often it runs a lost race again.
MOST_POSTED, MOST_TOLD, MOST_RACES = 100, 21, 20

#: The keys of the alerts about late events and about the file outside; they list the last events and paths.
AUDIT_TRAIL, SEAL_FILE = "audit_trail", "AUDIT_SEAL_FILE"


@dataclass(frozen=True)
class SealerParts:
    """What sealing needs; without a file or a post there is none. `position` tells how far the ledger has come."""

    client: MongoClient[Document]
    events: Collection[Document]
    seals: SealStore
    entries: AuditEntries
    clock: Callable[[], datetime]
    alert: RaiseAlert
    file: SealFile | None
    post: SealPost | None
    position: Callable[[ClientSession], Document] = lambda _: {}


class Sealer:
    """Makes seals."""

    def __init__(self, parts: SealerParts) -> None:
        """Keep what sealing needs."""
        self._parts = parts

    @property
    def store(self) -> SealStore:
        """Return the seals in the database."""
        return self._parts.seals

    def ensure_indexes(self) -> None:
        """Create the indexes that sealing leans on; harmless when they are there."""
        self._parts.seals.ensure_indexes()
        self._parts.entries.ensure_indexes()

    def seal(self, seconds: float) -> list[Seal]:
        """Seal everything that is old enough, in one seal or in several.

        Args:
            seconds: After how long no further seal is begun; the next run goes on from there.

        Returns:
            The seals that were made.

        Raises:
            SealsDiffer: the seals in the database are not those in the file, so that none is added to either.
        """
        ends, upto, made = time.monotonic() + seconds, self._parts.clock() - MARGIN, list[Seal]()
        try:
            with self._parts.file.held() if self._parts.file else nullcontext() as file:
                if file is not None:
                    self._catch_up(file)
                self._make(made, upto, file, ends)
        except OSError as error:
            # What the file misses it gets another time.
            where = str(self._parts.file.path) if self._parts.file else ""
            told = f"{where}: {type(error).__name__}: {error.strerror}"
            self._parts.alert("seal_not_written", SEAL_FILE, told, subject=where)
            self._make(made, upto, None, ends)
        self._post(ends)
        return made

    def _catch_up(self, file: OpenSealFile) -> None:
        """Bring into the file what the database has beyond it."""
        last = file.last()
        stored = self._parts.seals.get(last.n) if last else None
        if last is not None and (stored is None or stored != last):
            raise SealsDiffer(f"seal {last.n} in the database is not the one in the file")
        file.append(self._parts.seals.after(last.n if last else 0))

    def _make(self, made: list[Seal], upto: datetime, file: OpenSealFile | None, ends: float) -> None:
        """Make seals up to a moment, or until the time is over; one whose number is taken is made anew."""
        races = 0
        while races < MOST_RACES and (seal := self._next(upto)) is not None:
            if not self._parts.seals.insert(seal, unposted=self._parts.post is not None):
                races += 1
                continue
            made.append(seal)
            if file is not None:
                file.append([seal])
            for mark in list(seal.late_marks.values())[:MOST_TOLD]:
                told = f"{mark.event_id} is sealed as late by seal {seal.n}"
                self._parts.alert("late_event", AUDIT_TRAIL, told, subject=mark.event_id)
            if time.monotonic() > ends:
                return

    def _next(self, upto: datetime) -> Seal | None:
        """Return the next seal; None when everything up to a moment is sealed."""
        with self._parts.client.start_session(snapshot=True) as session:
            previous = self._parts.seals.last(session)
            if previous is not None and not previous.is_whole():
                raise SealsDiffer(f"seal {previous.n} in the database was changed after it was made")
            if previous is not None and timestamp(upto) <= previous.horizon:
                return None
            spans = SpanReader(self._parts.events, session)
            span, horizon = spans.gather(previous, upto)
            entry = self._parts.entries.newest(session)
            if not re.fullmatch(SHA256, entry[1]):
                raise SealsDiffer(f"audit entry {entry[0]} was changed after it was written")
            return make_seal(
                previous, span, horizon=timestamp(horizon), sealed_at=timestamp(self._parts.clock()),
                late=self._late(previous, spans), entries=entry, more=self._more(span, session),
            )  # fmt: skip

    def _more(self, span: Span, session: ClientSession) -> Document:
        """Return what tells after a restore that sends were forgotten, and of which operations they were."""
        sent = {SENT: sorted(span.sent)} if span.sent else {}
        position = self._parts.position(session)
        return sent | ({LEDGER: position} if position else {})

    def _late(self, previous: Seal | None, spans: SpanReader) -> Iterator[Mark]:
        """Give the events that the seals before should have covered and did not."""
        if previous is not None:
            begin = datetime.fromisoformat(previous.horizon) - OVERLAP
            yield from spans.late(self._parts.seals.back_to(timestamp(begin), spans.session), begin)

    def _post(self, ends: float) -> None:
        """Post what was not posted yet, oldest first, up to the first that is not taken."""
        if self._parts.post is None:
            return
        for seal in self._parts.seals.unposted(MOST_POSTED):
            try:
                self._parts.post(seal)
            except NotDelivered as error:
                self._parts.alert("seal_not_posted", "AUDIT_SEAL_URL", str(error))
                return
            self._parts.seals.note_posted(seal.n)
            if time.monotonic() > ends:
                return
