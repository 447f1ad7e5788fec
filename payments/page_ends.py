"""When the page of an attempt has ended, so that the payment may be asked for again, and what is told of it meanwhile.

A page's time is over by the database's clock. It has *ended* only when PayTabs was asked after that and after a margin
for a payer who is in the middle of it, and does not know it, or knows it as one that nobody has visited. A voucher, a
hold, and a page on which a payer has chosen how to pay outlive their time: they end when PayTabs says so.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from payments import facts
from payments.assessment import Assessment
from payments.facts import TransactionObserved
from payments.ladder import SETTLING, next_look
from payments.operations import PAGE_ENDED, Operation, OperationsLedger
from payments.page_times import CARD, PageTimes, life_of, takes_cards
from payments.payment import Payment, State
from payments.store import Change
from paytabs.responses import Answer

#: PayTabs counts a page's time from the request, and we from its answer: earlier by as much as a send may ever take.
ANSWER_TIME = timedelta(minutes=1)


class PageState(StrEnum):
    """How the page of an attempt stands."""

    OPEN = "open"
    OVER = "over"
    ENDED = "ended"


class Why(StrEnum):
    """What PayTabs said of a page that has ended."""

    NOT_FOUND = "not_found"
    NEVER_VISITED = "never_visited"


@dataclass(frozen=True)
class PageLook:
    """What is told of a page: where it leads a payer to, until when, and from when on another one can be had.

    `new_page_at` is None where only PayTabs can say.
    """

    state: PageState | None = None
    redirect_url: str | None = None
    expires_at: datetime | None = None
    new_page_at: datetime | None = None


@dataclass(frozen=True)
class PageDesk:
    """Judges pages by the times that are set and the database's clock."""

    ledger: OperationsLedger
    times: PageTimes = field(default_factory=PageTimes)

    def look(self, row: Operation, payment: Payment, verdict: Assessment) -> PageLook:
        """Return what is told of the page that a row led to; nothing of a row without one, or with another end."""
        now, from_then = self.ledger.now(), self._from(row, payment, verdict)
        if late := self.late_payer_until(row, payment, verdict):
            return PageLook(PageState.OVER, None, row.page_expires_at, late)
        if row.has_ended or _expired(row, verdict):
            return PageLook(PageState.ENDED, None, row.page_expires_at, min(from_then or now, now))
        if not row.is_page or not _unpaid(row, verdict):
            return PageLook()
        shown = row.shown(now)
        if not _never_heard_of(row, payment, verdict) and (shown is None or not shown.is_over):
            leads_there = verdict.state is State.AWAITING_PAYER
            url = row.redirect_url if leads_there else None
            return PageLook(PageState.OPEN, url, row.page_expires_at, from_then)
        if from_then and now >= from_then and _methods(row, payment, verdict):
            from_then = None
        return PageLook(PageState.OVER, None, row.page_expires_at, from_then)

    def may_have_ended(self, row: Operation, payment: Payment, verdict: Assessment) -> bool:
        """Tell whether PayTabs has to be asked before another attempt may begin, and may answer that it may."""
        if not _expired(row, verdict) and not (row.is_page and _unpaid(row, verdict)):
            return False
        from_then = self._from(row, payment, verdict)
        return from_then is not None and self.ledger.now() >= from_then

    def late_payer_until(self, row: Operation, payment: Payment, verdict: Assessment) -> datetime | None:
        """Return until when a payer in the middle of a page may still pay it although PayTabs calls it expired.

        None when nobody can: PayTabs said so before the page's time was over, or the margin has passed.
        """
        end, from_then = row.page_expires_at, self._from(row, payment, verdict)
        if end is None or from_then is None or not _expired(row, verdict):
            return None
        if row.updated_at and row.updated_at < end - ANSWER_TIME:
            return None
        return from_then if end - ANSWER_TIME <= self.ledger.now() < from_then else None

    def looks_after(self, row: Operation, payment: Payment, verdict: Assessment) -> list[timedelta]:
        """Return after how long a page's row has to be looked at: when its time is over, and when it may have ended."""
        now, late = self.ledger.now(), self.late_payer_until(row, payment, verdict)
        if late:
            return [late - now]
        if not row.is_page or row.page_expires_at is None or not _unpaid(row, verdict):
            return []
        times = (row.page_expires_at, self._from(row, payment, verdict))
        return [moment - now for moment in times if moment is not None and moment > now]

    def why_ended(
        self, row: Operation, payment: Payment, verdict: Assessment, answers: Iterable[Answer], asked_at: datetime
    ) -> Why | None:
        """Return why a page has ended, or None while it has not.

        Args:
            row: the operation that led to it.
            payment: what is known of its payment, the answers included.
            verdict: its assessment.
            answers: what PayTabs has just said of everything that is open about the row; all of them conclusive.
            asked_at: when it was asked, by the database's clock.
        """
        from_then = self._from(row, payment, verdict)
        if not row.is_page or not _unpaid(row, verdict) or from_then is None or asked_at < from_then:
            return None
        told = [one for answer in answers for one in (answer.transaction, *answer.transactions) if one is not None]
        refs = _refs(row, verdict)
        said = [one for one in told if one.tran_ref in refs]
        if not said:
            return Why.NOT_FOUND
        visited = _methods(row, payment, verdict) or any(one.response_status is None for one in said)
        return None if visited else Why.NEVER_VISITED

    def end(self, change: Change, row: Operation, answers: Iterable[Answer], asked_at: datetime) -> bool:
        """Record that a page has ended, and close its row, if it has; the change has counted the answers.

        The session has read the row.
        """
        why = self.why_ended(row, change.payment, change.after, answers, asked_at)
        if why is None:
            return False
        for leg in change.after.legs_of(row.operation_id):
            change.record(
                facts.CartRetired(
                    operation_id=row.operation_id, cart_id=leg.cart_id or "", tran_ref=leg.tran_ref,
                    reason=facts.PAGE_ENDED, why=why,
                )
            )  # fmt: skip
        self.ledger.give_up(row, PAGE_ENDED, change.now, change.session)
        # It has been asked about often enough by now: the ladder goes on where it is.
        self.ledger.follow(row, {"page.ended_at": self.ledger.now(), "poll_from": row.poll_from}, change.session)
        closed = self.ledger.get(row.operation_id, change.session) or row
        self.ledger.follow(closed, {"due_at": next_look(closed, change.after, change.now)}, change.session)
        return True

    def _from(self, row: Operation, payment: Payment, verdict: Assessment) -> datetime | None:
        """Return from when on PayTabs' answer may end a page."""
        if row.page_unknown_since and _never_heard_of(row, payment, verdict):
            return row.page_unknown_since + SETTLING
        if row.page_expires_at is None:
            return None
        methods = _methods(row, payment, verdict)
        other = methods - {CARD} or not takes_cards(row.params.get("methods", ()))
        margin = self.times.other_margin if other else self.times.margin
        # Whoever follows an invoice's link in its last moment is led to a page that may live on for its own time.
        late = life_of(row.params) if row.kind == "create_invoice" else timedelta(0)
        return row.page_expires_at + late + margin


