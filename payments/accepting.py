"""Accepting a request for a page or a charge: the row in the ledger, committed before anything is sent.

One operation per payment is open at a time; who asks for a page while one is gets that one, and nothing else begins
beside it. An operation id that is used again means the operation it was first used for, and nothing else.
"""

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from payments import facts
from payments.card_rules import CardRules
from payments.card_terms import CardTerms
from payments.carts import cart_of
from payments.cms import CmsPayment, CmsReader
from payments.cms_refusals import new_charge_refused
from payments.errors import InvalidArgument, NotYet, PaymentBusy, Refusal
from payments.events import Context, timestamp
from payments.forgotten_known import told_of
from payments.operations import ENQUEUED_FOR, Operation, OperationsLedger, Status, check_same
from payments.page_ends import PageDesk, PageLook, PageState
from payments.payment import PAYABLE, State
from payments.requesting import build_request
from payments.store import Change, PaymentStore
from paytabs.callbacks import brings_fields, takes_callback
from paytabs.errors import InvalidRequest

#: Who accepts a row also sends it; the sweep takes it up when that has not happened after so long.
SWEPT_AFTER = timedelta(seconds=10)

#: Operations that stand for a page a payer may hold.
_PAGES = frozenset({"create_page", "adopt"})

#: What callers call the request's members.
_FIELD_NAMES = {
    "callback": "callback_url", "paypage_lang": "language", "payment_methods": "methods", "tran_type": "transaction",
    "cart_amount": "payments.amount", "tran_ref": "origin", "cart_currency": "payments.currency",
}  # fmt: skip


@dataclass(frozen=True)
class PageTerms:
    """What the caller of `payments.create_page` may choose; `None` takes the system's own.

    `agreement` has PayTabs' members of `token_info`: what the card that the page makes may be charged later.
    """

    transaction: Literal["sale", "auth", "register"] = "sale"
    callback_url: str | None = None
    return_url: str | None = None
    language: str = "ar"
    methods: tuple[str, ...] = ("all",)
    tokenise: int | None = None
    agreement: dict[str, Any] | None = None

    @property
    def kind(self) -> str:
        """Return the kind of operation."""
        return "create_page"

    @property
    def secret(self) -> None:
        """Return what must not be kept: nothing."""

    def to_document(self) -> dict[str, Any]:
        """Return the choices as they are stored."""
        return {**asdict(self), "methods": list(self.methods)}


@dataclass(frozen=True)
class ChargeTerms:
    """What the caller of a charge without a page may choose; `secret` is the token, of which only a digest is kept.

    `origin` is the reference of the transaction that made a stored card's token, where the caller knows it.
    """

    kind: Literal["charge_token", "managed_form"]
    secret: str = field(repr=False)
    payer_present: bool = True
    transaction: Literal["sale", "auth"] = "sale"
    callback_url: str | None = None
    return_url: str | None = None
    tokenise: int | None = None
    origin: str | None = None

    def to_document(self) -> dict[str, Any]:
        """Return the choices as they are stored."""
        kept = {name: value for name, value in asdict(self).items() if name not in ("kind", "secret")}
        return {**kept, "token_digest": hashlib.sha256(self.secret.encode()).hexdigest()}


@dataclass(frozen=True)
class InvoiceTerms:
    """What the caller of `invoices.create` may choose: the bill's lines and dates, in PayTabs' words, and its kind."""

    invoice: dict[str, Any]
    transaction: Literal["sale", "auth"] = "sale"
    callback_url: str | None = None
    return_url: str | None = None

    @property
    def kind(self) -> str:
        """Return the kind of operation."""
        return "create_invoice"

    @property
    def secret(self) -> None:
        """Return what must not be kept: nothing."""

    def to_document(self) -> dict[str, Any]:
        """Return the choices as they are stored."""
        return asdict(self)


#: What begins an attempt.
Terms = PageTerms | ChargeTerms | CardTerms | InvoiceTerms

#: Stands for the token of a stored card where a request is only checked.
_SOME_TOKEN = "token"  # noqa: S105 - no token


