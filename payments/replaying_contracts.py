"""The projection `contracts`: the status of every contract that a payment with a history belongs to, counted anew.

A contract is written only where its status is another than its payments make of it, each in a transaction of its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from bson import ObjectId
from pymongo.client_session import ClientSession

from payments.contracts import Contracts
from payments.replay import replayed
from payments.replay_pieces import Difference, Found, Piece, ReplayParts, looked_at
from payments.replay_scan import EventScan, History, Span, sliced

#: How many payments make a piece.
PIECE = 50


class ContractStatuses:
    """Compares and mends the statuses of the CMS's contracts."""

    def __init__(self, parts: ReplayParts) -> None:
        """Work on the CMS's database."""
        self._parts, self._contracts = parts, Contracts(parts.database)
        self._scan = EventScan(parts.database)

    def total(self, span: Span) -> int:
        """Return about how many events there are to go through."""
        return self._scan.count(span)

    def pieces(self, span: Span, after: ObjectId | None, *, young: Span, dry_run: bool) -> Iterator[Piece]:
        """Go through every payment with an event in a span, by ascending id, beginning after one id."""
        for payment_ids in sliced(self.touched(span, after), PIECE):
            grown = [history for history in self._histories(payment_ids) if not young.meets(history)]
            yield self._piece(payment_ids[-1], grown, dry_run=dry_run)

    def touched(self, span: Span, after: ObjectId | None) -> Iterator[ObjectId]:
        """Give the payments with an event in a span, by ascending id, those after one id."""
        return self._scan.touched(span, after)

    def again(self, span: Span, payment_ids: Sequence[ObjectId], *, dry_run: bool) -> Piece:
        """Look at the contracts of some payments, whatever their age, if they have an event in a span."""
        within = [history for history in self._histories(payment_ids) if span.meets(history)]
        return replace(self._piece(payment_ids[-1], within, dry_run=dry_run), once_more=tuple(payment_ids))

    def _piece(self, position: ObjectId, histories: Sequence[History], *, dry_run: bool) -> Piece:
        contracts: dict[ObjectId, ObjectId] = {}
        with self._parts.database.client.start_session() as session:
            for history in histories:
                payment_id: ObjectId = history[0]["payment_id"]
                contracts |= dict.fromkeys(self._of(payment_id, history, session), payment_id)
        found = tuple(self._look(payment_id, contract, dry_run=dry_run) for contract, payment_id in contracts.items())
        return Piece(position, len(histories), sum(map(len, histories)), found)

    def _histories(self, payment_ids: Sequence[ObjectId]) -> Iterator[History]:
        return self._scan.histories(self._scan.query_of(payment_ids))

    def _of(self, payment_id: ObjectId, history: History, session: ClientSession) -> list[ObjectId]:
        try:
            terms = replayed(history).payment.snapshot
        except KeyError:
            terms = None
        return self._contracts.of_payment(str(payment_id), terms.contract_id if terms else None, session)

    def _look(self, payment_id: ObjectId, contract_id: ObjectId, *, dry_run: bool) -> Difference:
        busy = Difference(payment_id, contract_id, Found.BUSY)
        return looked_at(self._parts, busy, partial(self._within, payment_id, contract_id, dry_run=dry_run))

    def _within(
        self, payment_id: ObjectId, contract_id: ObjectId, session: ClientSession, *, dry_run: bool
    ) -> Difference:
        told = partial(Difference, payment_id, contract_id)
        try:
            due = self._contracts.due(contract_id, session)
        except LookupError:
            return told(Found.MISSING)
        if due is None:
            return told(Found.SAME)
        if not dry_run:
            self._contracts.recount(contract_id, self._parts.clock(), session)
        return told(Found.DIFFERING if dry_run else Found.MENDED, {"status": due})
