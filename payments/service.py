"""The use cases around a payment: open a page, verify, get, history."""

from dataclasses import dataclass, replace
from typing import Any

from payments.accepting import Acceptor, PageTerms, record_terms
from payments.adoption import ASK_AGAIN_SECONDS, Adopter
from payments.assessment import assess
from payments.card_rules import CardRules
from payments.carts import payment_in
from payments.cms import CmsPayment, CmsReader
from payments.cms_refusals import settled_outside
from payments.epochs import Epochs
from payments.errors import GatewaySilent, InvalidArgument, NotYet, RowWaits
from payments.events import Context
from payments.forgotten import Forgotten
from payments.ladder import next_step
from payments.operations import Operation, OperationsLedger, Status
from payments.page_ends import PageDesk, PageState
from payments.reconcile import Reconciler, is_conclusive, parked_seconds
from payments.requesting import FOLLOW_UP_KINDS
from payments.sending import Sender
from payments.store import Clock, PaymentStore
from payments.views import PaymentView, view_history, view_payment, view_untouched
from paytabs.responses import Answer

__all__ = ["PageTerms", "PaymentService", "ServiceParts"]

#: How long who finds work in other hands that is due already waits at least, in seconds.
SHORTEST_WAIT_SECONDS = 0.1

#: So many pages of one payment that were forgotten by a restore are passed over at once; whoever asks again gets on.
FORGOTTEN_PAGES = 5


@dataclass(frozen=True)
class ServiceParts:
    """What the use cases need; the URLs are where PayTabs reaches our receiver, and where it is itself."""

    store: PaymentStore
    ledger: OperationsLedger
    cms: CmsReader
    sender: Sender
    reconciler: Reconciler
    cards: CardRules
    clock: Clock
    profile_id: int
    callback_url: str | None
    return_url: str | None
    pages: PageDesk
    epochs: Epochs
    forgotten: Forgotten
    gateway_url: str = ""


