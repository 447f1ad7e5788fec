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

from payments.cms_fields import cms_fields, shows_page
from payments.operations import OperationsLedger
from payments.paid_with import card_of
from payments.payment import LIVE, State
from payments.reason_kinds import all_words
from payments.store import Change
from payments.stored_cards import CardStore

Document = dict[str, Any]

#: The alert that is open exactly while a payment has something to review.
REVIEW_ALERT = "payment_review"


class RaiseAlert(Protocol):
    """Opens an alert, or counts it again when it is open."""

    def __call__(self, name: str, key: str, detail: str, session: ClientSession | None = None) -> None:
        """Record the alert `name` about `key`; inside a transaction when a session is given."""


class ResolveAlert(Protocol):
    """Closes an alert, or says what is left of it."""

    def __call__(self, name: str, key: str, left: str = "", session: ClientSession | None = None) -> None:
        """Close the alert `name` about `key`, or state what is left; inside a transaction when a session is given."""


class ProjectToCms:
    """Writes a payment's state into the CMS's own document."""

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
        self._ledger = ledger
        self._cards = CardStore(database)
        self._alert = alert
        self._announce = announce
        self._resolve = resolve

    def __call__(self, change: Change, version: int) -> None:
        """Write the fields when the change added facts."""
        if not change.new_facts:
            return
        fields = cms_fields(change.payment, change.after, version, self._redirect_url(change), self._card(change))
        older = {"gateway.version": {"$not": {"$gte": version}}}
        found = self._payments.update_one(
            {"_id": ObjectId(change.payment_id), **older},
            {"$set": fields | {"updatedAt": change.now}},
            session=change.session,
        )
        if found.matched_count == 0:
            detail = "the CMS's document is gone or newer; the events stand"
            self._raise("projection_missing", detail, change)
        self._alert_on_review(change)
        self._alert_on_open_page(change)

    def _alert_on_open_page(self, change: Change) -> None:
        """Tell of a page that may be paid beside money that another attempt has taken."""
        if change.after.base_state not in LIVE or change.before.base_state in LIVE:
            return
        left = [leg for leg in change.after.legs if leg.state is State.AWAITING_PAYER]
        if left:
            detail = f"{left[0].tran_ref} may still be paid beside {change.after.tran_ref}: override it"
            self._raise("page_left_open", detail, change)

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

    def _card(self, change: Change) -> Document | None:
        card_id = card_of(change.payment, change.after)
        return self._cards.shown([card_id], change.session).get(card_id) if card_id else None

    def _redirect_url(self, change: Change) -> str | None:
        if not shows_page(change.after):
            return None
        if change.rows is None:
            row = self._ledger.open_of(change.payment_id, change.session)
        else:
            row = next((one for one in change.rows if one.open), None)
        return row.redirect_url if row else None
