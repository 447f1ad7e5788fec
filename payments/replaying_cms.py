"""The projection `cms_payments`: what the CMS's documents say of payments, compared with the events and mended.

Histories are folded as they stream by and compared with many documents at a time. Where one seems to differ, it is
looked at once more within a snapshot of its events, its open operation and itself, and is written only there: what
commits meanwhile makes the mending begin again, and what is newer is never overwritten.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from bson import ObjectId
from pymongo.client_session import ClientSession
from pymongo.read_preferences import ReadPreference

from payments.cms_fields import OURS, shows_page
from payments.replay import Replayed, differences, is_same, replayed
from payments.replay_pieces import Difference, Found, Piece, ReplayParts, looked_at
from payments.replay_scan import SLICE, EventScan, History, Span, decoded, sliced

Document = dict[str, Any]

#: What is read of a document.
_READ = dict.fromkeys(OURS, 1)


class CmsPayments:
    """Compares and mends the CMS's payments."""

    def __init__(self, parts: ReplayParts) -> None:
        """Work on the CMS's database."""
        self._parts = parts
        self._payments = parts.database.get_collection("payments", read_preference=ReadPreference.PRIMARY)
        self._scan = EventScan(parts.database)

    def total(self, span: Span) -> int:
        """Return about how many events there are to go through."""
        return self._scan.count(span)

    def pieces(self, span: Span, after: ObjectId | None, *, young: Span, dry_run: bool) -> Iterator[Piece]:
        """Go through every payment with an event in a span, by ascending id, beginning after one id."""
        for histories in sliced(self._scan.histories(span, after), SLICE):
            grown = [history for history in histories if not young.meets(history)]
            yield self._piece(histories[-1][0]["payment_id"], grown, dry_run=dry_run)

    def touched(self, span: Span, after: ObjectId | None) -> Iterator[ObjectId]:
        """Give the payments with an event in a span, by ascending id, those after one id."""
        return self._scan.touched(span, after)

    def again(self, span: Span, payment_ids: Sequence[ObjectId], *, dry_run: bool) -> Piece:
        """Look at some payments, whatever their age, if they have an event in a span."""
        within = [history for history in self._scan.of(payment_ids) if span.meets(history)]
        return self._piece(payment_ids[-1], within, dry_run=dry_run)

    def _piece(self, position: ObjectId, histories: Sequence[History], *, dry_run: bool) -> Piece:
        found = tuple(self._look(payment_id, dry_run=dry_run) for payment_id in self._suspects(histories))
        payment_ids = tuple(history[0]["payment_id"] for history in histories)
        return Piece(position, payment_ids, sum(map(len, histories)), found)

    def _suspects(self, histories: Sequence[History]) -> list[ObjectId]:
        """Return the payments whose documents are not what their events come to, or cannot be told."""
        suspects: list[ObjectId] = []
        known: list[Replayed] = []
        for history in histories:
            try:
                known.append(replayed(history))
            except KeyError:
                suspects.append(history[0]["payment_id"])
        documents = self._documents([one.payment_id for one in known])
        pages = self._parts.ledger.open_pages([one.payment_id for one in known if shows_page(one.verdict)])
        for one in known:
            document, expected = documents.get(one.payment_id), one.fields(pages.get(one.payment_id))
            if document is None or not is_same(expected, document):
                suspects.append(one.payment_id)
        return suspects

    def _documents(self, payment_ids: Sequence[ObjectId]) -> dict[ObjectId, Document]:
        wanted = {"_id": {"$in": list(payment_ids)}}
        batches = self._payments.find_raw_batches(wanted, _READ, batch_size=SLICE, comment="replay: documents")
        return {found["_id"]: found for batch in batches for found in decoded(batch)}

    def _look(self, payment_id: ObjectId, *, dry_run: bool) -> Difference:
        busy = Difference(payment_id, payment_id, Found.BUSY)
        return looked_at(self._parts, busy, partial(self._within, payment_id, dry_run=dry_run))

    def _within(self, payment_id: ObjectId, session: ClientSession, *, dry_run: bool) -> Difference:
        """Compare one document within a snapshot, and mend it there."""
        told = partial(Difference, payment_id, payment_id)
        document = self._payments.find_one({"_id": payment_id}, _READ, session=session)
        if document is None:
            return told(Found.MISSING)
        try:
            known = replayed(self._scan.history(payment_id, session))
        except KeyError:
            return told(Found.UNREADABLE)
        if _version(document) > known.version:
            return told(Found.NEWER)
        expected = known.fields(self._page(known, session))
        fields = differences(expected, document)
        if fields and not dry_run:
            self._mend(known, expected, session)
        return told((Found.DIFFERING if dry_run else Found.MENDED) if fields else Found.SAME, fields)

    def _page(self, known: Replayed, session: ClientSession) -> str | None:
        if not shows_page(known.verdict):
            return None
        row = self._parts.ledger.open_of(str(known.payment_id), session)
        return row.redirect_url if row else None

    def _mend(self, known: Replayed, expected: Document, session: ClientSession) -> None:
        unless_newer = {"_id": known.payment_id, "gateway.version": {"$not": {"$gt": known.version}}}
        mended = {"$set": expected | {"updatedAt": self._parts.clock()}}
        self._payments.update_one(unless_newer, mended, session=session)


def _version(document: Document) -> float:
    gateway = document.get("gateway")
    version = gateway.get("version") if isinstance(gateway, dict) else None
    return version if isinstance(version, int | float) else 0
