"""What the CMS sees of a payment: a projection of its facts, written in their transaction, guarded by version.

Only `status`, `transR`, `gateway` and `updatedAt` are ever set. A document that is gone or was never there does not
stop the facts: they are committed and somebody is alerted.
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
from payments.legs import Leg
from payments.operations import OperationsLedger
from payments.payment import LIVE, State
from payments.reason_kinds import all_words
from payments.store import Change

Document = dict[str, Any]

#: The alert that is open exactly while a payment has something to review.
REVIEW_ALERT = "payment_review"

#: The alert that is open while the CMS's `gateway` was last found to be written by others.
GATEWAY_ALERT = "cms_changed_gateway"


class RaiseAlert(Protocol):
    """Opens an alert, or counts it again when it is open."""

    def __call__(self, name: str, key: str, detail: str, session: ClientSession | None = None) -> None:
        """Record the alert `name` about `key`; inside a transaction when a session is given."""


class ResolveAlert(Protocol):
    """Closes an alert, or says what is left of it."""

    def __call__(self, name: str, key: str, left: str = "", session: ClientSession | None = None) -> None:
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
        self._payments = database["payments"]
        self._rows = CmsRows(database)
        self._ledger = ledger
        self._alert = alert
        self._announce = announce
        self._resolve = resolve

    def prepare(self, change: Change, session: ClientSession) -> None:
        """Look at the document, and record what of it contradicts ours; of a payment that is new nothing is ours."""
        document = self._payments.find_one({"_id": ObjectId(change.payment_id)}, READ, session=session)
        if document is None:
            return
        row = self._rows.find(document["_id"], session) if change.history else None
        standing = Standing(document, row, change.before, lambda: [(one.version, one.fact) for one in change.history])
        change.standing = standing
        if change.history:
            change.record(*news(standing, change))
            change.rewrite = not (standing.gateway_is_ours and standing.status_is_ours)

    def __call__(self, change: Change, version: int) -> None:
        """Write the fields when the change added facts, or others have written there."""
        if not (change.new_facts or change.rewrite) or not version:
            return
        if change.standing is None or not self._write(change, change.standing, version):
            detail = "the CMS's document is gone or newer; the events stand"
            self._raise("projection_missing", detail, change)
        self._alert_on_review(change)
        self._alert_on_open_page(change)

    def _write(self, change: Change, standing: Standing, version: int) -> bool:
        """Write document and row; False when the document knows of later events."""
        fields = cms_fields(change.payment, change.after, version, self._redirect_url(change))
        fields = unless_same_text(fields, standing.document)
        known = version_of(standing.document)
        if known is not None and known >= version + (not change.new_facts):
            return False
        one, session = standing.document["_id"], change.session
        self._payments.update_one({"_id": one}, {"$set": fields | {"updatedAt": change.now}}, session=session)
        altered = self._alert_on_gateway(change, standing)
        self._rows.write(one, {**standing.document, **fields}, altered=altered, now=change.now, session=session)
        return True

    def _alert_on_gateway(self, change: Change, standing: Standing) -> bool:
        """Keep the alert about a foreign `gateway` open until one is found as it was written."""
        altered = bool(change.history) and not standing.gateway_is_ours
        if altered:
            self._raise(GATEWAY_ALERT, "somebody else has written `gateway`; it was written over", change)
        elif standing.row and standing.row.altered:
            self._resolve(GATEWAY_ALERT, change.payment_id, session=change.session)
        return altered

    def _alert_on_open_page(self, change: Change) -> None:
        """Tell of a page that may be paid beside money that was taken elsewhere, for as long as there is one."""
        left, before = _left_open(change.after), _left_open(change.before)
        if left and not before:
            beside = f"beside {change.after.tran_ref}" if change.after.base_state in LIVE else "beside the CMS's word"
            self._raise("page_left_open", f"{left.tran_ref} may still be paid {beside}: override it", change)
        elif before and not left:
            self._resolve("page_left_open", change.payment_id, session=change.session)

    def _alert_on_review(self, change: Change) -> None:
        """Keep the alert open exactly while there is something to review, naming all of it."""
        before, after = set(change.before.review), set(change.after.review)
        left = "; ".join(all_words(change.after.review))
        if after - before:
            self._raise(REVIEW_ALERT, left, change)
        elif after != before:
            self._resolve(REVIEW_ALERT, change.payment_id, left, change.session)

    def _raise(self, name: str, detail: str, change: Change) -> None:
        """Raise an alert that exists exactly if the change does, and is told of once it has committed."""
        self._alert(name, change.payment_id, detail, change.session)
        change.after_commit.append(partial(self._announce, name, change.payment_id, detail))

    def _redirect_url(self, change: Change) -> str | None:
        if not shows_page(change.after):
            return None
        if change.rows is None:
            row = self._ledger.open_of(change.payment_id, change.session)
        else:
            row = next((one for one in change.rows if one.open), None)
        return row.redirect_url if row else None


def _left_open(verdict: Assessment) -> Leg | None:
    """Return a page that may be paid although money was taken, or the CMS says that it was or may have been."""
    elsewhere = verdict.base_state in LIVE or verdict.stands_for in SETTLED or verdict.beside
    return next((leg for leg in verdict.legs if leg.state is State.AWAITING_PAYER), None) if elsewhere else None
