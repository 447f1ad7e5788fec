"""Accepting a request for a page: the row in the ledger, committed before anything is sent.

One operation per payment is open at a time, and whoever asks while it is gets that one. An operation id that is used
again means the operation it was first used for, and nothing else.
"""

from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from payments import facts
from payments.cms import CmsPayment, CmsReader
from payments.errors import InvalidArgument
from payments.events import Context
from payments.operations import Operation, OperationsLedger, Status, check_same, new_cart_id
from payments.payment import FAILED_STATES, State
from payments.sending import build_page
from payments.store import Change, PaymentStore
from paytabs.errors import InvalidRequest

#: States in which a payment may be charged (again).
PAYABLE = FAILED_STATES | {State.NEW}

#: Who accepts a row also sends it; the sweep takes it up when that has not happened after so long.
SWEPT_AFTER = timedelta(seconds=10)

#: What callers call the request's members.
_FIELD_NAMES = {
    "callback": "callback_url", "paypage_lang": "language", "payment_methods": "methods", "tran_type": "transaction",
    "cart_amount": "payments.amount", "cart_currency": "payments.currency",
}  # fmt: skip


@dataclass(frozen=True)
class PageTerms:
    """What the caller of `payments.create_page` may choose; `None` takes the system's own."""

    transaction: Literal["sale", "auth", "register"] = "sale"
    callback_url: str | None = None
    return_url: str | None = None
    language: str = "ar"
    methods: tuple[str, ...] = ("all",)
    tokenise: int | None = None

    def to_document(self) -> dict[str, Any]:
        """Return the choices as they are stored."""
        return {**asdict(self), "methods": list(self.methods)}


@dataclass(frozen=True)
class Acceptor:
    """Accepts requests for pages; the URLs are the system's own addresses."""

    store: PaymentStore
    ledger: OperationsLedger
    cms: CmsReader
    profile_id: int
    callback_url: str | None
    return_url: str | None

    def accept(self, cms: CmsPayment, terms: PageTerms, operation_id: str | None, context: Context) -> Operation:
        """Commit an operation, or return the one that stands.

        Raises:
            InvalidArgument: the payment cannot be paid as asked.
            OperationConflict: the operation id stands for something else.
        """
        return self.store.change(
            cms.payment_id, context, lambda change: self._accept(change, cms, terms, operation_id, context)
        )

    def _accept(
        self, change: Change, cms: CmsPayment, terms: PageTerms, operation_id: str | None, context: Context
    ) -> Operation:
        known = self.ledger.get(operation_id, change.session) if operation_id else None
        if known:
            asked = replace(known, params=known.params["asked"])
            check_same(asked, "create_page", cms.payment_id, terms.to_document())
            return known
        standing = self.ledger.open_of(cms.payment_id, change.session)
        if standing:
            return _same_transaction(standing, terms)
        if change.before.state not in PAYABLE:
            raise InvalidArgument("payment_id", f"a payment that can be paid; this one is {change.before.state}")
        _record_terms(change, cms, self.profile_id)
        name = operation_id or self._free_id(change)
        row = new_row(
            name, cms.payment_id, kind="create_page", params=self._params(cms, terms), context=context, now=change.now
        )
        self._check_request(row, change)
        self.ledger.accept(row, change.session)
        return row

    def _free_id(self, change: Change) -> str:
        """Return an operation id that no caller has taken, counting the payment's operations."""
        number = len(self.ledger.of_payment(change.payment_id, change.session)) + 1
        while self.ledger.get(f"page-{change.payment_id}-{number}", change.session):
            number += 1
        return f"page-{change.payment_id}-{number}"

    def _params(self, cms: CmsPayment, terms: PageTerms) -> dict[str, Any]:
        return {
            **terms.to_document(),
            "callback_url": terms.callback_url or self.callback_url,
            "return_url": terms.return_url or self.return_url,
            "amount": str(cms.amount),
            "currency": cms.currency,
            "title": cms.title,
            "asked": terms.to_document(),
        }

    def _check_request(self, row: Operation, change: Change) -> None:
        """Refuse now what could not be sent later."""
        try:
            build_page(row, new_cart_id(), self.cms, change.payment.snapshot)
        except InvalidRequest as error:
            raise InvalidArgument(_FIELD_NAMES.get(error.field, error.field), error.expected) from error


def new_row(
    operation_id: str, payment_id: str, *, kind: str, params: dict[str, Any], context: Context, now: datetime
) -> Operation:
    """Return an operation that nobody has sent yet."""
    return Operation(
        operation_id=operation_id, payment_id=payment_id, kind=kind, params=params, status=Status.NEW, open=True,
        sends=(), due_at=now + SWEPT_AFTER, lease_until=None, attempts=0, tran_ref=None, redirect_url=None, error=None,
        correlation_id=context.correlation_id, requested_by=context.requested_by, created_at=now, poll_from=now,
    )  # fmt: skip


def _same_transaction(standing: Operation, terms: PageTerms) -> Operation:
    """Return the operation that stands; a page that sells is no answer to who asked for one that only reserves.

    Raises:
        InvalidArgument: it was asked for another kind of transaction.
    """
    transaction = standing.params["transaction"]
    if transaction != terms.transaction:
        raise InvalidArgument("transaction", f"{transaction!r}, as the page that is open was asked")
    return standing


def _record_terms(change: Change, cms: CmsPayment, profile_id: int) -> None:
    """Record the payment's terms at its first attempt, and a change of them at a later one."""
    known = change.payment.snapshot
    if known is None:
        change.record(
            facts.PaymentCreated(
                amount=str(cms.amount), currency=cms.currency, profile_id=profile_id, client_id=cms.client_id,
                contract_id=cms.contract_id,
            )
        )  # fmt: skip
    elif (known.amount, known.currency) != (cms.amount, cms.currency):
        change.record(facts.PaymentAmended(amount=str(cms.amount), currency=cms.currency))