@dataclass(frozen=True)
class Acceptor:
    """Accepts requests for pages and charges; the URLs are the system's own addresses, and where the gateway is.

    `epoch` tells which epoch of the ledger it is.
    """

    store: PaymentStore
    ledger: OperationsLedger
    cms: CmsReader
    cards: CardRules
    profile_id: int
    callback_url: str | None
    return_url: str | None
    pages: PageDesk
    gateway_url: str = ""
    epoch: Callable[[], int] = int

    def accept(self, cms: CmsPayment, terms: Terms, operation_id: str | None, context: Context) -> Operation:
        """Commit an operation, or return the one that stands.

        Raises:
            InvalidArgument: the payment cannot be paid as asked.
            OperationConflict: the operation id stands for something else.
            PaymentBusy: another operation of the payment is in hand.
            NotYet: another operation of the payment waits to be sent.
        """
        accepted = self.store.change(
            cms.payment_id, context, lambda change: self._accept(change, cms, terms, operation_id, context)
        )
        if isinstance(accepted, InvalidArgument):
            raise accepted
        return accepted

    def _accept(
        self,
        change: Change,
        cms: CmsPayment,
        terms: Terms,
        operation_id: str | None,
        context: Context,
    ) -> Operation | InvalidArgument:
        known = self.ledger.get(operation_id, change.session) if operation_id else None
        if known:
            same = same_operation(known, terms.kind, cms.payment_id, terms.to_document())
            leads = same.open and isinstance(terms, PageTerms | InvoiceTerms)
            # Who asks again for a page is not led to one that nobody should pay.
            return (new_charge_refused(change) if leads else None) or same
        if operation_id and self._was_forgotten(change, operation_id):
            return self._accepted(change, cms, terms, operation_id, context)
        if refused := new_charge_refused(change):
            return refused
        standing = self.ledger.open_of(cms.payment_id, change.session)
        if standing and isinstance(terms, PageTerms) and standing.kind in _PAGES:
            return _same_transaction(standing, terms, self.pages.look(standing, change.payment, change.before))
        if standing:
            refuse_beside(standing, change.now, self.pages.look(standing, change.payment, change.before))
        if late := self._late_page(change):
            return _late(*late, terms)
        if change.before.state not in PAYABLE and not change.before.page_has_ended:
            raise InvalidArgument("payment_id", f"a payment that can be paid; this one is {change.before.state}")
        return self._accepted(change, cms, terms, operation_id, context)

    def _was_forgotten(self, change: Change, operation_id: str) -> bool:
        """Tell whether PayTabs has told of a send of the operation that a restore has made us forget."""
        if self.ledger.open_of(change.payment_id, change.session):
            return False
        return told_of(change.payment, self.profile_id, change.payment_id, operation_id, self.epoch()) is not None

    def _accepted(
        self, change: Change, cms: CmsPayment, terms: Terms, operation_id: str | None, context: Context
    ) -> Operation:
        self.cards.require_key(terms.to_document())
        record_terms(change, cms, self.profile_id)
        name = operation_id or self._free_id(change)
        params = self._params(cms, terms) | self._of_its_card(cms, terms, change)
        row = new_row(name, cms.payment_id, kind=terms.kind, params=params, context=context, now=change.now)
        self._check_request(row, change)
        self.ledger.accept(row, change.session)
        return row

    def _late_page(self, change: Change) -> tuple[Operation, PageLook] | None:
        """Return the page that PayTabs calls expired and in the middle of which a payer may be, if there is one."""
        expired = {leg.operation_id for leg in change.before.legs if leg.state is State.EXPIRED}
        for row in self.ledger.of_payment(change.payment_id, change.session) if expired else ():
            if row.operation_id in expired and self.pages.late_payer_until(row, change.payment, change.before):
                return row, self.pages.look(row, change.payment, change.before)
        return None

    def _free_id(self, change: Change) -> str:
        """Return an operation id that no caller has taken, counting the payment's operations."""
        number = len(self.ledger.of_payment(change.payment_id, change.session)) + 1
        while self.ledger.get(f"page-{change.payment_id}-{number}", change.session):
            number += 1
        return f"page-{change.payment_id}-{number}"

    def _params(self, cms: CmsPayment, terms: Terms) -> dict[str, Any]:
        if terms.callback_url and not takes_callback(terms.callback_url, self.gateway_url):
            expected = "a public https address without a port, since PayTabs takes no other"
            raise InvalidArgument("callback_url", expected, Refusal.CALLBACK_NOT_PUBLIC)
        secret = {} if terms.secret is None else {"secret": terms.secret}
        life = {} if isinstance(terms, ChargeTerms) else {"paypage_ttl": self.pages.times.life_minutes}
        return {
            **secret,
            **life,
            **terms.to_document(),
            "callback_url": terms.callback_url or self.callback_url,
            "return_url": self._return_url(terms),
            "amount": str(cms.amount),
            "currency": cms.currency,
            "title": cms.title,
            "asked": terms.to_document(),
        }

    def _return_url(self, terms: Terms) -> str | None:
        """Return where PayTabs leads the payer: to our receiver, which leads on to the address that the row has.

        Where nobody can come back to the receiver with what PayTabs signs, PayTabs leads to that address itself.
        """
        ours = self.return_url
        if terms.return_url and not (ours and brings_fields(ours, self.gateway_url)):
            return terms.return_url
        return ours

    def _of_its_card(self, cms: CmsPayment, terms: Terms, change: Change) -> dict[str, Any]:
        if not isinstance(terms, CardTerms):
            return {}
        return self.cards.admit(terms.card_id, cms, change, payer_present=terms.payer_present)

    def _check_request(self, row: Operation, change: Change) -> None:
        """Refuse now what could not be sent later, or where no payer could be led."""
        token = _SOME_TOKEN if "card_id" in row.params else None
        own = row.params["asked"].get("return_url")
        led = replace(row, params=row.params | ({"return_url": own} if own else {}))
        try:
            cart_id = cart_of(self.profile_id, row.payment_id, row.operation_id, epoch=0, number=1)
            build_request(led, cart_id, self.cms, change.payment.snapshot, token)
        except InvalidRequest as error:
            field = _FIELD_NAMES.get(error.field, error.field.replace("token_info.", "agreement.", 1))
            raise InvalidArgument(field, error.expected) from error