def _never_heard_of(row: Operation, payment: Payment, verdict: Assessment) -> bool:
    """Return whether PayTabs did not know a page of the CMS's old code, and has said nothing of it since."""
    heard = {one.tran_ref for one in payment.observations}
    return row.page_unknown_since is not None and heard.isdisjoint(_refs(row, verdict))


def _unpaid(row: Operation, verdict: Assessment) -> bool:
    """Return whether all that is known of a row's attempts is that their payer is awaited."""
    legs = verdict.legs_of(row.operation_id)
    return bool(legs) and all(leg.state is State.AWAITING_PAYER for leg in legs)


def _expired(row: Operation, verdict: Assessment) -> bool:
    """Return whether PayTabs has said that a row's page expired, so that nothing had to be concluded."""
    states = {leg.state for leg in verdict.legs_of(row.operation_id)}
    is_page = row.redirect_url is not None or row.kind == "adopt"
    return is_page and not row.open and states == {State.EXPIRED}


def _refs(row: Operation, verdict: Assessment) -> set[str]:
    return {leg.tran_ref for leg in verdict.legs_of(row.operation_id) if leg.tran_ref}


def _methods(row: Operation, payment: Payment, verdict: Assessment) -> set[str]:
    """Return every way of paying that an answer or a notice has named for a row's page."""
    refs, carts = _refs(row, verdict), {leg.cart_id for leg in verdict.legs_of(row.operation_id) if leg.cart_id}
    about: Iterable[TransactionObserved] = (
        one for one in payment.observations if one.tran_ref in refs or one.cart_id in carts
    )
    return {one.payment_method for one in about if one.payment_method}
