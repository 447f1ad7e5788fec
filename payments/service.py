"""The use cases around a payment: open a page, verify, get, history, and taking over what the CMS's old code began."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from payments import facts
from payments.cms import CmsPayment, CmsReader
from payments.errors import InvalidArgument, NotYet
from payments.events import Context
from payments.ladder import next_step
from payments.operations import Operation, OperationsLedger, Status, check_same, new_cart_id
from payments.payment import FAILED_STATES, Snapshot, State
from payments.reconcile import Reconciler, is_conclusive
from payments.sending import Sender, build_page
from payments.store import Change, Clock, PaymentStore
from payments.views import PaymentView, view_history, view_payment, view_untouched
from paytabs.errors import InvalidRequest

#: States in which a payment may be charged (again).
PAYABLE = FAILED_STATES | {State.NEW}


@dataclass(frozen=True)
class PageTerms:
    """What the caller of `payments.create_page` may choose; `None` takes the system's own."""

    transaction: Literal["sale", "auth", "register"] = "sale"
    callback_url: str | None = None
    return_url: str | None = None
    language: str = "ar"
    methods: tuple[str, ...] = ("all",)
    tokenise: int | None = None


@dataclass(frozen=True)
class ServiceParts:
    """What the use cases need; the URLs are where PayTabs reaches our receiver."""

    store: PaymentStore
    ledger: OperationsLedger
    cms: CmsReader
    sender: Sender
    reconciler: Reconciler
    clock: Clock
    profile_id: int
    callback_url: str | None
    return_url: str | None


class PaymentService:
    """Runs the use cases."""

    def __init__(self, parts: ServiceParts) -> None:
        """Keep what the use cases need."""
        self._parts = parts

    def create_page(
        self, payment_id: str, terms: PageTerms, context: Context, operation_id: str | None = None
    ) -> PaymentView:
        """Open a hosted page for a payment of the CMS; while one is open, give the same one.

        Args:
            payment_id: 24 hexadecimal digits.
            terms: what the caller chose.
            context: who asks.
            operation_id: the caller's idempotency key; without one, the page that is open or the next one.

        Raises:
            InvalidArgument: there is no such payment, or it cannot be paid as asked.
            OperationConflict: the operation id stands for something else.
            NotYet: the page is being made, or what became of the request is being found out.
        """
        cms = self._cms_payment(payment_id)
        self._take_over(payment_id, cms, context)
        row = self._accept(payment_id, cms, terms, operation_id, context)
        now = self._parts.clock()
        if row.status is Status.NEW and row.due_at and row.due_at > now:
            raise NotYet(payment_id, (row.due_at - now).total_seconds(), f"parked: {row.error}")
        if row.status is Status.NEW:
            row = self._parts.sender.send(row.operation_id, replace(context, operation_id=row.operation_id))
        self._require_answered(row)
        return self._view(payment_id, row)

    def verify(self, payment_id: str, context: Context) -> PaymentView:
        """Ask PayTabs about a payment and apply the answer.

        Raises:
            InvalidArgument: there is no such payment.
            NotYet: PayTabs does not answer.
        """
        if not self._parts.store.load(payment_id):
            cms = self._parts.cms.payment(payment_id)
            if not self._take_over(payment_id, cms, context):
                return view_untouched(cms)
            return self._view(payment_id)
        rows = [row for row in self._parts.ledger.of_payment(payment_id) if row.sends or row.tran_ref]
        if rows:
            answers = self._parts.reconciler.ask(rows[-1], context)
            self._parts.reconciler.apply(payment_id, answers, context)
            if not all(is_conclusive(answer) for answer in answers):
                raise NotYet(payment_id, 2.0, f"gateway_{answers[-1].detail}")
        return self._view(payment_id)

    def payment_of(self, tran_ref: str, context: Context) -> str:
        """Return the payment that a transaction reference belongs to.

        Raises:
            InvalidArgument: no payment has it.
        """
        found = self._parts.store.find_by_tran_ref(tran_ref) or self.adopt_by_tran_ref(tran_ref, context)
        if found is None:
            raise InvalidArgument("tran_ref", "the reference of a transaction of one of the CMS's payments")
        return found

    def payer_returned(self, payment_id: str) -> None:
        """Start the ladder of queries anew, because something has just happened on the page."""
        now = self._parts.clock()
        row = self._parts.ledger.open_of(payment_id)
        if row and row.status is Status.PENDING:
            self._parts.ledger.update(row.operation_id, {"poll_from": now, "due_at": next_step(now, now)})

    def get(self, payment_id: str) -> PaymentView:
        """Return a payment's view.

        Raises:
            InvalidArgument: there is no such payment.
        """
        if not self._parts.store.load(payment_id):
            return view_untouched(self._parts.cms.payment(payment_id))
        return self._view(payment_id)

    def history(self, payment_id: str) -> list[dict[str, Any]]:
        """Return a payment's events, oldest first, as plain JSON; empty when nothing has happened yet.

        Raises:
            InvalidArgument: there is no such payment.
        """
        found = self._parts.store.load(payment_id)
        if not found:
            self._parts.cms.payment(payment_id)
        return view_history(found)

    def adopt_by_tran_ref(self, tran_ref: str, context: Context) -> str | None:
        """Take over a payment begun by the CMS's old code, found by its reference; None when there is none."""
        payment_id = self._parts.cms.by_tran_ref(tran_ref)
        if payment_id and not self._parts.store.load(payment_id):
            self._take_over(payment_id, self._parts.cms.payment(payment_id), context)
        return payment_id

    def _cms_payment(self, payment_id: str) -> CmsPayment:
        return self._parts.cms.payment(payment_id)

    def _view(self, payment_id: str, row: Operation | None = None) -> PaymentView:
        rows = self._parts.ledger.of_payment(payment_id)
        current = self._parts.ledger.open_of(payment_id) or row or (rows[-1] if rows else None)
        return view_payment(payment_id, self._parts.store.load(payment_id), current)

    def _take_over(self, payment_id: str, cms: CmsPayment, context: Context) -> bool:
        """Adopt a payment that has a `transR` and no events, once, its state from a query; False if it is not one."""
        if cms.tran_ref is None or self._parts.store.load(payment_id):
            return False
        tran_ref = cms.tran_ref
        operation_id = f"adopt-{payment_id}"

        def work(change: Change) -> None:
            if change.history:
                return
            change.record(
                facts.PaymentAdopted(
                    amount=str(cms.amount), currency=cms.currency, profile_id=self._parts.profile_id,
                    tran_ref=tran_ref, operation_id=operation_id, client_id=cms.client_id, contract_id=cms.contract_id,
                )
            )  # fmt: skip
            row = _new_row(
                operation_id,
                payment_id,
                kind="adopt",
                params={"transaction": "sale"},
                context=context,
                now=change.now,
            )
            row = replace(row, status=Status.PENDING, tran_ref=tran_ref)
            self._parts.ledger.accept(row, change.session)

        self._parts.store.change(payment_id, context, work)
        answer = self._parts.reconciler.ask_ref(tran_ref, context)
        self._parts.reconciler.apply(payment_id, [answer], context)
        return True

    def _accept(
        self, payment_id: str, cms: CmsPayment, terms: PageTerms, operation_id: str | None, context: Context
    ) -> Operation:
        params = self._params(cms, terms)
        asked = {name: params[name] for name in _CALLERS_CHOICES}

        def work(change: Change) -> Operation:
            ledger, session = self._parts.ledger, change.session
            known = ledger.get(operation_id, session) if operation_id else None
            if known:
                chosen = {name: known.params.get(name) for name in _CALLERS_CHOICES}
                check_same(replace(known, params=chosen), "create_page", payment_id, asked)
                return known
            standing = ledger.open_of(payment_id, session)
            if standing:
                return standing
            self._require_payable(change)
            _record_terms(change, cms, self._parts.profile_id)
            number = len(ledger.of_payment(payment_id, session)) + 1
            row = _new_row(
                operation_id or f"page-{payment_id}-{number}",
                payment_id,
                kind="create_page",
                params=params,
                context=context,
                now=change.now,
            )
            self._check_request(row, change)
            ledger.accept(row, session)
            return row

        return self._parts.store.change(payment_id, context, work)

    def _params(self, cms: CmsPayment, terms: PageTerms) -> dict[str, Any]:
        return {
            "transaction": terms.transaction,
            "callback_url": terms.callback_url or self._parts.callback_url,
            "return_url": terms.return_url or self._parts.return_url,
            "language": terms.language,
            "methods": list(terms.methods),
            "tokenise": terms.tokenise,
            "amount": str(cms.amount),
            "currency": cms.currency,
            "title": cms.title,
        }

    def _require_payable(self, change: Change) -> None:
        state = change.before.state
        if state not in PAYABLE:
            raise InvalidArgument("payment_id", f"a payment that can be paid; this one is {state}")

    def _check_request(self, row: Operation, change: Change) -> None:
        """Refuse now what could not be sent later."""
        try:
            build_page(row, new_cart_id(), self._parts.cms, change.payment.snapshot)
        except InvalidRequest as error:
            raise InvalidArgument(_FIELD_NAMES.get(error.field, error.field), error.expected) from error

    def _require_answered(self, row: Operation) -> None:
        """Raise NotYet while what became of the request is not known."""
        if row.status not in (Status.NEW, Status.SENDING, Status.UNKNOWN):
            return
        now = self._parts.clock()
        if row.status is Status.SENDING:
            raise NotYet(row.payment_id, 1.0, "in_flight")
        wait = (row.due_at - now).total_seconds() if row.due_at else 1.0
        raise NotYet(row.payment_id, max(wait, 0.1), f"{row.status}: {row.error}")