def new_row(
    operation_id: str, payment_id: str, *, kind: str, params: dict[str, Any], context: Context, now: datetime
) -> Operation:
    """Return an operation that nobody has sent yet."""
    return Operation(
        operation_id=operation_id, payment_id=payment_id, kind=kind, params=params, status=Status.NEW, open=True,
        sends=(), due_at=now + SWEPT_AFTER, lease_until=None, attempts=0, tran_ref=None, redirect_url=None, error=None,
        correlation_id=context.correlation_id, requested_by=context.requested_by, created_at=now, poll_from=now,
    )  # fmt: skip


def same_operation(known: Operation, kind: str, payment_id: str, asked: dict[str, Any]) -> Operation:
    """Return an operation whose id is used again for the same.

    Raises:
        OperationConflict: it was first used for something else.
    """
    check_same(replace(known, params=known.params["asked"]), kind, payment_id, asked)
    return known


def refuse_beside(standing: Operation, now: datetime, page: PageLook | None = None) -> None:
    """Refuse to begin anything beside an open operation of the same payment.

    Args:
        standing: the operation.
        now: aware UTC.
        page: what is told of its page, where it has one that may end by itself.

    Raises:
        PaymentBusy: it is in hand at this moment.
        NotYet: it waits to be sent.
        InvalidArgument: its end is PayTabs', the payer's or a human's to say, and may take long.
    """
    wait = standing.due_at - now if standing.due_at else SWEPT_AFTER
    if standing.status is Status.NEW and wait > ENQUEUED_FOR:
        raise NotYet(standing.payment_id, wait.total_seconds(), f"{standing.operation_id} waits to be sent")
    if standing.status in (Status.NEW, Status.SENDING):
        raise PaymentBusy(standing.payment_id, standing.operation_id)
    stands = f"{standing.kind} {standing.operation_id} is {standing.status}"
    way_out = "; 'nestcms-workers review override-page' sets a page aside" if standing.kind in _PAGES else ""
    is_page = page is not None and page.state is not None
    when = _page_words(page) if page and is_page else ""
    code = Refusal.PAGE_OPEN if is_page else None
    raise InvalidArgument("payment_id", f"a payment without an operation under way; {stands}{when}{way_out}", code)


def _late(row: Operation, page: PageLook, terms: Terms) -> Operation:
    """Return the page whose payer may still be in the middle of it, to who asks for a page.

    Raises:
        InvalidArgument: something else is asked for.
    """
    if isinstance(terms, PageTerms) and row.kind in _PAGES:
        return _same_transaction(row, terms, page)
    raise InvalidArgument("payment_id", f"a payment whose page nobody can pay{_page_words(page)}", Refusal.PAGE_OPEN)


def _page_words(page: PageLook) -> str:
    """Say until when a page may be paid, and from when on something else may be asked for."""
    ended = "was" if page.state is PageState.OVER else "is"
    until = f", its page {ended} open until {timestamp(page.expires_at)}" if page.expires_at else ""
    if page.new_page_at is None:
        return f"{until}; it ends when PayTabs says so"
    return f"{until}; from {timestamp(page.new_page_at)} on PayTabs is asked whether it has ended"


def _same_transaction(standing: Operation, terms: PageTerms, page: PageLook) -> Operation:
    """Return the operation that stands; a page that sells is no answer to who asked for one that only reserves.

    Raises:
        InvalidArgument: it was asked for another kind of transaction.
    """
    transaction = standing.params["transaction"]
    if transaction != terms.transaction:
        when = _page_words(page) if page.state else ""
        asked = f"{transaction!r}, as the page that is open was asked{when}"
        raise InvalidArgument("transaction", asked, Refusal.PAGE_OPEN)
    return standing


def record_terms(change: Change, cms: CmsPayment, profile_id: int) -> None:
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
