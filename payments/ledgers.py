"""The two ledgers of one payment, as data: what our events say of each transaction, and what PayTabs shows.

An entry is one transaction. Of ours there is also an entry for every page that was opened and of which nothing was
heard: it awaits its payer. Theirs is seen through questions, each asked once: by every reference we know, and by every
cart. A cart that is not one of our sends' may have strangers in it: of those only what is ours, or acts on it, counts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from payments.assessment import Assessment, assess
from payments.facts import Fact, TransactionObserved
from payments.follow_ups import CALLED, with_our_word
from payments.movements import AWAITING_FINALISATION, FOLLOW_UPS, Movement, merge
from payments.observing import observations
from payments.operations import Operation
from payments.payment import Attempt, FollowUp, Payment, fold
from payments.questions import Question
from paytabs.responses import Answer


@dataclass(frozen=True)
class OurLedger:
    """What our event store says of one payment.

    Attributes:
        payment: The fold of its events.
        rows: Its operations.
        recent: What was heard so lately that PayTabs' queries may lag behind it.
        possible: Carts that sends of ours may have had of which our rows do not tell.
    """

    payment: Payment
    rows: tuple[Operation, ...] = ()
    recent: frozenset[TransactionObserved] = frozenset()
    possible: frozenset[str] = frozenset()

    @cached_property
    def said(self) -> frozenset[TransactionObserved]:
        """Return all that PayTabs ever said, and that pages of which it said nothing await their payer."""
        heard = {seen.tran_ref for seen in self.payment.observations}
        return self.payment.observations | {
            _open_page(one, one.tran_ref) for one in self.payment.attempts if one.tran_ref and one.tran_ref not in heard
        }

    @cached_property
    def entries(self) -> Mapping[str, Movement]:
        """Return one entry per transaction, by reference."""
        return with_our_word(merge(self.said), self.payment.follow_ups)

    @cached_property
    def verdict(self) -> Assessment:
        """Return what the payment comes to."""
        return assess(self.payment)

    @cached_property
    def carts(self) -> frozenset[str]:
        """Return the carts that nobody but this payment's operations ever used."""
        sends = {send.cart_id for row in self.rows for send in row.sends}
        ours: tuple[Attempt | FollowUp, ...] = (*self.payment.attempts, *self.payment.follow_ups)
        return frozenset(sends | {one.cart_id for one in ours if one.cart_id} | self.possible)

    def would_change(self, facts: Iterable[Fact]) -> bool:
        """Tell whether recording facts would change what the payment comes to."""
        return assess(fold(facts, self.payment)) != self.verdict

    def operation_of(self, entry: Movement) -> Operation | None:
        """Return the operation of ours that an entry answers: by its reference, else by its cart and its kind.

        What staff do at PayTabs' dashboard stands in the cart of what they act on, and answers nothing of ours.
        """
        by_ref = (row for row in self.rows if entry.tran_ref in refs_of(row))
        by_cart = (row for row in self.rows if entry.carts & carts_of(row) and _may_answer(entry, row))
        return next(by_ref, None) or next(by_cart, None)


@dataclass(frozen=True)
class TheirLedger:
    """What PayTabs shows of one payment; `silent` are the questions it did not answer, and why."""

    said: frozenset[TransactionObserved] = frozenset()
    silent: Mapping[Question, str] = field(default_factory=dict)

    @cached_property
    def entries(self) -> Mapping[str, Movement]:
        """Return one entry per transaction, by reference."""
        return merge(self.said)

    def about(self, tran_ref: str) -> list[TransactionObserved]:
        """Return what is said of one transaction."""
        return [seen for seen in self.said if seen.tran_ref == tran_ref]

    def is_silent_about(self, tran_refs: Iterable[str], carts: Iterable[str]) -> bool:
        """Tell whether one of the questions about a transaction was not answered."""
        about = {Question("tran_ref", ref) for ref in tran_refs} | {Question("cart_id", cart) for cart in carts}
        return bool(about & self.silent.keys())


def refs_of(row: Operation) -> frozenset[str]:
    """Return the reference that PayTabs gave an operation."""
    return frozenset({row.tran_ref} if row.tran_ref else ())


def carts_of(row: Operation) -> frozenset[str]:
    """Return the carts under which an operation was sent."""
    return frozenset(send.cart_id for send in row.sends)


def _may_answer(entry: Movement, row: Operation) -> bool:
    return entry.kind in CALLED[row.kind] if row.kind in CALLED else entry.kind not in FOLLOW_UPS


def ledger_questions(ours: OurLedger) -> list[Question]:
    """Return what has to be asked to see all that PayTabs has of a payment, each question once."""
    refs = {*ours.entries, *(ref for row in ours.rows for ref in refs_of(row))}
    refs |= {one.tran_ref for one in ours.payment.follow_ups}
    refs |= {parent for ref in ours.verdict.parked if ref in ours.entries and (parent := ours.entries[ref].previous)}
    carts = ours.carts | {cart for entry in ours.entries.values() for cart in entry.carts}
    return [*(Question("tran_ref", ref) for ref in sorted(refs)), *(Question("cart_id", one) for one in sorted(carts))]


def their_ledger(ours: OurLedger, answers: Mapping[Question, Answer], silent: Mapping[Question, str]) -> TheirLedger:
    """Read PayTabs' ledger of a payment from its answers.

    Args:
        ours: the payment, whose carts and references say what belongs to it.
        answers: every conclusive answer by its question.
        silent: the questions without one, and why.
    """
    certain, doubtful = set[TransactionObserved](), set[TransactionObserved]()
    for question, answer in answers.items():
        is_ours = question.by == "tran_ref" or question.value in ours.carts
        (certain if is_ours else doubtful).update(observations(answer))
    return TheirLedger(frozenset(certain | _kin(ours, certain, doubtful)), silent)


def _kin(
    ours: OurLedger, certain: Iterable[TransactionObserved], doubtful: Iterable[TransactionObserved]
) -> set[TransactionObserved]:
    """Return what is said of our transactions, and of those that act on them, directly or not."""
    known = {*ours.entries, *(seen.tran_ref for seen in certain)}
    found: set[TransactionObserved] = set()
    left = set(doubtful)
    while more := {seen for seen in left if {seen.tran_ref, seen.previous_tran_ref} & known}:
        found |= more
        left -= more
        known |= {seen.tran_ref for seen in more}
    return found


def _open_page(attempt: Attempt, tran_ref: str) -> TransactionObserved:
    return TransactionObserved(
        tran_ref=tran_ref, tran_type=attempt.transaction, status="P", code=AWAITING_FINALISATION,
        currency=attempt.currency, cart_id=attempt.cart_id,
    )  # fmt: skip
