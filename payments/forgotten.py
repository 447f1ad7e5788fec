"""Asking PayTabs, before anything is sent after a restore, for sends that our ledger may have forgotten.

Their carts can be made anew: of the operation that is to be sent, and before an attempt also of the payment's others,
since money that another one took must not be taken twice. What is found is taken over. "Nothing" counts once PayTabs'
duplicate window after the restore has passed, and before an attempt once nobody can pay a forgotten page any more.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from bson import ObjectId

from payments.carts import cart_of
from payments.epochs import Epoch
from payments.errors import NotYet
from payments.events import Context
from payments.forgotten_facts import SOURCE, FoundSend, take_over, take_over_other
from payments.forgotten_match import is_idle
from payments.gateway import Gateway
from payments.ladder import SETTLING
from payments.operations import Operation, OperationsLedger, Status
from payments.page_times import PageTimes, end_of, life_of, takes_cards
from payments.reconcile import is_conclusive, parked_seconds
from payments.requesting import FOLLOW_UP_KINDS
from payments.store import Change, PaymentStore
from paytabs.responses import Answer, Transaction

#: After so many carts in a row without anything there was no further send: of what is to be sent, and of the others.
#: Sends that did not happen leave nothing, and while PayTabs is away the breaker keeps them few.
OWN_GAP, OTHERS_GAP = 8, 3

#: After so many pages in a row without anything there was no further page that was asked for without an id.
PAGES_GAP = 2

#: When an answer is asked for again that PayTabs did not give, in seconds.
ASK_AGAIN_SECONDS = 5.0


@dataclass(frozen=True)
class Suspect:
    """An operation that may have been sent without our ledger's knowing."""

    operation_id: str
    row: Operation | None
    gap: int

    @property
    def first(self) -> int:
        """Return the number of the first send that is not known."""
        return len(self.row.sends) + 1 if self.row else 1


@dataclass(frozen=True)
class Forgotten:
    """Finds forgotten sends.

    Attributes:
        elsewhere: Tells which operations of a payment are known outside the ledger, by their ids.
        seconds_left: How long whoever asks may still take.
        call_seconds: How long a call takes at most.
    """

    store: PaymentStore
    ledger: OperationsLedger
    gateway: Gateway
    profile_id: int
    times: PageTimes
    elsewhere: Callable[[str], list[str]]
    seconds_left: Callable[[], float]
    call_seconds: float

    def recall(self, row: Operation, epoch: Epoch, context: Context) -> Operation:
        """Find out whether a row that is to be sent, or what would stand beside it, was sent before a restore.

        Returns:
            The row, as it was if it may be sent now.

        Raises:
            NotYet: PayTabs does not say, or it is too early to conclude anything from its silence.
        """
        past = {number: end for number, end in _past(row, epoch).items() if number >= row.recalled}
        if not past:
            return row
        counts_from, asked_at = self.counts_from(row, max(past.values())), self.ledger.now()
        search = _Search(self, row, past, context, counts_from, counts=asked_at >= counts_from)
        found = list(search.run())
        if found:
            self._take_over(row, found, epoch, context)
        stored = self.ledger.get(row.operation_id) or row
        if (stored.status, len(stored.sends)) != (row.status, len(row.sends)):
            return stored
        if not search.counts:
            raise NotYet(row.payment_id, search.wait_seconds, "restored: forgotten sends are looked for")
        self.ledger.note_recalled(row, epoch.number)
        return stored

    def claim(self, payment_id: str, cart_id: str, epoch: Epoch, context: Context) -> bool:
        """Take the send over that a transaction's cart names, if it is one that a restore has made us forget.

        Nothing is asked: what PayTabs says of it is recorded by whoever has heard of it.

        Returns:
            Whether it was one, of an operation whose id is known.
        """
        past = epoch.past(ObjectId(payment_id).generation_time)
        rows = {row.operation_id: row for row in self.ledger.of_payment(payment_id)}
        pages = [f"page-{payment_id}-{number}" for number in range(1, len(rows) + OWN_GAP)]
        for name in dict.fromkeys([*rows, *self.elsewhere(payment_id), *pages]):
            row = rows.get(name)
            first = len(row.sends) + 1 if row else 1
            for number in range(first, first + OWN_GAP):
                for one, until in past.items():
                    if cart_id == cart_of(self.profile_id, payment_id, name, epoch=one, number=number):
                        # Of an id that only a caller knows the terms of there is no row to be made yet.
                        known = row is not None or name in pages
                        found = FoundSend(name, row, cart_id, until, ())
                        return known and self._claimed(payment_id, found, epoch, context)
        return False

    def _claimed(self, payment_id: str, found: FoundSend, epoch: Epoch, context: Context) -> bool:
        cause = replace(context, source=SOURCE, causation_id=f"epoch-{epoch.number}")

        def work(change: Change) -> None:
            if _is_known(change, found):
                return
            if found.row is not None and found.row.status is Status.NEW:
                take_over(self.ledger, change, found.row, [found])
            elif found.row is None or found.row.kind != "adopt":
                take_over_other(self.ledger, change, found)

        self.store.change(payment_id, cause, work)
        return True

    def counts_from(self, row: Operation, until: datetime) -> datetime:
        """Return from when on a row may be sent if nothing is found of what was sent up to a moment."""
        settled = until + SETTLING
        if row.kind in FOLLOW_UP_KINDS:
            return settled
        params = {"paypage_ttl": self.times.life_minutes, **row.params}
        margin = self.times.margin if takes_cards(params.get("methods", ())) else self.times.other_margin
        ends = [until + life_of(params), until + life_of({"paypage_ttl": self.times.life_minutes})]
        if row.kind == "create_invoice" and (end := end_of(row.kind, params, until)):
            ends.append(end + life_of(params))
        return max(settled, *(end + margin for end in ends))

    def suspects(self, row: Operation) -> Iterator[Suspect]:
        """Give the operations whose sends may be forgotten: the row's own first; pages without an id are not given."""
        yield Suspect(row.operation_id, row, OWN_GAP)
        rows = {one.operation_id: one for one in self.ledger.of_payment(row.payment_id)}
        if row.kind not in FOLLOW_UP_KINDS:
            for other in rows.values():
                if other.operation_id != row.operation_id and other.kind not in (*FOLLOW_UP_KINDS, "adopt"):
                    yield Suspect(other.operation_id, other, OTHERS_GAP)
        for operation_id in self.elsewhere(row.payment_id):
            if operation_id not in rows:
                yield Suspect(operation_id, None, OWN_GAP)

    def _take_over(self, row: Operation, found: list[FoundSend], epoch: Epoch, context: Context) -> None:
        cause = replace(context, source=SOURCE, causation_id=f"epoch-{epoch.number}")
        own = [one for one in found if one.operation_id == row.operation_id]

        def work(change: Change) -> None:
            for one in found:
                if one.operation_id != row.operation_id and not _is_known(change, one):
                    take_over_other(self.ledger, change, one)
            if own:
                take_over(self.ledger, change, row, own)

        self.store.change(row.payment_id, cause, work)


