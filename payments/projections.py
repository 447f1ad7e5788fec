"""What the CMS sees of a payment: a projection of its facts, written in their transaction, guarded by version.

Only `status`, `transR`, `gateway` and `updatedAt` are ever set. A document that is not there does not stop the facts:
they are committed, somebody is alerted, and the document is written as soon as it is there again: see `owed`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from bson import ObjectId
from pymongo.client_session import ClientSession
from pymongo.database import Database

from payments.assessment import Assessment
from payments.cms_compare import Standing
from payments.cms_fields import cms_fields, shows_page, unless_same_text
from payments.cms_rows import READ, CmsRows, version_of
from payments.cms_standing import news
from payments.cms_word import SETTLED
from payments.document_marks import DocumentMarks
from payments.operations import OperationsLedger
from payments.owed import MISSING, Kind, OwedDocuments, told_of
from payments.page_times import ShownPage
from payments.paid_with import card_of
from payments.payment import LIVE, State
from payments.reason_kinds import all_words
from payments.store import Change
from payments.stored_cards import CardStore

Document = dict[str, Any]

#: The alert that is open exactly while a payment has something to review.
REVIEW_ALERT = "payment_review"

#: The alert about a page that may be paid beside money; its key is the payment.
LEFT_OPEN = "page_left_open"

#: The alert about a `gateway` that others have written.
GATEWAY_ALERT = "cms_changed_gateway"

#: The alert about a document that names a later version than there are facts for.
NEWER_ALERT = "projection_newer"

#: The key of the one alert about documents that are missing, or written by others; it lists the last payments.
ALL_PAYMENTS = "payments"


class RaiseAlert(Protocol):
    """Opens an alert, or counts it again when it is open."""

    def __call__(
        self, name: str, key: str, detail: str, session: ClientSession | None = None, *, subject: str = ""
    ) -> None:
        """Record the alert `name` about `key`, over `subject` where it counts them; inside a transaction if given."""


class ResolveAlert(Protocol):
    """Closes an alert, or says what is left of it."""

    def __call__(
        self, name: str, key: str, left: str = "", session: ClientSession | None = None, *, why: str = ""
    ) -> None:
        """Close the alert `name` about `key`, or state what is left; inside a transaction when a session is given."""


class ProjectToCms:
    """Writes a payment's state into the CMS's own document, after a look at what others have written there."""

    def __init__(
        self,
        database: Database[Document],
        ledger: OperationsLedger,
        alert: RaiseAlert,
        announce: Callable[[str, str, str], None],
        resolve: ResolveAlert,
    ) -> None:
        """Write to the CMS's `payments` collection; an alert is announced once its transaction has committed."""
        self._payments, self._marks = database["payments"], DocumentMarks(database)
        self._owed = OwedDocuments(database, ledger.now)
        self._rows = CmsRows(database)
        self._ledger = ledger
        self._cards = CardStore(database)
        self._alert = alert
        self._announce = announce
        self._resolve = resolve

    def prepare(self, change: Change, session: ClientSession) -> None:
        """Look at the document, and record what of it contradicts ours; of a payment that is new nothing is ours."""
        document = self._payments.find_one({"_id": ObjectId(change.payment_id)}, READ, session=session)
        if document is None:
            change.missing = True
            return
        row = self._rows.find(document["_id"], session) if change.history else None
        standing = Standing(
            document, row, change.before, lambda: [(one.version, one.fact) for one in change.history],
            was_away=bool(change.history) and self._was_away(document, session),
        )  # fmt: skip
        change.standing = standing
        if change.history:
            change.record(*news(standing, change))
            lost = standing.reference is None and change.after.tran_ref and "transR" not in change.after.left
            behind = (version_of(document) or 0) < change.history[-1].version
            others = not (standing.gateway_is_ours and standing.status_is_ours)
            change.rewrite = change.rewrite or bool(lost) or behind or others

    def __call__(self, change: Change, version: int) -> None:
        """Write the fields when facts were added or others have written there, and take a page's link away in time."""
        if change.missing and version:
            self._owe(change)
        if not (change.new_facts or change.rewrite) or not version:
            self._take_link_away(change, version)
            return
        if change.standing is not None:
            self._show(change, change.standing, version)
        self._alert_on_review(change)
        self._alert_on_open_page(change)

    def _show(self, change: Change, standing: Standing, version: int) -> None:
        """Write what stands, unless the document knows of later events."""
        if not self._write(change, standing, version):
            detail = "the CMS's document is newer than the history, which lacks events"
            self._raise(NEWER_ALERT, ALL_PAYMENTS, detail, change)
        elif change.rewrite:
            self._no_longer_owed(change)

    def _owe(self, change: Change) -> None:
        """Note that the document has to be written once it is there, and tell of it once."""
        one = ObjectId(change.payment_id)
        if self._owed.owe(Kind.PAYMENTS, one, change.session):
            self._raise(MISSING, ALL_PAYMENTS, told_of(Kind.PAYMENTS, one), change)

    def _no_longer_owed(self, change: Change) -> None:
        """Take a document that was away off what is owed, and have its contract counted: it was counted without it."""
        one, terms = ObjectId(change.payment_id), change.payment.snapshot
        if self._owed.find(Kind.PAYMENTS, one, change.session):
            self._owed.stands(Kind.PAYMENTS, one, change.session)
            contracts = [ObjectId(terms.contract_id)] if terms and terms.contract_id else []
            self._marks.note([], contracts, change.now, change.session)

    def _was_away(self, document: Document, session: ClientSession) -> bool:
        """Tell whether a document that we have never written, or not as it is, was away when it should have been."""
        if version_of(document) is not None:
            return False
        return self._owed.find(Kind.PAYMENTS, document["_id"], session) is not None

    def _write(self, change: Change, standing: Standing, version: int) -> bool:
        """Write document and row; False when the document knows of later events."""
        fields = cms_fields(change.payment, change.after, version, self._page(change), self._card(change))
        fields = unless_same_text(fields, standing.document)
        known = version_of(standing.document)
        if _is_ours(change, standing) and known is not None and known >= version + (not change.new_facts):
            return False
        one, session = standing.document["_id"], change.session
        self._payments.update_one({"_id": one}, {"$set": fields | {"updatedAt": change.now}}, session=session)
        self._rows.write(one, {**standing.document, **fields}, now=change.now, session=session)
        self._alert_on_gateway(change, standing)
        return True

    def _take_link_away(self, change: Change, version: int) -> None:
        """Show no link to a page whose time is over: no fact tells of that moment, but the row is looked at then."""
        page = self._page(change) if change.history else None
        if page and page.is_over:
            shown = {
                "_id": ObjectId(change.payment_id),
                "gateway.version": version,
                "gateway.redirect_url": {"$ne": None},
            }
            gone = {"gateway.redirect_url": None, "updatedAt": change.now}
            before = self._payments.find_one_and_update(shown, {"$set": gone}, READ, session=change.session)
            if before:
                self._rows.grown(before["_id"], before["gateway"], {"redirect_url": None}, change.session)
            elif not self._payments.find_one({"_id": shown["_id"]}, {"_id": 1}, session=change.session):
                self._owe(change)

    def _alert_on_gateway(self, change: Change, standing: Standing) -> None:
        """Tell of a `gateway` that somebody else has written; it was written over."""
        if not _is_ours(change, standing):
            detail = "somebody else has written `gateway`; it was written over"
            self._raise(GATEWAY_ALERT, ALL_PAYMENTS, detail, change)

    def _alert_on_open_page(self, change: Change) -> None:
        """Tell of a page that may be paid beside money that was taken elsewhere, until there is none."""
        left, known = pages_left_open(change.after), pages_left_open(change.before)
        if left and not known:
            beside = change.after.tran_ref if change.after.base_state in LIVE else "what the CMS says"
            detail = f"{left[0]} may still be paid beside {beside}: override it"
            self._raise(LEFT_OPEN, change.payment_id, detail, change)
        elif known and not left:
            self._resolve(LEFT_OPEN, change.payment_id, session=change.session, why="the page is not open any more")

    def _alert_on_review(self, change: Change) -> None:
        """Keep the alert open exactly while there is something to review, naming all of it."""
        before, after = set(change.before.review), set(change.after.review)
        left = "; ".join(all_words(change.after.review))
        if after - before:
            self._raise(REVIEW_ALERT, change.payment_id, left, change)
        elif after != before:
            self._resolve(REVIEW_ALERT, change.payment_id, left, change.session, why="its last case is settled")

    def _raise(self, name: str, key: str, detail: str, change: Change) -> None:
        """Raise an alert that exists exactly if the change does, and is told of once it has committed."""
        subject = "" if key == change.payment_id else change.payment_id
        told = f"{subject}: {detail}" if subject else detail
        self._alert(name, key, told, change.session, subject=subject)
        change.after_commit.append(partial(self._announce, name, key, told))

    def _card(self, change: Change) -> Document | None:
        card_id = card_of(change.payment, change.after)
        return self._cards.shown([card_id], change.session).get(card_id) if card_id else None

    def _page(self, change: Change) -> ShownPage | None:
        if not shows_page(change.after):
            return None
        if change.rows is None:
            row = self._ledger.open_of(change.payment_id, change.session)
        else:
            row = next((one for one in change.rows if one.open), None)
        return row.shown(self._ledger.now()) if row else None


def _is_ours(change: Change, standing: Standing) -> bool:
    """Tell whether `gateway` is as we wrote it; of a payment that is new nothing is known of who did."""
    return not change.history or standing.gateway_is_ours


def pages_left_open(verdict: Assessment) -> list[str | None]:
    """Return the pages that may still be paid beside money that was taken, here or by the CMS's word.

    Those set aside are not among them.
    """
    if not (verdict.base_state in LIVE or verdict.stands_for in SETTLED or verdict.beside):
        return []
    return [leg.tran_ref for leg in verdict.legs if leg.state is State.AWAITING_PAYER]