class PaymentService:
    """Runs the use cases."""

    def __init__(self, parts: ServiceParts) -> None:
        """Keep what the use cases need."""
        self._parts = parts
        self._adopter = Adopter(parts.store, parts.ledger, parts.cms, parts.reconciler, parts.profile_id)
        self._acceptor = Acceptor(
            parts.store, parts.ledger, parts.cms, parts.cards, parts.profile_id, parts.callback_url, parts.return_url,
            parts.pages, parts.gateway_url, lambda: parts.epochs.current().number,
        )  # fmt: skip

    def create_page(
        self, payment_id: str, terms: PageTerms, context: Context, operation_id: str | None = None
    ) -> PaymentView:
        """Open a hosted page for a payment of the CMS; while one is open, give the same one.

        One whose time is over leads nobody anywhere; once it has ended, the next one is made.

        Args:
            payment_id: 24 hexadecimal digits.
            terms: what the caller chose.
            context: who asks.
            operation_id: the caller's idempotency key, which stands for one page for ever; without one, the page that
                is open or the next one.

        Raises:
            InvalidArgument: there is no such payment, or it cannot be paid as asked.
            OperationConflict: the operation id stands for something else.
            NotYet: the page is being made, or what became of the request, or of an earlier page, is being found out.
        """
        cms = self._parts.cms.payment(payment_id)
        self._adopter.take_over(payment_id, cms, context)
        row = self._page(cms, terms, context, operation_id)
        for _ in range(FORGOTTEN_PAGES):
            if operation_id or not (row.forgotten and row.status in (Status.REFUSED, Status.FAILED)):
                break
            # It stands for a page that was forgotten, and that nobody can pay any more: the next one is asked for.
            row = self._page(cms, terms, context, operation_id)
        self.require_answered(row)
        return self._view(payment_id, row)

    def _page(self, cms: CmsPayment, terms: PageTerms, context: Context, operation_id: str | None) -> Operation:
        """Return the operation of the page that is open or asked for, sent if it was not."""
        self.end_page(cms.payment_id, operation_id, context)
        row = self._acceptor.accept(cms, terms, operation_id, context)
        self.require_unparked(row)
        if row.status is Status.NEW:
            row = self._parts.sender.send(row.operation_id, replace(context, operation_id=row.operation_id))
        return row

    def end_page(self, payment_id: str, operation_id: str | None, context: Context) -> None:
        """Ask PayTabs whether the page that is in the way of another attempt has ended, once it may have.

        Args:
            payment_id: 24 hexadecimal digits.
            operation_id: under which the other attempt is asked for; nothing is asked when it stands for one already.
            context: who asks.

        Raises:
            NotYet: PayTabs does not say.
        """
        row = self._parts.ledger.open_of(payment_id) or self._parts.ledger.last_attempt_of(payment_id)
        if row is None or (operation_id and self._parts.ledger.get(operation_id)):
            return
        payment = self._parts.store.payment(payment_id)
        if self._parts.pages.may_have_ended(row, payment, assess(payment)):
            _require_conclusive(payment_id, self._parts.reconciler.look(row, context))

    def verify(self, payment_id: str, context: Context, *, tran_ref: str | None = None) -> PaymentView:
        """Ask PayTabs about a payment and apply the answer.

        Args:
            payment_id: 24 hexadecimal digits.
            context: who asks.
            tran_ref: one of the payment's transactions to ask about besides its last attempt.

        Raises:
            InvalidArgument: there is no such payment.
            NotYet: PayTabs does not answer.
        """
        if not self._parts.store.load(payment_id):
            cms = self._parts.cms.payment(payment_id)
            adopted = self._adopter.take_over(payment_id, cms, context)
            # Another worker may have begun or adopted it between the two looks.
            return self._view(payment_id) if adopted or self._parts.store.load(payment_id) else view_untouched(cms)
        rows, asked_at = self._asked_about(payment_id), self._parts.ledger.now()
        answers = self._parts.reconciler.ask_all(rows, context, also=tran_ref)
        self._parts.reconciler.apply(payment_id, answers, context, about=rows, asked_at=asked_at, look=True)
        _require_conclusive(payment_id, answers)
        return self._view(payment_id)

    def take_over(self, payment_id: str, context: Context) -> None:
        """Adopt a payment that the CMS's old code began; nothing when it is known or there is nothing to adopt.

        Raises:
            InvalidArgument: there is no such payment, or it was settled outside.
            NotYet: PayTabs does not answer.
        """
        if not self._parts.store.load(payment_id):
            cms = self._parts.cms.payment(payment_id)
            if cms.settled_outside and not self._parts.store.load(payment_id):
                raise settled_outside(f"the CMS calls {payment_id} {cms.status}, without a transaction of PayTabs")
            self._adopter.take_over(payment_id, cms, context)

    def payment_of(self, tran_ref: str, context: Context) -> str:
        """Return the payment that a transaction reference belongs to.

        Raises:
            InvalidArgument: no payment has it.
            NotYet: the CMS's old code began it, and PayTabs does not answer.
            GatewaySilent: nobody here has heard of it, and PayTabs does not say under which cart it stands.
        """
        found = self._parts.store.find_by_tran_ref(tran_ref) or self.adopt_by_tran_ref(tran_ref, context)
        found = found or self._by_its_cart(tran_ref, context)
        if found is None:
            raise InvalidArgument("tran_ref", "the reference of a transaction of one of the CMS's payments")
        return found

    def payer_returned(self, payment_id: str) -> None:
        """Start the ladder of queries anew, because something has just happened on a page, be it one that has ended."""
        now = self._parts.clock()
        for row in self._parts.ledger.of_payment(payment_id):
            if row.has_ended or (row.open and row.status is Status.PENDING):
                self._parts.ledger.reschedule(row, next_step(now, now), poll_from=now)

    def get(self, payment_id: str) -> PaymentView:
        """Return a payment's view.

        Raises:
            InvalidArgument: there is no such payment.
        """
        if not self._parts.store.load(payment_id):
            return view_untouched(self._parts.cms.payment(payment_id))
        return self._view(payment_id)

    def answer(self, row: Operation) -> PaymentView:
        """Return the view of an operation's payment; of an operation whose page has ended, that page's."""
        return self._own_end(row) or self.get(row.payment_id)

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
        """Find a payment by the CMS's `transR`, taking it over from the CMS's old code; None when there is none.

        Raises:
            InvalidArgument: the CMS's document cannot be read.
            NotYet: PayTabs does not answer.
        """
        return self._adopter.by_tran_ref(tran_ref, context)

    def of_forgotten_cart(self, cart_id: str | None, context: Context) -> str | None:
        """Find the payment of a send that a restore has made us forget, by the cart that we had derived.

        The send is taken over where its operation is known; else what PayTabs says of it is nobody's attempt, a case.
        """
        payment_id, epoch = payment_in(cart_id), self._parts.epochs.current()
        if payment_id is None or cart_id is None or not (epoch.restores or epoch.parked):
            return None
        if not self._parts.store.load(payment_id) and not self._begin_again(payment_id, context):
            return None
        self._parts.forgotten.claim(payment_id, cart_id, epoch, context)
        return payment_id

    def claim_forgotten(self, cart_id: str, context: Context) -> bool:
        """Take the send over that a cart names, if a restore has made us forget it and its operation is known."""
        payment_id, epoch = payment_in(cart_id), self._parts.epochs.current()
        if payment_id is None or not (epoch.restores or epoch.parked):
            return False
        known = bool(self._parts.store.load(payment_id)) or self._begin_again(payment_id, context)
        return known and self._parts.forgotten.claim(payment_id, cart_id, epoch, context)

    def _begin_again(self, payment_id: str, context: Context) -> bool:
        """Record the terms of a payment whose whole history was forgotten; False when the CMS does not know it."""
        try:
            cms = self._parts.cms.payment(payment_id)
        except InvalidArgument:
            return False
        profile_id = self._parts.profile_id
        self._parts.store.change(payment_id, context, lambda change: record_terms(change, cms, profile_id))
        return True

    def _by_its_cart(self, tran_ref: str, context: Context) -> str | None:
        """Find a transaction that somebody has seen in PayTabs' dashboard: a send of ours whose answer was lost."""
        answer = self._parts.reconciler.ask_ref(tran_ref, context)
        if not is_conclusive(answer):
            raise GatewaySilent(answer.detail)
        cart_id = answer.transaction.cart_id if answer.transaction else None
        row = self._parts.ledger.by_cart(cart_id) if cart_id else None
        return row.payment_id if row else self.of_forgotten_cart(cart_id, context)

    def _asked_about(self, payment_id: str) -> list[Operation]:
        """Return the operations worth a question: the last attempt, and whatever is open or looked at."""
        rows = [row for row in self._parts.ledger.of_payment(payment_id) if row.sends or row.tran_ref]
        attempts = [row for row in rows if row.kind not in FOLLOW_UP_KINDS]
        return [row for row in rows if row.open or row.due_at or row in attempts[-1:]]

    def _view(self, payment_id: str, row: Operation | None = None) -> PaymentView:
        if row and (own := self._own_end(row)):
            return own
        rows = [row for row in self._parts.ledger.of_payment(payment_id) if row.kind not in FOLLOW_UP_KINDS]
        current = self._parts.ledger.open_of(payment_id) or row or (rows[-1] if rows else None)
        return self._view_of(payment_id, current)

    def _own_end(self, row: Operation) -> PaymentView | None:
        """Return the view of a page that has ended and was asked for by name, whatever attempt stands by now."""
        view = None if row.open else self._view_of(row.payment_id, row)
        return replace(view, tran_ref=row.tran_ref) if view and view.page_state == PageState.ENDED else None

    def _view_of(self, payment_id: str, row: Operation | None) -> PaymentView:
        return view_payment(
            payment_id, self._parts.store.load(payment_id), row, self._parts.pages, self._parts.cards.store
        )

    def require_unparked(self, row: Operation) -> None:
        """Raise RowWaits while a row that was sent before waits for its next turn."""
        wait = (row.due_at - self._parts.clock()).total_seconds() if row.due_at else 0.0
        if row.status is Status.NEW and row.sends and wait > 0:
            raise RowWaits(row.payment_id, wait, f"parked: {row.error}")

    def require_answered(self, row: Operation) -> None:
        """Raise RowWaits while what became of the request is not known, or nobody knows its page's link any more."""
        if row.status is Status.SENDING:
            raise RowWaits(row.payment_id, 1.0, "in_flight")
        if row.status in (Status.NEW, Status.UNKNOWN):
            wait = (row.due_at - self._parts.clock()).total_seconds() if row.due_at else 1.0
            raise RowWaits(row.payment_id, wait if wait > 0 else SHORTEST_WAIT_SECONDS, f"{row.status}: {row.error}")
        if row.forgotten and row.is_page and row.redirect_url is None:
            self._require_another(row)

    def _require_another(self, row: Operation) -> None:
        """Raise RowWaits until another page may be had in the place of one whose link a restore has forgotten."""
        payment = self._parts.store.payment(row.payment_id)
        look, now = self._parts.pages.look(row, payment, assess(payment)), self._parts.ledger.now()
        if look.state is not None and look.new_page_at is not None:
            wait = (look.new_page_at - now).total_seconds()
            raise RowWaits(row.payment_id, wait if wait > 0 else SHORTEST_WAIT_SECONDS, "forgotten_page")


def _require_conclusive(payment_id: str, answers: list[Answer]) -> None:
    """Raise NotYet when PayTabs did not answer a question."""
    silent = [answer.detail for answer in answers if not is_conclusive(answer)]
    if silent:
        raise NotYet(payment_id, parked_seconds(answers) or ASK_AGAIN_SECONDS, f"gateway_{silent[0]}")
