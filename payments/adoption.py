"""Taking over a payment that the CMS's old code began: a `transR`, no events.

PayTabs is asked first, and what it says is committed together with the adoption: a payment that is paid never looks
unpaid in between, and without an answer nothing is taken over yet. PayTabs' word goes over a status that says nothing,
`pending` or `failed`; `paid` or `refunded` that it does not confirm is left as it is, for a person to settle.
"""

from dataclasses import dataclass, replace

from payments import facts
from payments.accepting import new_row, record_terms
from payments.card_keeping import told, with_cards
from payments.cms import CmsPayment, CmsReader, readable_status
from payments.cms_word import SETTLED
from payments.errors import NotYet
from payments.events import Context
from payments.observing import observations
from payments.operations import Operation, OperationsLedger, Status
from payments.page_times import end_of
from payments.reason_kinds import members
from payments.reasons import Reason, ReasonCode
from payments.reconcile import Reconciler, is_conclusive, parked_seconds
from payments.store import Change, PaymentStore
from paytabs.responses import Answer

#: How long a caller waits at least when PayTabs does not say what became of the payment, in seconds.
ASK_AGAIN_SECONDS = 2.0


@dataclass(frozen=True)
class Adopter:
    """Takes payments over, each once."""

    store: PaymentStore
    ledger: OperationsLedger
    cms: CmsReader
    reconciler: Reconciler
    profile_id: int

    def take_over(self, payment_id: str, cms: CmsPayment, context: Context) -> bool:
        """Adopt a payment, its state from a query; False if it is none to adopt.

        Raises:
            NotYet: PayTabs does not answer; nothing was changed.
        """
        if (cms.tran_ref is None and cms.unread_ref is None) or self.store.load(payment_id):
            return False
        if cms.tran_ref is None:
            self.store.change(payment_id, context, lambda change: self._unreadable(change, cms))
            return True
        answer = self.reconciler.ask_ref(cms.tran_ref, context)
        if not is_conclusive(answer):
            wait = parked_seconds([answer]) or ASK_AGAIN_SECONDS
            raise NotYet(payment_id, wait, f"gateway_{answer.detail}")
        self.store.change(payment_id, context, lambda change: self._adopt(change, cms, answer, context))
        return True

    def by_tran_ref(self, tran_ref: str, context: Context) -> str | None:
        """Find a payment by the CMS's `transR` and adopt it if need be; None when there is none.

        Raises:
            InvalidArgument: the CMS's document cannot be read.
            NotYet: PayTabs does not answer.
        """
        payment_id = self.cms.by_tran_ref(tran_ref)
        if payment_id and not self.store.load(payment_id):
            self.take_over(payment_id, self.cms.payment(payment_id), context)
        return payment_id

    def _adopt(self, change: Change, cms: CmsPayment, answer: Answer, context: Context) -> None:
        if change.history or cms.tran_ref is None:
            return
        row, now = _adopted_row(cms, cms.tran_ref, context, change), self.ledger.now()
        unknown = now if answer.transaction is None else None
        row = replace(row, page_expires_at=end_of("adopt", {}, now), page_unknown_since=unknown)
        change.record(
            facts.PaymentAdopted(
                amount=str(cms.amount), currency=cms.currency, profile_id=self.profile_id, tran_ref=cms.tran_ref,
                operation_id=row.operation_id, client_id=cms.client_id, contract_id=cms.contract_id,
            )
        )  # fmt: skip
        change.record(*with_cards(change, observations(answer), told([answer])))
        self._judge(change, cms.tran_ref, known=answer.transaction is not None)
        self.ledger.accept(row, change.session)

    def _judge(self, change: Change, tran_ref: str, *, known: bool) -> None:
        """Raise a case when the CMS says that money moved and PayTabs does not say the same.

        Raises:
            InvalidArgument: the status that stands there by now cannot be read.
        """
        change.look()
        status = readable_status(change.standing.document.get("status")) if change.standing else None
        if status not in SETTLED:
            return
        if not known:
            unknown = Reason(ReasonCode.CMS_SETTLED_UNKNOWN, tran_ref, (str(status), tran_ref))
            change.record(facts.ReviewRaised(**members(unknown), evidence=tran_ref))
        elif status != (theirs := change.after.cms_status):
            differs = Reason(ReasonCode.CMS_NOT_CONFIRMED, "status", (str(status), theirs))
            change.record(facts.ReviewRaised(**members(differs), evidence=f"{tran_ref} is {change.after.state}"))

    def _unreadable(self, change: Change, cms: CmsPayment) -> None:
        """Raise a case over a `transR` that is no reference: nobody can be asked about it."""
        if change.history or cms.unread_ref is None:
            return
        record_terms(change, cms, self.profile_id)
        unread = Reason(ReasonCode.CMS_REFERENCE_UNREADABLE, "transR", (cms.unread_ref,))
        change.record(facts.ReviewRaised(**members(unread), evidence=f"transR {cms.unread_ref}"))


def _adopted_row(cms: CmsPayment, tran_ref: str, context: Context, change: Change) -> Operation:
    operation_id = f"adopt-{cms.payment_id}"
    params = {"transaction": "sale", "asked": {}}
    row = new_row(operation_id, cms.payment_id, kind="adopt", params=params, context=context, now=change.now)
    return replace(row, status=Status.PENDING, tran_ref=tran_ref)