class _Search:
    """One look for forgotten sends.

    Attributes:
        counts: Whether it counts when nothing is found.
    """

    def __init__(
        self, parts: Forgotten, row: Operation, past: dict[int, datetime], context: Context, counts_from: datetime, *,
        counts: bool,
    ) -> None:  # fmt: skip
        self._parts, self._row, self._past, self._context = parts, row, past, context
        self._counts_from = counts_from
        self.counts = counts

    @property
    def wait_seconds(self) -> float:
        """Return how long it takes until it counts when nothing is found."""
        return max(0.0, (self._counts_from - self._parts.ledger.now()).total_seconds())

    def run(self) -> Iterator[FoundSend]:
        """Give what is found."""
        for suspect in self._parts.suspects(self._row):
            yield from self._of(suspect)
        if self._row.kind not in FOLLOW_UP_KINDS:
            yield from self._pages()

    def _pages(self) -> Iterator[FoundSend]:
        """Look for pages that were asked for without an id, whose ids count the payment's operations."""
        known = {one.operation_id for one in self._parts.ledger.of_payment(self._row.payment_id)}
        number = missing = 0
        while missing < PAGES_GAP:
            number += 1
            name = f"page-{self._row.payment_id}-{number}"
            if name in known:
                continue
            found = list(self._of(Suspect(name, None, OTHERS_GAP)))
            missing = 0 if found else missing + 1
            yield from found

    def _of(self, suspect: Suspect) -> Iterator[FoundSend]:
        own = suspect.operation_id == self._row.operation_id
        for epoch, until in self._past.items():
            if suspect.row is not None and epoch < suspect.row.recalled:
                continue
            number, missing = suspect.first, 0
            while missing < suspect.gap:
                seen = self._under(self._cart(suspect, epoch, number))
                missing = 0 if seen else missing + 1
                if seen and (own or not is_idle(seen)):
                    cart_id = self._cart(suspect, epoch, number)
                    yield FoundSend(suspect.operation_id, suspect.row, cart_id, until, seen)
                number += 1

    def _cart(self, suspect: Suspect, epoch: int, number: int) -> str:
        parts, payment_id = self._parts, self._row.payment_id
        return cart_of(parts.profile_id, payment_id, suspect.operation_id, epoch=epoch, number=number)

    def _under(self, cart_id: str) -> tuple[Transaction, ...]:
        """Return what PayTabs has under a cart, each transaction whole.

        Raises:
            NotYet: it does not say.
        """
        if cart_id in self._row.nothing:
            return ()
        parts, correlation_id = self._parts, self._context.correlation_id
        answer = self._told(lambda: parts.gateway.query_cart(cart_id, correlation_id=correlation_id))
        if not answer.transactions and self.counts:
            parts.ledger.note_nothing(self._row, cart_id)
        return tuple(self._whole(one, cart_id) for one in answer.transactions)

    def _whole(self, seen: Transaction, cart_id: str) -> Transaction:
        """Return a transaction as PayTabs tells it by its reference: entries of a cart are thin."""
        parts, correlation_id = self._parts, self._context.correlation_id
        answer = self._told(lambda: parts.gateway.query_tran(seen.tran_ref, correlation_id=correlation_id))
        told = answer.transaction or seen
        return replace(told, cart_id=told.cart_id or cart_id)

    def _told(self, ask: Callable[[], Answer]) -> Answer:
        if self._parts.seconds_left() < self._parts.call_seconds:
            raise NotYet(self._row.payment_id, 0.0 if self.counts else self.wait_seconds, "no_time_left")
        answer = ask()
        if not is_conclusive(answer):
            wait = parked_seconds([answer]) or ASK_AGAIN_SECONDS
            raise NotYet(self._row.payment_id, wait, f"gateway_{answer.detail}")
        return answer


def _past(row: Operation, epoch: Epoch) -> dict[int, datetime]:
    """Return the epochs that may hide sends of a row's payment, by when they ended."""
    return epoch.past(ObjectId(row.payment_id).generation_time)


def _is_known(change: Change, send: FoundSend) -> bool:
    """Tell whether a send is in the payment's history already."""
    payment = change.payment
    known = {one.cart_id for one in payment.attempts} | {one.cart_id for one in payment.follow_ups}
    return send.cart_id in known
