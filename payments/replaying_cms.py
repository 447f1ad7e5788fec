"""The projection `cms_payments`: what the CMS's documents say of payments, compared with the events and mended.

Histories are folded as they stream by and compared with many documents at a time. Where one seems to differ, it is
looked at once more within a snapshot of its events, its open operation and itself, and is written only there: what
commits meanwhile makes the mending begin again, and what is newer is never overwritten.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from bson import ObjectId
from pymongo.client_session import ClientSession
from pymongo.read_preferences import ReadPreference

from payments.cms_fields import shows_page
from payments.page_times import ShownPage
from payments.replay import Replayed, differences, is_outdated, replayed
from payments.replay_pieces import Difference, Found, Piece, ReplayParts, Survey, looked_at
from payments.replay_scan import EventScan, Span
from payments.replay_survey import READ, Surveyor
from payments.stored_cards import CardStore

Document = dict[str, Any]


class CmsPayments:
    """Compares and mends the CMS's payments."""

    def __init__(self, parts: ReplayParts) -> None:
        """Work on the CMS's database."""
        self._parts, self._scan, self._surveyor = parts, EventScan(parts.database), Surveyor(parts)
        self._cards = CardStore(parts.database)
        self._payments = parts.database.get_collection("payments", read_preference=ReadPreference.PRIMARY)

    def total(self, span: Span) -> int:
        """Return about how many events there are to go through."""
        return self._scan.count(span)

    def pieces(self, span: Span, after: ObjectId | None, *, young: Span, dry_run: bool) -> Iterator[Piece]:
        """Go through every payment with an event in a span, by ascending id, beginning after one id."""
        surveys = (self._parts.helpers or self._surveyor).surveys(self._scan.queries(span, after), young)
        for survey in surveys:
            if survey.last is not None:
                yield self._piece(survey.last, survey, dry_run=dry_run)

    def touched(self, span: Span, after: ObjectId | None) -> Iterator[ObjectId]:
        """Give the payments with an event in a span, by ascending id, those after one id."""
        return self._scan.touched(span, after)

    def again(self, span: Span, payment_ids: Sequence[ObjectId], *, dry_run: bool) -> Piece:
        """Look at some payments, whatever their age, if they have an event in a span."""
        survey = self._surveyor.survey(self._scan.query_of(payment_ids), within=span)
        return replace(self._piece(payment_ids[-1], survey, dry_run=dry_run), once_more=tuple(payment_ids))

    def _piece(self, position: ObjectId, survey: Survey, *, dry_run: bool) -> Piece:
        found = tuple(self._look(payment_id, dry_run=dry_run) for payment_id in survey.suspects)
        return Piece(position, survey.payments, survey.events, found)

    def _look(self, payment_id: ObjectId, *, dry_run: bool) -> Difference:
        busy = Difference(payment_id, payment_id, Found.BUSY)
        return looked_at(self._parts, busy, partial(self._within, payment_id, dry_run=dry_run))

    def _within(self, payment_id: ObjectId, session: ClientSession, *, dry_run: bool) -> Difference:
        """Compare one document within a snapshot, and mend it there."""
        told = partial(Difference, payment_id, payment_id)
        document = self._payments.find_one({"_id": payment_id}, READ, session=session)
        if document is None:
            return told(Found.MISSING)
        try:
            known = replayed(self._scan.history(payment_id, session))
        except KeyError:
            return told(Found.UNREADABLE)
        if _version(document) > known.version:
            return told(Found.NEWER)
        cards = self._cards.shown([known.card_id], session)
        expected = known.fields(self._page(known, session), cards.get(known.card_id or ""))
        fields = differences(expected, document)
        if fields and not dry_run:
            self._mend(known, expected, session)
        if is_outdated(expected, document):
            return told(Found.OUTDATED)
        return told((Found.DIFFERING if dry_run else Found.MENDED) if fields else Found.SAME, fields)

    def _page(self, known: Replayed, session: ClientSession) -> ShownPage | None:
        if not shows_page(known.verdict):
            return None
        row = self._parts.ledger.open_of(str(known.payment_id), session)
        return row.shown(self._parts.ledger.now()) if row else None

    def _mend(self, known: Replayed, expected: Document, session: ClientSession) -> None:
        unless_newer = {"_id": known.payment_id, "gateway.version": {"$not": {"$gt": known.version}}}
        mended = {"$set": expected | {"updatedAt": self._parts.clock()}}
        self._payments.update_one(unless_newer, mended, session=session)


def _version(document: Document) -> float:
    gateway = document.get("gateway")
    version = gateway.get("version") if isinstance(gateway, dict) else None
    return version if isinstance(version, int | float) else 0
