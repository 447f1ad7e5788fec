"""Whole histories of many payments, as the store would have written them, made without the store's round trips.

Facts come in the groups in which the system records them, milestones are the system's own, and every event is sealed
into its payment's chain.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from bson import ObjectId

from payments import facts
from payments.assessment import assess
from payments.events import Context, Event, seal
from payments.facts import Fact
from payments.milestones import milestone
from payments.payment import Payment, fold
from tests.support.reasons import about

Document = dict[str, Any]

#: What is recorded together: the facts of one change.
Group = list[Fact]

PROFILE = 987654

#: When the first history begins, unless told otherwise.
LONG_AGO = datetime(2026, 3, 1, 8, tzinfo=UTC)


@dataclass
class Telling:
    """The facts of one payment, group by group; `number` makes its references unlike any other's."""

    number: int
    amount: Decimal
    currency: str
    client_id: str
    contract_id: str
    groups: list[Group] = field(default_factory=list)

    def attempt(self, try_: int, transaction: str = "sale") -> None:
        """A page is asked for and opened."""
        name = {"operation_id": self.operation(try_), "cart_id": self.cart(try_)}
        money = {"amount": str(self.amount), "currency": self.currency}
        if try_ == 1:
            parties = {"client_id": self.client_id, "contract_id": self.contract_id}
            self.groups.append([facts.PaymentCreated(**money, **parties, profile_id=PROFILE)])
        self.groups.append([facts.AttemptStarted(**name, **money, transaction=transaction)])
        self.groups.append([facts.PageOpened(**name, tran_ref=self.ref(try_))])

    def seen(self, try_: int, kind: str, status: str, code: str = "G64411") -> None:
        """PayTabs says what became of a page."""
        self._say(self.ref(try_), tran_type=kind, status=status, code=code, cart_id=self.cart(try_))

    def follow_up(self, step: int, action: str, amount: Decimal, on: str) -> str:
        """Something acts upon a transaction, and PayTabs says that it succeeded; returns its reference."""
        cart, ref = f"nw-{self.number:024x}f{step:07x}", f"TST{self.number:09d}F{step}"
        named = {"operation_id": f"{action}-{self.number}-{step}", "cart_id": cart, "tran_ref": on, "action": action}
        self.groups.append([facts.FollowUpStarted(**named, amount=str(amount), currency=self.currency)])
        self._say(ref, tran_type=action, status="A", code="G64412", amount=str(amount), cart_id=cart,
                  previous_tran_ref=on)  # fmt: skip
        return ref

    def claim(self, reason: str) -> None:
        """A human is called."""
        self.groups.append([facts.ReviewRaised(**about(reason), evidence=f"delivery {self.number}")])

    def ref(self, try_: int) -> str:
        """Return a page's reference."""
        return f"TST{self.number:09d}{try_}"

    def cart(self, try_: int) -> str:
        """Return an attempt's cart."""
        return f"nw-{self.number:024x}{try_:08x}"

    def operation(self, try_: int) -> str:
        """Return an attempt's operation."""
        return f"page-{self.number}-{try_}"

    def _say(self, ref: str, **said: str) -> None:
        known = {"amount": str(self.amount), "currency": self.currency, "occurred_at": "2026-03-01T08:00:05.000Z"}
        self.groups.append([facts.TransactionObserved(tran_ref=ref, profile_id=PROFILE, **(known | said))])


def _paid(tell: Telling) -> None:
    tell.attempt(1)
    tell.seen(1, "sale", "A")


def _waiting(tell: Telling) -> None:
    tell.attempt(1)


def _second_try(tell: Telling) -> None:
    tell.attempt(1)
    tell.seen(1, "sale", "D", "310")
    tell.attempt(2)
    tell.seen(2, "sale", "A")


def _expired(tell: Telling) -> None:
    tell.attempt(1)
    tell.seen(1, "sale", "P", "600")
    tell.seen(1, "sale", "X", "0")


def _captured(tell: Telling) -> None:
    tell.attempt(1, "auth")
    tell.seen(1, "auth", "A")
    capture = tell.follow_up(1, "capture", tell.amount, tell.ref(1))
    tell.follow_up(2, "refund", tell.amount / 4, capture)


def _refunded(tell: Telling) -> None:
    _paid(tell)
    tell.follow_up(1, "refund", tell.amount, tell.ref(1))


def _doubtful(tell: Telling) -> None:
    _waiting(tell)
    tell.claim("a notice with another amount")


#: What happens to payments, and how often.
STORIES = {_paid: 50, _second_try: 12, _waiting: 10, _expired: 10, _captured: 8, _refunded: 8, _doubtful: 2}


@dataclass(frozen=True)
class History:
    """One payment's whole history.

    Attributes:
        payment_id: Whose it is.
        changes: Its events, in the groups in which they are committed.
        payment: What is known at the end.
    """

    payment_id: ObjectId
    changes: list[list[Event]]
    payment: Payment

    @property
    def events(self) -> list[Event]:
        """Return all events in order."""
        return [event for change in self.changes for event in change]


def tellings(*, seed: int = 4) -> Iterator[Telling]:
    """Give what happens to payment after payment, for ever; the same for the same seed."""
    dice = random.Random(seed)  # noqa: S311 - which story is told is no secret
    stories, weights = list(STORIES), list(STORIES.values())
    number = 0
    while True:
        number += 1
        amount = Decimal(dice.randrange(400, 40_000)) / 4 + Decimal("0.00")
        telling = Telling(number, amount, "SAR", f"{number % 997:024x}", f"{number // 2:024x}")
        dice.choices(stories, weights)[0](telling)
        yield telling


def histories(least_events: int, *, seed: int = 4, start: datetime = LONG_AGO) -> Iterator[History]:
    """Give histories until they have so many events together."""
    made = 0
    for telling in tellings(seed=seed):
        history = told(telling.groups, start + timedelta(seconds=telling.number), telling.number)
        yield history
        made += len(history.events)
        if made >= least_events:
            return


def told(groups: Sequence[Group], start: datetime, number: int) -> History:
    """Return the history that the store would have written of facts that came in these groups, a second apart."""
    payment_id = ObjectId(f"65f0{number:020x}")
    changes: list[list[Event]] = []
    payment, previous = Payment(), None
    before = assess(payment)
    for step, group in enumerate(groups):
        payment = fold(group, payment)
        after = assess(payment)
        asked = {"correlation_id": f"corr-{number}", "causation_id": f"task-{number}-{step}"}
        context = Context(source="payments.verify", **asked)
        change = []
        for fact in (*group, *milestone(before, after, payment)):
            previous = seal(str(payment_id), previous, fact, start + timedelta(seconds=step), context)
            change.append(previous)
        changes.append(change)
        before = after
    return History(payment_id, changes, payment)
