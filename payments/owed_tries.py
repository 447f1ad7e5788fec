"""Trying again to write the documents that were not there: by the sweep, by whoever looks, until a person ends it.

A payment's document is written from its facts, a contract is counted from its payments. Whoever finds the document
writes it, and the row goes in the same transaction; here only the tries are made.
"""

from dataclasses import dataclass

from bson import ObjectId

from payments.contracts import Contracts
from payments.errors import InvalidArgument, StreamContended
from payments.events import Context
from payments.owed import MISSING, Kind, Owed, OwedDocuments, told_of
from payments.projections import RaiseAlert
from payments.store import Change, Clock, PaymentStore

#: How many documents one step tries.
STEP = 100


@dataclass(frozen=True)
class OwedTries:
    """Tries again what is owed; `rows` says what that is."""

    rows: OwedDocuments
    store: PaymentStore
    contracts: Contracts
    clock: Clock
    alert: RaiseAlert

    def step(self, context: Context) -> int:
        """Try what is due, and return how many documents are as they should be now."""
        return sum(self._try(one, context) for one in self.rows.due(STEP))

    def look(self, kind: Kind, one: ObjectId, context: Context) -> bool:
        """Write a document if it is there and owes something; tell whether it is as it should be.

        Raises:
            StreamContended: other writers won every race.
        """
        if kind is Kind.CONTRACTS:
            return self._count(one)
        self.store.change(str(one), context, _written_again)
        return self.rows.find(kind, one) is None

    def gone(self, one: str, *, by: str, why: str) -> Kind:
        """Take a person's word that the CMS has deleted a document for good.

        Args:
            one: 24 hexadecimal digits: a payment's, or a contract's.
            by: Who says so.
            why: Why, naming nobody but staff.

        Returns:
            Which it is.

        Raises:
            InvalidArgument: nothing is owed to such a document, or it is there.
        """
        found = [owed for kind in Kind if (owed := self.rows.find(kind, ObjectId(one)))]
        if not found:
            raise InvalidArgument("id", f"the id of a payment or contract that is looked for; {one} is not")
        for owed in found:
            self._require_missing(owed)
            self.rows.gone(owed, by=by, why=why)
        return found[0].kind

    def _require_missing(self, owed: Owed) -> None:
        if self.rows.is_there(owed.kind, owed.one):
            raise InvalidArgument(
                "id", f"a document that is gone; {owed.one} is in {owed.kind}, and is written by itself"
            )

    def _try(self, owed: Owed, context: Context) -> bool:
        try:
            stands = self.look(owed.kind, owed.one, context)
        except (ValueError, KeyError, TypeError, StreamContended):
            stands = False  # facts that this version cannot read, for example: others of the step go on
        if not stands:
            if owed.kind is Kind.CONTRACTS and not owed.tries:
                # Payments are told of with the facts; who counts a contract only notes it.
                self.alert(MISSING, owed.kind, told_of(owed.kind, owed.one), subject=str(owed.one))
            self.rows.later(owed)
        return stands

    def _count(self, contract_id: ObjectId) -> bool:
        if not self.rows.is_there(Kind.CONTRACTS, contract_id):
            return False
        self.contracts.recount_if_due(contract_id, self.clock())
        self.rows.stands(Kind.CONTRACTS, contract_id)
        return True


def _written_again(change: Change) -> None:
    """Have a document written whatever it says of itself: what it lacks need not show in its version."""
    change.look()
    change.rewrite = change.rewrite or change.standing is not None
