"""The gateway client behind the gate: every call asks the breaker and the limiter first.

An ask that may not be made now is answered "parked", with the time at which to ask again: its caller waits as for any
answer that does not come. A send takes its passage by itself, since that has to come before it is booked as under way.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from observability.metrics import CALLS_PARKED
from paytabs.answers import PARKED
from paytabs.breaker import Permit
from paytabs.breaker_errors import Parked
from paytabs.breaker_gate import Gate
from paytabs.breaker_rules import Kind
from paytabs.client import PayTabsClient
from paytabs.invoices import InvoicePaidRequest, InvoiceRequest
from paytabs.operations import ChargeRequest, FollowUpRequest, PageRequest
from paytabs.responses import Answer, Outcome


class GatedClient:
    """Calls PayTabs through the gate; its methods are those of `PayTabsClient`.

    Args:
        client: Makes the calls.
        gate: Lets them through.
    """

    def __init__(self, client: PayTabsClient, gate: Gate) -> None:
        self._client, self.gate = client, gate

    @contextmanager
    def passage(self) -> Iterator[Permit]:
        """Wait for leave to make one send, and hold it while it is made; give its answer to the permit's `settle`.

        Raises:
            Parked: Nothing may be sent now; it says when to ask again.
        """
        with self._counted("send") as permit:
            yield permit

    def request_page(self, request: PageRequest, *, not_after: float | None, correlation_id: str | None) -> Answer:
        """Ask for a hosted page, within a passage."""
        return self._client.request_page(request, not_after=not_after, correlation_id=correlation_id)

    def charge(self, request: ChargeRequest, *, not_after: float | None, correlation_id: str | None) -> Answer:
        """Charge without a page, within a passage."""
        return self._client.charge(request, not_after=not_after, correlation_id=correlation_id)

    def follow_up(self, request: FollowUpRequest, *, not_after: float | None, correlation_id: str | None) -> Answer:
        """Capture, void, release or refund, within a passage."""
        return self._client.follow_up(request, not_after=not_after, correlation_id=correlation_id)

    def create_invoice(self, request: InvoiceRequest, *, not_after: float | None, correlation_id: str | None) -> Answer:
        """Ask for an invoice, within a passage."""
        return self._client.create_invoice(request, not_after=not_after, correlation_id=correlation_id)

    def query_tran(self, tran_ref: str, *, correlation_id: str | None = None) -> Answer:
        """Ask for one transaction."""
        return self._through("query", lambda: self._client.query_tran(tran_ref, correlation_id=correlation_id))

    def query_cart(self, cart_id: str, *, correlation_id: str | None = None) -> Answer:
        """Ask for the transactions of a cart."""
        return self._through("query", lambda: self._client.query_cart(cart_id, correlation_id=correlation_id))

    def query_token(self, token: str, *, correlation_id: str | None = None) -> Answer:
        """Ask which card is behind a token."""
        return self._through("query", lambda: self._client.query_token(token, correlation_id=correlation_id))

    def invoice_status(self, invoice_id: int, *, correlation_id: str | None = None) -> Answer:
        """Ask what became of an invoice."""
        return self._through("query", lambda: self._client.invoice_status(invoice_id, correlation_id=correlation_id))

    def delete_token(self, token: str, *, correlation_id: str | None = None) -> Answer:
        """Delete a token; harmless to repeat."""
        return self._through("send", lambda: self._client.delete_token(token, correlation_id=correlation_id))

    def cancel_invoice(self, invoice_id: int, *, correlation_id: str | None = None) -> Answer:
        """Cancel an invoice; harmless to repeat."""
        return self._through("send", lambda: self._client.cancel_invoice(invoice_id, correlation_id=correlation_id))

    def send_invoice_sms(self, invoice_id: int, phone: str, *, correlation_id: str | None = None) -> Answer:
        """Send the link of an invoice to a telephone, once."""
        return self._through(
            "send", lambda: self._client.send_invoice_sms(invoice_id, phone, correlation_id=correlation_id)
        )

    def mark_invoice_paid(
        self, request: InvoicePaidRequest, *, not_after: float | None, correlation_id: str | None
    ) -> Answer:
        """Say that an invoice was paid outside PayTabs, once."""
        return self._through(
            "send",
            lambda: self._client.mark_invoice_paid(request, not_after=not_after, correlation_id=correlation_id),
        )

    def close(self) -> None:
        """Close the client's connections."""
        self._client.close()

    def _through(self, kind: Kind, call: Callable[[], Answer]) -> Answer:
        try:
            with self._counted(kind) as permit:
                answer = call()
                permit.settle(answer)
        except Parked as parked:
            return Answer(Outcome.DID_NOT_HAPPEN, PARKED, retry_after_seconds=parked.retry_after_seconds)
        return answer

    @contextmanager
    def _counted(self, kind: Kind) -> Iterator[Permit]:
        try:
            with self.gate.passage(kind) as permit:
                yield permit
        except Parked as parked:
            CALLS_PARKED.labels(kind=kind, reason=type(parked).__name__).inc()
            raise
