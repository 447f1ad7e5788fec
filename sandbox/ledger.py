"""What really happened: every transaction in all its versions, and every movement of money, append-only.

This is the sandbox's truth. What a query shows may lag behind it; what a notification says was cut from it.
"""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from sandbox.errors import UnknownTransaction
from sandbox.ledger_index import Index
from sandbox.movements import KIND_BY_TYPE, Balance, Movement, balance_of
from sandbox.shelf import Shelf
from sandbox.transactions import Transaction

#: The most entries a query by cart shows; the one captured answer had exactly so many.
CART_QUERY_LIMIT = 20

#: Statuses whose money is booked, once.
BOOKED = frozenset(("A", "H"))


class Ledger:
    """Keeps transactions and movements. `lock` is held by whoever decides upon what it reads."""

    def __init__(self, clock: Callable[[], datetime], shelf: Shelf) -> None:
        self.lock = threading.RLock()
        self._clock = clock
        self._versions: dict[str, list[Transaction]] = {}
        self._movements: list[Movement] = []
        self._index = Index()
        self._shelf = shelf
        for _, version in shelf.load("transaction", Transaction):
            self._enter(version)

    def open(self, transaction: Transaction) -> Transaction:
        """Enter a new transaction; where it is a success, book its money.

        Args:
            transaction: The first version.

        Returns:
            The same.
        """
        with self.lock:
            self._keep(transaction)
            self._enter(transaction)
        return transaction

    def change(self, tran_ref: str, **changes: Any) -> Transaction:  # noqa: ANN401 - the fields of Transaction
        """Enter a new version of a transaction; where it turns into a success, book its money.

        Args:
            tran_ref: Its reference.
            changes: The fields that are different now.

        Returns:
            The new version.
        """
        with self.lock:
            before = self.get(tran_ref)
            after = replace(before, at=self._clock(), **changes)
            self._keep(after)
            self._enter(after)
            return after

    def get(self, tran_ref: str) -> Transaction:
        """Give the latest version.

        Raises:
            UnknownTransaction: When there is none.
        """
        return self.history(tran_ref)[-1]

    def knows(self, tran_ref: object) -> bool:
        """Tell whether there is such a transaction."""
        return tran_ref in self._versions

    def history(self, tran_ref: str) -> list[Transaction]:
        """Give all versions, oldest first.

        Raises:
            UnknownTransaction: When there is none.
        """
        with self.lock:
            if tran_ref not in self._versions:
                raise UnknownTransaction(tran_ref)
            return list(self._versions[tran_ref])

    def as_of(self, tran_ref: str, moment: datetime) -> Transaction | None:
        """Give the version that stood at a moment.

        Returns:
            None when there was no such transaction then.
        """
        with self.lock:
            versions = self._versions.get(tran_ref, [])
            return next((version for version in reversed(versions) if version.at <= moment), None)

    def all(self) -> list[Transaction]:
        """Give the latest version of every transaction, oldest transaction first."""
        with self.lock:
            return [versions[-1] for versions in self._versions.values()]

    def of_cart(self, cart_id: str, moment: datetime) -> list[Transaction]:
        """Give the transactions of a cart as they stood at a moment, newest first, without the silent cap."""
        with self.lock:
            found = (self.as_of(ref, moment) for ref in reversed(self._index.carts.get(cart_id, ())))
            return [transaction for transaction in found if transaction is not None]

    def refs_of_cart(self, cart_id: str) -> list[str]:
        """Give the references of a cart's transactions, oldest first."""
        with self.lock:
            return list(self._index.carts.get(cart_id, ()))

    def followers(self, tran_ref: str) -> list[Transaction]:
        """Give the transactions that acted upon one, oldest first."""
        with self.lock:
            return [self.get(ref) for ref in self._index.followers.get(tran_ref, ())]

    def root(self, tran_ref: str) -> str:
        """Tell with which transaction a family began.

        Raises:
            UnknownTransaction: When there is no such transaction.
        """
        with self.lock:
            return self._index.roots[self.get(tran_ref).tran_ref]

    def movements(self) -> list[Movement]:
        """Give every movement, oldest first."""
        with self.lock:
            return list(self._movements)

    def balance(self, tran_ref: str) -> Balance:
        """Add up the movements of the family a transaction belongs to."""
        with self.lock:
            root = self.root(tran_ref)
            waiting = (
                one.tran_total for one in map(self.get, self._index.families[root]) if self.is_pending_refund(one)
            )
            return balance_of(self._index.moves.get(root, ()), sum(waiting, Decimal(0)))

    def is_pending_refund(self, transaction: Transaction) -> bool:
        """Tell whether a refund still waits for approval; one resolved under a new reference does not."""
        is_waiting = transaction.tran_type == "Refund" and transaction.status == "P"
        return is_waiting and not self.is_followed(transaction.tran_ref)

    def is_followed(self, tran_ref: str) -> bool:
        """Tell whether anything was done upon a transaction, refusals apart."""
        return any(one.status != "E" for one in self.followers(tran_ref))

    def clear(self) -> None:
        """Forget everything."""
        with self.lock:
            self._versions.clear()
            self._movements.clear()
            self._shelf.forget("transaction")
            self._index = Index()

    def _keep(self, version: Transaction) -> None:
        number = len(self._versions.get(version.tran_ref, ()))
        self._shelf.put("transaction", f"{version.tran_ref} {number}", version)

    def _enter(self, version: Transaction) -> None:
        """Enter the next version of a transaction, or its first; where it turns into a success, book its money."""
        versions = self._versions.setdefault(version.tran_ref, [])
        was_booked = bool(versions) and versions[-1].status in BOOKED
        versions.append(version)
        if len(versions) == 1:
            self._file(version)
        if not was_booked:
            self._book(version)

    def _file(self, transaction: Transaction) -> None:
        ref, previous = transaction.tran_ref, transaction.previous_tran_ref
        follows = previous in self._versions and not transaction.begins_family
        root = self._index.roots[str(previous)] if follows else ref
        self._index.roots[ref] = root
        self._index.families[root].append(ref)
        self._index.carts[transaction.cart_id].append(ref)
        if follows:
            self._index.followers[str(previous)].append(ref)

    def _book(self, transaction: Transaction) -> None:
        kind = self._kind(transaction)
        if kind is None:
            return
        move = Movement(
            at=transaction.at,
            root_ref=self.root(transaction.tran_ref),
            tran_ref=transaction.tran_ref,
            kind=kind,
            amount=transaction.tran_total,
            currency=transaction.currency,
            cart_id=transaction.cart_id,
        )
        self._movements.append(move)
        self._index.moves[move.root_ref].append(move)

    def _kind(self, transaction: Transaction) -> str | None:
        if transaction.status not in BOOKED or transaction.is_outside:
            return None
        if transaction.status == "H":
            return "authorise"
        if transaction.tran_type == "Void":
            # What was sold is given back; what was only held is freed.
            return "reverse" if self.get(str(transaction.previous_tran_ref)).tran_type == "Sale" else "release"
        return KIND_BY_TYPE.get(transaction.tran_type)
