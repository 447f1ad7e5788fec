"""Applying a signed notice: it tells what to look at, and a query tells what is true.

A notice that would mean money (authorised, voided) is applied as the query's answer; while the query lags behind it
the delivery waits. One that lacks something is applied so as well: the query has what it lacks, the cart by which its
payment is found included. A notice that contradicts the payment's terms is never applied: it becomes a case for a
human.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from payments import facts
from payments.beginnings import began, of_transaction
from payments.card_keeping import told, with_cards
from payments.errors import InvalidArgument
from payments.events import Context
from payments.movements import RANK
from payments.observing import observations, observe
from payments.operations import OperationsLedger
from payments.payment import Attempt, Payment, fold
from payments.projections import RaiseAlert
from payments.reason_kinds import members
from payments.reasons import Reason, ReasonCode
from payments.reconcile import Reconciler, is_conclusive
from payments.service import PaymentService
from payments.store import Change, Clock, PaymentStore
from paytabs.notifications import is_complete
from paytabs.responses import Answer, Transaction

#: Statuses that mean money; they count only when a query says the same.
CONFIRMED_BY_QUERY = frozenset("AV")

#: The keys of the alert about transactions that nobody here asked for; it lists the last references.
OUR_PROFILE, ANOTHER_PROFILE, NOT_TAKEN_OVER = KEYS = ("our_profile", "another_profile", "not_taken_over")

#: A notice older than this is not applied directly either: whatever it says, PayTabs is asked.
STALE_AFTER = timedelta(hours=1)


@dataclass(frozen=True)
class Verdict:
    """What became of a notice.

    Attributes:
        result: `applied`, `review`, `unknown_payment` or `waiting`.
        payment_id: the payment it is about, if one was found.
        retry_in_seconds: how long one waits whose query lags; None when it is PayTabs that does not answer.
        reason: why, in a short machine word.
    """

    result: str
    payment_id: str | None = None
    retry_in_seconds: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class NoticeParts:
    """What applying notices needs; `profile_id` tells whose transactions are our profile's.

    `begun` is told under which id that was begun what a notice is about, as soon as that is known.
    """

    store: PaymentStore
    ledger: OperationsLedger
    reconciler: Reconciler
    service: PaymentService
    clock: Clock
    alert: RaiseAlert
    profile_id: int | None = None
    begun: Callable[[str], object] = lambda _: None


class Notices:
    """Applies notices to payments."""

    def __init__(self, parts: NoticeParts) -> None:
        """Keep what applying needs."""
        self._parts = parts

    def apply(self, notice: Transaction, delivery_id: str, wait_seconds: float | None, context: Context) -> Verdict:
        """Apply one notice whose signature was verified.

        Args:
            notice: what PayTabs said.
            delivery_id: the inbox row it came in.
            wait_seconds: how long to wait when the query lags behind the notice; None when it has lagged long enough.
            context: correlation of the delivery.
        """
        try:
            payment_id = self._payment_of(notice, context)
            if payment_id is None and not is_complete(notice):
                answer = self._parts.reconciler.ask_ref(notice.tran_ref, context)
                if not answer.transaction and (not is_conclusive(answer) or wait_seconds is not None):
                    return _unanswered(answer, wait_seconds)
                payment_id = self._payment_of(answer.transaction, context) if answer.transaction else None
        except InvalidArgument as error:
            return self._unknown(notice, f"the CMS's payment cannot be taken over: {error}", NOT_TAKEN_OVER)
        if payment_id is None:
            ours = notice.profile_id in (None, self._parts.profile_id)
            whose = OUR_PROFILE if ours else ANOTHER_PROFILE
            return self._unknown(notice, "no payment has this reference or cart", whose)
        history = self._parts.store.load(payment_id)
        payment = fold(event.fact for event in history)
        about = of_transaction(payment, notice.tran_ref, notice.cart_id, notice.previous_tran_ref)
        if correlation_id := began(history).get(about or ""):
            context = replace(context, correlation_id=correlation_id)
            self._parts.begun(correlation_id)
        mismatch = contradiction(notice, payment)
        if mismatch:
            return self._review(payment_id, mismatch, notice, delivery_id, context)
        if not self._needs_query(notice):
            self._record(payment_id, [observe(notice)], [], context)
            return Verdict("applied", payment_id)
        return self._confirm(payment_id, notice, delivery_id, wait_seconds, context)

    def _unknown(self, notice: Transaction, reason: str, key: str) -> Verdict:
        detail = f"tran_ref {notice.tran_ref}, cart {notice.cart_id}: {reason}"
        self._parts.alert("unknown_payment", key, detail, subject=notice.tran_ref)
        return Verdict("unknown_payment", reason=reason)

    def _payment_of(self, notice: Transaction, context: Context) -> str | None:
        """Find the payment by reference, by our own cart, by the reference acted upon, then among the CMS's old ones.

        The cart comes first of the two: a token's charge names the transaction that made the token, another payment's.
        """
        store = self._parts.store
        refs = [ref for ref in (notice.tran_ref, notice.previous_tran_ref) if ref]
        if found := store.find_by_tran_ref(notice.tran_ref):
            return found
        if notice.cart_id and (row := self._parts.ledger.by_cart(notice.cart_id)):
            return row.payment_id
        if found := self._parts.service.of_forgotten_cart(notice.cart_id, context):
            return found
        if notice.previous_tran_ref and (found := store.find_by_tran_ref(notice.previous_tran_ref)):
            return found
        adopted = (self._parts.service.adopt_by_tran_ref(ref, context) for ref in refs)
        return next(filter(None, adopted), None)

    def _needs_query(self, notice: Transaction) -> bool:
        """Tell whether a notice counts only as a query's answer: money, follow-ups, what is old or not understood.

        One that lacks something, or has a member that cannot be read, is not understood either.
        """
        if not is_complete(notice):
            return True
        stale = notice.transaction_time is None or self._is_stale(notice.transaction_time)
        money = notice.response_status in CONFIRMED_BY_QUERY or notice.previous_tran_ref is not None
        return stale or money or notice.response_status not in RANK

    def _is_stale(self, moment: datetime) -> bool:
        return self._parts.clock() - moment > STALE_AFTER

    def _confirm(
        self, payment_id: str, notice: Transaction, delivery_id: str, wait_seconds: float | None, context: Context
    ) -> Verdict:
        answer = self._parts.reconciler.ask_ref(notice.tran_ref, context)
        if not is_conclusive(answer):
            return Verdict("waiting", payment_id, reason=f"gateway_{answer.detail}")
        if answer.transaction and notice.cart_id and answer.transaction.cart_id not in (None, notice.cart_id):
            return self._review(payment_id, ReasonCode.NOTICE_QUERY_CART, notice, delivery_id, context)
        answers = [answer, *self._of_its_page(payment_id, answer, context)]
        said = [fact for one in answers for fact in observations(one)]
        if notice.response_status == "P" and notice.previous_tran_ref is None and confirms(answer, notice):
            # How its payer pays, and a voucher's number, decide how long a page is waited for; queries may omit them.
            said.append(observe(notice))
        # A notice may tell of a card's token that the query leaves out; it is believed where the query confirms it.
        seen = [*([notice] if confirms(answer, notice) else []), *told(answers)]
        self._record(payment_id, said, seen, context)
        silent = [one.detail for one in answers if not is_conclusive(one)]
        if silent:
            return Verdict("waiting", payment_id, reason=f"gateway_{silent[0]}")
        if confirms(answer, notice):
            return Verdict("applied", payment_id)
        if wait_seconds is not None:
            return Verdict("waiting", payment_id, wait_seconds, "query_lags_behind_notice")
        return self._review(payment_id, ReasonCode.NOTICE_UNCONFIRMED, notice, delivery_id, context)

    def _of_its_page(self, payment_id: str, answer: Answer, context: Context) -> list[Answer]:
        """Ask about the page that a transaction acts upon, when nobody has told what became of it."""
        payment = self._parts.store.payment(payment_id)
        known = {one.tran_ref for one in payment.observations}
        page = answer.transaction.previous_tran_ref if answer.transaction else None
        if page is None or page in known or all(one.tran_ref != page for one in payment.attempts):
            return []
        return [self._parts.reconciler.ask_ref(page, context)]

    def _record(
        self, payment_id: str, found: list[facts.TransactionObserved], seen: list[Transaction], context: Context
    ) -> None:
        self._parts.store.change(payment_id, context, lambda change: change.record(*with_cards(change, found, seen)))

    def _review(
        self, payment_id: str, code: ReasonCode, notice: Transaction, delivery_id: str, context: Context
    ) -> Verdict:
        lacks = f", not readable: {', '.join(notice.unreadable)}" if notice.unreadable else ""
        evidence = f"{notice.tran_ref} {notice.tran_type} {notice.response_status}{lacks}"
        claim = facts.ReviewRaised(**members(Reason(code)), evidence=evidence, delivery_id=delivery_id)

        def work(change: Change) -> None:
            change.record(claim)

        self._parts.store.change(payment_id, context, work)
        return Verdict("review", payment_id, reason=code)


def _unanswered(answer: Answer, wait_seconds: float | None) -> Verdict:
    """Return how an incomplete notice waits of which PayTabs says nothing, or nothing yet."""
    if not is_conclusive(answer):
        return Verdict("waiting", reason=f"gateway_{answer.detail}")
    return Verdict("waiting", retry_in_seconds=wait_seconds, reason="query_lags_behind_notice")


def confirms(answer: Answer, notice: Transaction) -> bool:
    """Tell whether a query's answer says at least as much as a notice of the same transaction.

    A status that nobody knows is confirmed by the same one, or by any that is more than waiting; none at all, by any.
    """
    seen = answer.transaction
    if seen is None or seen.response_status is None:
        return False
    if notice.response_status is None:
        return True
    least = RANK.get(notice.response_status, RANK["P"] + 1)
    return RANK.get(seen.response_status, len(RANK)) >= least


def contradiction(notice: Transaction, payment: Payment) -> ReasonCode | None:
    """Return how a notice contradicts the terms of its payment, or None.

    Amounts are compared as decimals, and only of originals: a follow-up moves a part.
    """
    terms = payment.snapshot
    if terms is None:
        return None
    attempt = _attempt_named(notice, payment)
    amount, currency = (attempt.amount, attempt.currency) if attempt else (terms.amount, terms.currency)
    ours = next((one for one in payment.follow_ups if one.cart_id == notice.cart_id), None)
    currency = ours.currency if ours else currency
    named = {(value or currency).upper() for value in (notice.tran_currency, notice.cart_currency)}
    if notice.profile_id is not None and notice.profile_id != terms.profile_id:
        return ReasonCode.NOTICE_PROFILE
    if named != {currency}:
        return ReasonCode.NOTICE_CURRENCY
    original = attempt is not None and notice.previous_tran_ref is None and attempt.transaction != "register"
    if original and attempt and attempt.cart_id and notice.cart_id not in (None, attempt.cart_id):
        return ReasonCode.NOTICE_CART
    if original and any(value != amount for value in _amounts(notice)):
        return ReasonCode.NOTICE_AMOUNT
    return None


def _attempt_named(notice: Transaction, payment: Payment) -> Attempt | None:
    """Return the attempt a notice names, by its page's reference before its cart."""
    by_ref = [one for one in payment.attempts if one.tran_ref == notice.tran_ref]
    by_cart = [one for one in payment.attempts if one.cart_id and one.cart_id == notice.cart_id]
    return next(iter(by_ref + by_cart), None)


def _amounts(notice: Transaction) -> list[Decimal]:
    """Return the amounts a notice of an original must agree on; what moved counts once something moved."""
    moved = notice.tran_total if notice.response_status in ("A", "H", "V") else None
    return [amount for amount in (notice.cart_amount, moved) if amount is not None]
