"""`audit verify`: everything that can be checked about the trail, streamed, and the first broken place in words.

Four looks: each payment's chain of events, the operators' entries, the seals against each other and against their copy
outside the database, and the events against the seals. Seals cover events and entries, not the raw deliveries: their
bodies are removed when they are old enough.
"""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime
from typing import Any

from pymongo.database import Database
from pymongo.read_preferences import ReadPreference

from payments.audit_chains import Chains
from payments.audit_entries import AuditEntries, EntryChain
from payments.audit_seals import Copies, SealChain
from payments.events import timestamp
from payments.findings import Finding, Report, of_event, of_seal
from payments.marks import Mark, Span, mark_of
from payments.paging import in_order
from payments.seal_differences import differences
from payments.seal_file import SealFile
from payments.seal_store import SealStore
from payments.seals import Seal
from payments.span_reading import MEMBERS, ORDER, recorded

Document = dict[str, Any]

#: Told how far a look has come: its name, and how much it has looked at since it said so last.
Progress = Callable[[str, int], None]

#: How many events, or seals without any, are looked at together.
BATCH = 1_000


class Audit:
    """Verifies the trail.

    Args:
        database: Where it is.
        file: The seals outside the database; None when there is nothing to compare with.
        progress: Told how far the audit has come.
    """

    def __init__(self, database: Database[Document], file: SealFile | None, progress: Progress) -> None:
        self._events = database.get_collection("payment_events", read_preference=ReadPreference.PRIMARY)
        self._entries, self._store = AuditEntries(database), SealStore(database)
        self._file, self._progress = file, progress

    def verify(self) -> Report:
        """Look at everything."""
        report = Report()
        copies = self._copies(report)
        self._chains(report)
        entries = self._operators(report)
        chain = SealChain()
        for finding in chain.findings(copies, entries.hashes):
            report.add(finding)
        self._late(report, chain, entries)
        for finding in self._sealed(copies, chain.late):
            report.add(finding)
        report.count({"seals": chain.seals})
        report.sealed_until = chain.last.horizon if chain.last else None
        self._remark(report, chain)
        return report

    def _copies(self, report: Report) -> Copies:
        """Note what there is of the seals now; a writer is held off for this moment."""
        there = self._file if self._file and self._file.path.exists() else None
        with there.still() if there else nullcontext():
            newest = self._store.newest(1)
            upto = int(newest[0]["_id"]) if newest else 0
            copies = Copies(self._store, upto, there, there.size() if there else 0)
        if self._file is None:
            report.notes.append("the seals were compared with no copy outside the database")
        elif there is None and upto:
            report.add(of_seal(upto, f"the seals' copy {self._file.path} is not there"))
        return copies

    def _chains(self, report: Report) -> None:
        chains = Chains()
        everything = in_order(self._events, ("payment_id", "version"), "payment_id_1_version_1")
        for finding in chains.findings(self._told("events", everything)):
            report.add(finding)
        report.count({"payments": chains.payments, "events": chains.events})

    def _operators(self, report: Report) -> EntryChain:
        chain = EntryChain()
        for finding in chain.findings(self._entries.all()):
            report.add(finding)
        report.count({"entries": len(chain.hashes)})
        return chain

    def _late(self, report: Report, chain: SealChain, entries: EntryChain) -> None:
        """Report what came later than it can have, until a person has accepted it."""
        for mark, number in chain.late.values():
            finding = of_event(mark.payment_id, mark.version, f"came late, and seal {number} names it", seal=number)
            if (accepted := entries.accepted.get(str(mark))) is not None:
                report.notes.append(f"{finding}; {accepted}")
            else:
                words = f"was put in, or committed later than a transaction can be; seal {number} names it as late"
                report.add(replace(finding, words=words))

    def _sealed(self, copies: Copies, late: dict[str, tuple[Mark, int]]) -> Iterator[Finding]:
        """Give a finding for each place at which the events differ from their seals."""
        awaited = dict(late)
        for batch in _batches(seal for seal, _ in copies.together() if seal is not None):
            events = self._told("sealed events", self._between(batch[0].since, batch[-1].horizon))
            event = next(events, None)
            for seal in batch:
                span = Span()
                while event is not None and timestamp(event["recorded_at"]) <= seal.horizon:
                    yield from _take_in(span, event, awaited)
                    event = next(events, None)
                yield from differences(seal, span)
        for mark, number in awaited.values():
            yield of_event(
                mark.payment_id, mark.version, f"was sealed as late by seal {number} and is gone", seal=number
            )

    def _between(self, since: str | None, upto: str) -> Iterator[Document]:
        begin = datetime.fromisoformat(since) if since else None
        yield from self._events.find(recorded(begin, datetime.fromisoformat(upto)), MEMBERS).sort(ORDER)

    def _told(self, name: str, documents: Iterator[Document]) -> Iterator[Document]:
        """Give documents on, and tell of them now and then."""
        count = 0
        for count, document in enumerate(documents, start=1):
            if count % BATCH == 0:
                self._progress(name, BATCH)
            yield document
        self._progress(name, count % BATCH)

    def _remark(self, report: Report, chain: SealChain) -> None:
        if chain.last is None:
            report.notes.append("nothing is sealed yet")
            return
        waiting = self._events.count_documents({"recorded_at": {"$gt": datetime.fromisoformat(chain.last.horizon)}})
        if waiting:
            report.notes.append(f"{waiting} events are newer than seal {chain.last.n} and are sealed by the next ones")


def _take_in(span: Span, event: Document, awaited: dict[str, tuple[Mark, int]]) -> Iterator[Finding]:
    """Take an event in, unless it was sealed as late: then it has to be the one that was."""
    mark = mark_of(event)
    if mark is None:
        return  # the look at the chains has told of it
    late = awaited.pop(mark.event_id, None)
    if late is None:
        span.add(mark)
    elif late[0] != mark:
        words = f"is not the event that seal {late[1]} covers as late: its history was written anew"
        yield of_event(mark.payment_id, mark.version, words, seal=late[1])


def _batches(seals: Iterator[Seal]) -> Iterator[list[Seal]]:
    """Give seals in groups without a gap, each of about as many events as are looked at together."""
    batch: list[Seal] = []
    for seal in seals:
        full = len(batch) >= BATCH or sum(one.count for one in batch) >= BATCH
        if batch and (full or seal.since != batch[-1].horizon):
            yield batch
            batch = []
        batch.append(seal)
    if batch:
        yield batch
