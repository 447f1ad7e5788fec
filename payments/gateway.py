"""The calls that the life of a payment makes; `paytabs.gated.GatedClient` is the real one.

Those with a `not_after` write nothing to the socket after that moment (monotonic seconds). A query that may not be made
now is answered "parked"; requests for pages, charges, follow-ups and invoices are made within a `passage`.
"""

from contextlib import AbstractContextManager
from typing import Protocol

from paytabs.invoices import InvoicePaidRequest, InvoiceRequest
from paytabs.operations import ChargeRequest, FollowUpRequest, PageRequest
from paytabs.responses import Answer


class Permit(Protocol):
    """Leave to make one call."""

    def settle(self, answer: Answer) -> None:
        """Tell what became of the call."""


class CardGateway(Protocol):
    """The calls about stored cards."""

    def query_token(self, token: str, *, correlation_id: str | None = None) -> Answer:
        """Ask which card is behind a token."""

    def delete_token(self, token: str, *, correlation_id: str | None = None) -> Answer:
        """Delete a token."""


class InvoiceGateway(Protocol):
    """The calls about invoices."""

    def create_invoice(self, request: InvoiceRequest, *, not_after: float | None, correlation_id: str | None) -> Answer:
        """Ask for an invoice."""

    def invoice_status(self, invoice_id: int, *, correlation_id: str | None = None) -> Answer:
        """Ask what became of an invoice."""

    def cancel_invoice(self, invoice_id: int, *, correlation_id: str | None = None) -> Answer:
        """Cancel an invoice."""

    def send_invoice_sms(self, invoice_id: int, phone: str, *, correlation_id: str | None = None) -> Answer:
        """Send an invoice's link to a telephone."""

    def mark_invoice_paid(
        self, request: InvoicePaidRequest, *, not_after: float | None, correlation_id: str | None
    ) -> Answer:
        """Say that an invoice was paid outside PayTabs."""


class Gateway(CardGateway, InvoiceGateway, Protocol):
    """Everything that is asked of PayTabs."""

    def passage(self) -> AbstractContextManager[Permit]:
        """Wait for leave to make one request; raises `paytabs.breaker_errors.Parked` when it may not be made now."""

    def request_page(self, request: PageRequest, *, not_after: float | None, correlation_id: str | None) -> Answer:
        """Ask for a hosted page."""

    def charge(self, request: ChargeRequest, *, not_after: float | None, correlation_id: str | None) -> Answer:
        """Charge without a page."""

    def follow_up(self, request: FollowUpRequest, *, not_after: float | None, correlation_id: str | None) -> Answer:
        """Capture, void, release or refund."""

    def query_tran(self, tran_ref: str, *, correlation_id: str | None = None) -> Answer:
        """Ask what became of a transaction."""

    def query_cart(self, cart_id: str, *, correlation_id: str | None = None) -> Answer:
        """Ask which transactions a cart has."""
