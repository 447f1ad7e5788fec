"""What really happened: every transaction in all its versions, and every movement of money, append-only.

This is the sandbox's truth. What a query shows may lag behind it; what a notification says was cut from it.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from sandbox.errors import UnknownTransaction
from sandbox.movements import KIND_BY_TYPE, Balance, Movement, balance_of

#: The most entries a query by cart shows; the one captured answer had exactly so many.
CART_QUERY_LIMIT = 20


@dataclass(frozen=True)
class Transaction:
    """One transaction as it stands at one moment.

    Attributes:
        tran_ref: Its reference.
        tran_type: Capitalised as in answers; may change (a held sale becomes an `Auth`).
        original_tran_type: What was asked, where the gateway did something else; queries only.
        previous_tran_ref: The transaction acted upon.
        request: The members of the request that answers echo, as received.
        cart_amount: What was asked.
        tran_total: What it is about; zero until something happened.
        status: `response_status`; None while nobody has paid.
        payment_info: The member of that name.
        page_id: The hosted page's address, where there is one.
        token: The card token made on the way.
        channel: `paymentChannel`.
        at: `transaction_time` of this version.
    """

    tran_ref: str
    tran_type: str
    cart_id: str
    currency: str
    cart_amount: Decimal
    at: datetime
    tran_total: Decimal = Decimal(0)
    original_tran_type: str | None = None
    previous_tran_ref: str | None = None
    request: Mapping[str, Any] = field(default_factory=dict)
    status: str | None = None
    code: str | None = None
    message: str | None = None
    payment_info: Mapping[str, Any] = field(default_factory=dict)
    page_id: str | None = None
    token: str | None = None
    channel: str = "Payment Page"


class Ledger:
    """Keeps transactions and movements. `lock` is held by whoever decides upon what it reads."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.lock = threading.RLock()
        self._clock = clock
        self._versions: dict[str, list[Transaction]] = {}
        self._movements: list[Movement] = []

    def open(self, transaction: Transaction) -> Transaction:
        """Enter a new transaction; where it is a success, book its money.

        Args:
            transaction: The first version.

        Returns:
            The same.
        """
        with self.lock:
            self._versions[transaction.tran_ref] = [transaction]
            self._book(transaction)
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
            self._versions[tran_ref].append(after)
            if before.status not in ("A", "H"):
                self._book(after)
            return after

    def get(self, tran_ref: str) -> Transaction:
        """Give the latest version.

        Raises:
            UnknownTransaction: When there is none.
        """
        return self.history(tran_ref)[-1]

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
            refs = [ref for ref, versions in self._versions.items() if versions[0].cart_id == cart_id]
            found = (self.as_of(ref, moment) for ref in reversed(refs))
            return [transaction for transaction in found if transaction is not None]

    def root(self, tran_ref: str) -> str:
        """Follow `previous_tran_ref` to where a family began."""
        with self.lock:
            previous = self.get(tran_ref).previous_tran_ref
            return self.root(previous) if previous in self._versions else tran_ref

    def movements(self) -> list[Movement]:
        """Give every movement, oldest first."""
        with self.lock:
            return list(self._movements)

    def balance(self, tran_ref: str) -> Balance:
        """Add up the movements of the family a transaction belongs to."""
        with self.lock:
            root = self.root(tran_ref)
            return balance_of(movement for movement in self._movements if movement.root_ref == root)

    def clear(self) -> None:
        """Forget everything."""
        with self.lock:
            self._versions.clear()
            self._movements.clear()

    def _book(self, transaction: Transaction) -> None:
        held = transaction.status == "H"
        if transaction.status != "A" and not held:
            return
        kind = "authorise" if held else KIND_BY_TYPE.get(transaction.tran_type)
        if transaction.tran_type == "Void":
            taken = self.balance(transaction.tran_ref).captured
            kind = "reverse" if taken else "release"
        if kind is not None:
            self._movements.append(
                Movement(
                    at=transaction.at,
                    root_ref=self.root(transaction.tran_ref),
                    tran_ref=transaction.tran_ref,
                    kind=kind,
                    amount=transaction.tran_total,
                    currency=transaction.currency,
                    cart_id=transaction.cart_id,
                )
            )
