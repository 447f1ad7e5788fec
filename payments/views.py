"""What callers are told about a payment: ids, decimal text and ISO times, ready for JSON."""

from dataclasses import dataclass
from typing import Any

from payments.assessment import assess
from payments.cms import CmsPayment
from payments.declines import decline_of
from payments.events import Event, envelope, timestamp
from payments.operations import Operation, Status
from payments.page_ends import PageDesk, PageLook
from payments.paid_with import card_of
from payments.payment import State, fold
from payments.reason_kinds import all_words
from payments.stored_cards import CardStore

#: Rows whose error says why PayTabs never made the page; what a payer's bank said is the state's to tell.
_UNSENT = frozenset({Status.REFUSED, Status.FAILED})


@dataclass(frozen=True)
class PaymentView:
    """A payment as callers see it; amounts are decimal text in major units, times ISO-8601.

    `page_state` is `open` while a payer can be led to `redirect_url`, `over` once its time has passed, and `ended` when
    PayTabs has said that nobody pays it; `new_page_at` is from when on another attempt may be made, None when PayTabs
    has to say.
    """

    payment_id: str
    state: str
    status: str
    amount: str
    currency: str
    tran_ref: str | None
    redirect_url: str | None
    page_state: str | None
    page_expires_at: str | None
    new_page_at: str | None
    operation_id: str | None
    authorised: str
    captured: str
    released: str
    refunded: str
    refund_pending: str
    flags: tuple[str, ...]
    review: tuple[str, ...]
    review_codes: tuple[str, ...]
    error: str | None
    version: int
    decline: dict[str, Any] | None = None
    card: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        lists = {"flags": self.flags, "review": self.review, "review_codes": self.review_codes}
        return {**self.__dict__, **{name: list(values) for name, values in lists.items()}}


@dataclass(frozen=True)
class OperationView:
    """A capture, void, release or refund as callers see it; amounts are decimal text in major units.

    `tran_ref` is the transaction PayTabs made of it, `on` the one it acts upon, `state` the payment's.
    """

    operation_id: str
    payment_id: str
    kind: str
    status: str
    amount: str
    currency: str
    on: str
    tran_ref: str | None
    error: str | None
    state: str

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return dict(self.__dict__)


def view_operation(row: Operation, history: list[Event]) -> OperationView:
    """Return the view of a follow-up and the state of its payment."""
    params = row.params
    return OperationView(
        operation_id=row.operation_id, payment_id=row.payment_id, kind=row.kind, status=row.status,
        amount=params["amount"], currency=params["currency"], on=params["on"], tran_ref=row.tran_ref, error=row.error,
        state=assess(fold(event.fact for event in history)).state,
    )  # fmt: skip


def view_payment(
    payment_id: str,
    history: list[Event],
    row: Operation | None,
    pages: PageDesk | None = None,
    cards: CardStore | None = None,
) -> PaymentView:
    """Return the view of a payment that has a history.

    Args:
        payment_id: 24 hexadecimal digits.
        history: its events in order, at least one.
        row: its open operation, else its last one.
        pages: judges the page that the row leads to; None to tell of none.
        cards: tells of the stored card that it is about; None to tell of none.
    """
    payment = fold(event.fact for event in history)
    verdict = assess(payment)
    page = pages.look(row, payment, verdict) if pages and row else PageLook()
    card_id = card_of(payment, verdict)
    terms = payment.snapshot
    return PaymentView(
        payment_id=payment_id,
        state=verdict.state,
        status=verdict.cms_status,
        amount=str(terms.amount) if terms else "0",
        currency=terms.currency if terms else "",
        tran_ref=verdict.tran_ref,
        redirect_url=page.redirect_url,
        page_state=page.state,
        page_expires_at=timestamp(page.expires_at) if page.expires_at else None,
        new_page_at=timestamp(page.new_page_at) if page.new_page_at else None,
        operation_id=row.operation_id if row else None,
        authorised=str(verdict.authorised),
        captured=str(verdict.captured),
        released=str(verdict.released),
        refunded=str(verdict.refunded),
        refund_pending=str(verdict.refund_pending),
        flags=verdict.flags,
        review=tuple(all_words(verdict.review)),
        review_codes=tuple(reason.code for reason in verdict.review),
        error=row.error if row and row.status in _UNSENT else None,
        version=history[-1].version,
        decline=decline_of(payment, verdict),
        card=cards.shown([card_id]).get(card_id) if cards and card_id else None,
    )


def view_untouched(cms: CmsPayment) -> PaymentView:
    """Return the view of a payment of the CMS that nobody has asked us for yet: its status is the CMS's own word."""
    state, status = State.SETTLED_OUTSIDE if cms.settled_outside else State.NEW, cms.status or "pending"
    return PaymentView(
        payment_id=cms.payment_id, state=state, status=status, amount=str(cms.amount), currency=cms.currency,
        tran_ref=cms.tran_ref, redirect_url=None, page_state=None, page_expires_at=None, new_page_at=None,
        operation_id=None, authorised="0", captured="0", released="0", refunded="0", refund_pending="0", flags=(),
        review=(), review_codes=(), error=None, version=0,
    )  # fmt: skip


def view_history(history: list[Event]) -> list[dict[str, Any]]:
    """Return a payment's events as plain JSON, oldest first."""
    return [{"event_id": event.event_id, **envelope(event), "hash": event.hash} for event in history]