#: What a caller's idempotency key covers; the rest is the CMS's to say.
_CALLERS_CHOICES = ("transaction", "callback_url", "return_url", "language", "methods", "tokenise")

#: What callers call the request's members.
_FIELD_NAMES = {
    "callback": "callback_url", "paypage_lang": "language", "payment_methods": "methods", "tran_type": "transaction",
    "cart_amount": "payments.amount", "cart_currency": "payments.currency",
}  # fmt: skip


def _new_row(
    operation_id: str, payment_id: str, *, kind: str, params: dict[str, Any], context: Context, now: datetime
) -> Operation:
    return Operation(
        operation_id=operation_id, payment_id=payment_id, kind=kind, params=params, status=Status.NEW, open=True,
        sends=(), due_at=now, lease_until=None, attempts=0, tran_ref=None, redirect_url=None, error=None,
        correlation_id=context.correlation_id, requested_by=context.requested_by, created_at=now, poll_from=now,
    )  # fmt: skip


def _record_terms(change: Change, cms: CmsPayment, profile_id: int) -> None:
    """Record the payment's terms at its first attempt, and a change of them at a later one."""
    known = change.payment.snapshot
    terms = Snapshot(cms.amount, cms.currency, profile_id, cms.client_id, cms.contract_id)
    if known is None:
        change.record(
            facts.PaymentCreated(
                amount=str(terms.amount), currency=terms.currency, profile_id=profile_id, client_id=terms.client_id,
                contract_id=terms.contract_id,
            )
        )  # fmt: skip
    elif (known.amount, known.currency) != (terms.amount, terms.currency):
        change.record(facts.PaymentAmended(amount=str(terms.amount), currency=terms.currency))
