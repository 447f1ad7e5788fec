"""Comparing one payment with PayTabs: look, ask, judge, and where that is wanted, correct.

What PayTabs says is compared with the payment as it stood when it was asked: should the payment have moved on meanwhile
it is looked at anew, so that ordinary traffic is never taken for a difference. Corrections are committed with the facts
they lean on, in one change that sees the payment as it was judged.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from payments.comparison import Kind
from payments.corrections import DIFFERENCES, Judged, correct, judge
from payments.errors import StreamContended
from payments.events import Context, Event
from payments.facts import TransactionObserved
from payments.ladder import SETTLING
from payments.ledgers import OurLedger, TheirLedger, ledger_questions, their_ledger
from payments.operations import Operation, OperationsLedger
from payments.patience import Patience
from payments.payment import fold
from payments.questions import Question
from payments.reconcile import Reconciler, is_conclusive
from payments.store import Change, Clock, PaymentStore
from paytabs.errors import InvalidRequest
from paytabs.responses import Answer

#: How often a payment is looked at that moves on while PayTabs is asked about it.
LOOKS = 3

#: Why nothing is concluded about a payment that moved on every time.
MOVING = "payment_is_moving"

#: Why a question was not asked: it would not be a request.
NOT_ASKABLE = "not_askable"

#: Why a question was not asked: PayTabs has been silent for too long.
GIVEN_UP = "given_up"


@dataclass(frozen=True)
class LedgerComparer:
    """Compares payments, one at a time; `lease` is how long a send may still be under way.

    Attributes:
        possible: Tells under which carts PayTabs may have something of a payment that its rows do not tell of.
        claim: Takes the forgotten send over that a cart names; tells whether it was one.
    """

    store: PaymentStore
    ledger: OperationsLedger
    reconciler: Reconciler
    clock: Clock
    lease: timedelta
    patience: Patience
    possible: Callable[[str, Sequence[Operation]], Iterable[str]] = lambda _, __: ()
    claim: Callable[[str, Context], bool] = lambda _, __: False

    def compare(self, payment_id: str, context: Context, *, apply: bool) -> tuple[Judged, ...]:
        """Compare a payment with what PayTabs shows of it.

        Args:
            payment_id: 24 hexadecimal digits.
            context: who asks; stored with every correction.
            apply: whether to record what mends our ledger, and to call a human over what does not.

        Returns:
            What was found, each entry and each question without an answer once.
        """
        results: tuple[Judged, ...] = ()
        for _ in range(LOOKS):
            history = self.store.load(payment_id)
            ours = self._ours(payment_id, history)
            theirs = self._theirs(ours, context)
            results = tuple(judge(ours, theirs))
            if not any(one.finding.kind in DIFFERENCES for one in results):
                return results
            if apply and self._claimed(ours, theirs, context):
                continue
            if apply:
                corrected = self._correct(history, ours, theirs, context)
                if corrected is not None:
                    return corrected
            elif len(self.store.load(payment_id)) == len(history):
                return results
        return tuple(map(_unsettled, results))

    def _ours(self, payment_id: str, history: Sequence[Event]) -> OurLedger:
        """Read our ledger of a payment; what PayTabs' queries may not show yet is what they may lag behind."""
        since = self.clock() - self.lease - SETTLING
        lately = (event.fact for event in history if event.recorded_at > since)
        recent = frozenset(fact for fact in lately if isinstance(fact, TransactionObserved))
        payment = fold(event.fact for event in history)
        rows = tuple(self.ledger.of_payment(payment_id))
        return OurLedger(payment, rows, recent, frozenset(self.possible(payment_id, rows)))

    def _claimed(self, ours: OurLedger, theirs: TheirLedger, context: Context) -> bool:
        """Take over what PayTabs has under carts of forgotten sends; tells whether there was any."""
        said = {seen.cart_id for seen in theirs.said if seen.tran_ref not in ours.entries and seen.cart_id}
        claimed = [cart_id for cart_id in sorted(said & ours.possible) if self.claim(cart_id, context)]
        return bool(claimed)

    def _theirs(self, ours: OurLedger, context: Context) -> TheirLedger:
        answers: dict[Question, Answer] = {}
        silent: dict[Question, str] = {}
        for question in ledger_questions(ours):
            told = self._ask(question, context)
            if isinstance(told, str):
                silent[question] = told
            elif is_conclusive(told):
                answers[question] = told
            else:
                silent[question] = told.detail
        return their_ledger(ours, answers, silent)

    def _ask(self, question: Question, context: Context) -> Answer | str:
        """Return the answer to a question, or why it was not asked."""
        if self.patience.exhausted:
            return GIVEN_UP
        ask = self.reconciler.ask_ref if question.by == "tran_ref" else self.reconciler.ask_cart
        try:
            return self.patience.ask(lambda: ask(question.value, context))
        except InvalidRequest:
            return NOT_ASKABLE

    def _correct(
        self, history: Sequence[Event], ours: OurLedger, theirs: TheirLedger, context: Context
    ) -> tuple[Judged, ...] | None:
        """Record what mends our ledger; None when the payment has moved on since it was looked at."""
        correction = correct(ours, theirs)
        if not (history and correction.facts):
            # A payment without any event has no history to mend: what is said of it stays open.
            return correction.results if history else tuple(judge(ours, theirs))

        def work(change: Change) -> bool:
            if len(change.history) != len(history):
                return False
            change.record(*correction.facts)
            return True

        try:
            return correction.results if self.store.change(history[0].payment_id, context, work) else None
        except StreamContended:
            return None


def _unsettled(one: Judged) -> Judged:
    if one.finding.kind not in DIFFERENCES:
        return one
    return Judged(replace(one.finding, kind=Kind.UNANSWERED, detail=MOVING), None)
