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

from payments.cms_compare import Standing, contradicts
from payments.cms_fields import shows_page, unless_same_text
from payments.cms_rows import CmsRows, version_of
from payments.cms_word import SETTLED
from payments.events import fact_of
from payments.page_times import ShownPage
from payments.replay import Replayed, differences, is_outdated, replayed
from payments.replay_pieces import Difference, Found, Piece, ReplayParts, Survey, looked_at
from payments.replay_scan import EventScan, History, Span
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
        self._rows = CmsRows(parts.database)

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
        history = self._scan.history(payment_id, session)
        try:
            known = replayed(history)
        except KeyError:
            return told(Found.UNREADABLE)
        if (version_of(document) or 0) > known.version:
            return told(Found.NEWER)
        card = self._cards.shown([known.card_id], session).get(known.card_id or "")
        expected = unless_same_text(known.fields(self._page(known, session), card), document)
        left = self._foreign(document, known, history, session)
        fields = differences({name: value for name, value in expected.items() if name not in left}, document)
        if fields and not dry_run:
            self._mend(known, document, {name: expected[name] for name in expected.keys() - left}, session)
        if is_outdated(expected, document):
            return told(Found.OUTDATED)
        if fields:
            return told(Found.DIFFERING if dry_run else Found.MENDED, fields)
        return told(Found.LEFT, differences(expected, document)) if left else told(Found.SAME)

    def _foreign(self, document: Document, known: Replayed, history: History, session: ClientSession) -> frozenset[str]:
        """Return what somebody else has written into a document of ours, and a person has to settle.

        One that has lost `gateway` is not one that somebody has edited, and all of it is written again; unless it calls
        settled what we do not.
        """
        facts = [(event["version"], fact_of(event)) for event in history]
        standing = Standing(document, self._rows.find(known.payment_id, session), known.verdict, lambda: facts)
        edited = version_of(document) is not None
        says = (edited or standing.status in SETTLED) and not standing.status_is_ours
        status = says and contradicts(standing.status, known.verdict.cms_status)
        reference = edited and not standing.reference_is_ours
        return frozenset({"status"} if status else ()) | ({"transR"} if reference else set())

    def _page(self, known: Replayed, session: ClientSession) -> ShownPage | None:
        if not shows_page(known.verdict):
            return None
        row = self._parts.ledger.open_of(str(known.payment_id), session)
        return row.shown(self._parts.ledger.now()) if row else None

    def _mend(self, known: Replayed, document: Document, expected: Document, session: ClientSession) -> None:
        unless_newer = {"_id": known.payment_id, "gateway.version": {"$not": {"$gt": known.version}}}
        now = self._parts.clock()
        self._payments.update_one(unless_newer, {"$set": expected | {"updatedAt": now}}, session=session)
        self._rows.write(known.payment_id, {**document, **expected}, now=now, session=session)
