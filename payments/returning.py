"""Where a payer who comes back from PayTabs belongs: which payment, whose request, and the page's own address."""

from dataclasses import dataclass

from payments.operations import Operation, OperationsLedger
from payments.store import PaymentStore


@dataclass(frozen=True)
class Returned:
    """What the row of a page says of the payer who comes back from it.

    Attributes:
        payment_id: Whose page it was.
        return_url: The page's own address, if its caller gave one.
        correlation_id: Under which it was asked for.
    """

    payment_id: str
    return_url: str | None
    correlation_id: str


@dataclass(frozen=True)
class Returns:
    """Finds the row that a payer comes back from."""

    ledger: OperationsLedger
    store: PaymentStore

    def find(self, tran_ref: str, cart_id: str | None) -> Returned | None:
        """Return what is known of a page by the cart and the reference that PayTabs has signed; None of a foreign one.

        Args:
            tran_ref: PayTabs' reference.
            cart_id: The cart, where PayTabs names one.
        """
        row = (self.ledger.by_cart(cart_id) if cart_id else None) or self._by_reference(tran_ref)
        return _of(row) if row else None

    def _by_reference(self, tran_ref: str) -> Operation | None:
        payment_id = self.store.find_by_tran_ref(tran_ref)
        rows = self.ledger.of_payment(payment_id) if payment_id else []
        return next((row for row in rows if row.tran_ref == tran_ref), None)


def _of(row: Operation) -> Returned:
    return Returned(row.payment_id, (row.params.get("asked") or {}).get("return_url"), row.correlation_id)
