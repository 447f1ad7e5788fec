"""The gateway client behind the gate: every call asks the breaker and the limiter first.

An ask that may not be made now is answered "parked", with the time at which to ask again: its caller waits as for any
answer that does not come. A send takes its passage by itself, since that has to come before it is booked as under way.
Whoever watches the settings is told of every answer, and an act refused for the key is followed by one question.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from observability.metrics import CALLS_PARKED
from paytabs.answers import PARKED
from paytabs.breaker import Permit
from paytabs.breaker_errors import Parked
from paytabs.breaker_gate import PROBE_CART_ID, Gate
from paytabs.breaker_rules import Kind
from paytabs.breaker_verdict import names_wrong_settings
from paytabs.client import PayTabsClient
from paytabs.invoices import InvoicePaidRequest, InvoiceRequest
from paytabs.operations import ChargeRequest, FollowUpRequest, PageRequest
from paytabs.responses import Answer, Call, Outcome

#: Told of each answer, with what was asked.
Hears = Callable[[Call, Answer], None]

#: Calls that move nothing.
_LOOK_UPS = frozenset((Call.QUERY_TRAN, Call.QUERY_CART, Call.QUERY_TOKEN, Call.INVOICE_STATUS))

_log = structlog.get_logger(__name__)


def unheard(call: Call, answer: Answer) -> None:
    """Tell nobody."""
    del call, answer


def heard(hears: Hears, call: Call, answer: Answer) -> None:
    """Tell whoever hears of answers; a failure of theirs is logged."""
    try:
        hears(call, answer)
    except Exception:  # noqa: BLE001 - whatever it raises, what PayTabs said has to be booked
        _log.exception("answer_unheard", call=call.value)


class GatedClient:
    """Calls PayTabs through the gate; its methods are those of `PayTabsClient`.

    Args:
        client: Makes the calls.
        gate: Lets them through.
        hears: Told of each answer.
    """

    def __init__(self, client: PayTabsClient, gate: Gate, hears: Hears = unheard) -> None:
        self._client, self.gate, self._hears = client, gate, hears

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
        answer = self._client.request_page(request, not_after=not_after, correlation_id=correlation_id)
        return self._heard(Call.REQUEST, answer)

    def charge(self, request: ChargeRequest, *, not_after: float | None, correlation_id: str | None) -> Answer:
        """Charge without a page, within a passage."""
        answer = self._client.charge(request, not_after=not_after, correlation_id=correlation_id)
        return self._heard(Call.CHARGE, answer)

    def follow_up(self, request: FollowUpRequest, *, not_after: float | None, correlation_id: str | None) -> Answer:
        """Capture, void, release or refund, within a passage."""
        answer = self._client.follow_up(request, not_after=not_after, correlation_id=correlation_id)
        return self._heard(Call.FOLLOW_UP, answer)

    def create_invoice(self, request: InvoiceRequest, *, not_after: float | None, correlation_id: str | None) -> Answer:
        """Ask for an invoice, within a passage."""
        answer = self._client.create_invoice(request, not_after=not_after, correlation_id=correlation_id)
        return self._heard(Call.CREATE_INVOICE, answer)

    def query_tran(self, tran_ref: str, *, correlation_id: str | None = None) -> Answer:
        """Ask for one transaction."""
        return self._through(Call.QUERY_TRAN, lambda: self._client.query_tran(tran_ref, correlation_id=correlation_id))

    def query_cart(self, cart_id: str, *, correlation_id: str | None = None) -> Answer:
        """Ask for the transactions of a cart."""
        return self._through(Call.QUERY_CART, lambda: self._client.query_cart(cart_id, correlation_id=correlation_id))

    def query_token(self, token: str, *, correlation_id: str | None = None) -> Answer:
        """Ask which card is behind a token."""
        return self._through(Call.QUERY_TOKEN, lambda: self._client.query_token(token, correlation_id=correlation_id))

    def invoice_status(self, invoice_id: int, *, correlation_id: str | None = None) -> Answer:
        """Ask what became of an invoice."""
        return self._through(
            Call.INVOICE_STATUS, lambda: self._client.invoice_status(invoice_id, correlation_id=correlation_id)
        )

    def delete_token(self, token: str, *, correlation_id: str | None = None) -> Answer:
        """Delete a token; harmless to repeat."""
        return self._through(Call.DELETE_TOKEN, lambda: self._client.delete_token(token, correlation_id=correlation_id))

    def cancel_invoice(self, invoice_id: int, *, correlation_id: str | None = None) -> Answer:
        """Cancel an invoice; harmless to repeat."""
        return self._through(
            Call.CANCEL_INVOICE, lambda: self._client.cancel_invoice(invoice_id, correlation_id=correlation_id)
        )

    def send_invoice_sms(self, invoice_id: int, phone: str, *, correlation_id: str | None = None) -> Answer:
        """Send the link of an invoice to a telephone, once."""
        return self._through(
            Call.SEND_INVOICE_SMS,
            lambda: self._client.send_invoice_sms(invoice_id, phone, correlation_id=correlation_id),
        )

    def mark_invoice_paid(
        self, request: InvoicePaidRequest, *, not_after: float | None, correlation_id: str | None
    ) -> Answer:
        """Say that an invoice was paid outside PayTabs, once."""
        return self._through(
            Call.MARK_INVOICE_PAID,
            lambda: self._client.mark_invoice_paid(request, not_after=not_after, correlation_id=correlation_id),
        )

    def close(self) -> None:
        """Close the client's connections."""
        self._client.close()

    def _through(self, call: Call, make: Callable[[], Answer]) -> Answer:
        try:
            with self._counted("query" if call in _LOOK_UPS else "send") as permit:
                answer = make()
                permit.settle(answer)
        except Parked as parked:
            return Answer(Outcome.DID_NOT_HAPPEN, PARKED, retry_after_seconds=parked.retry_after_seconds)
        if call not in _LOOK_UPS and names_wrong_settings(answer):
            self.query_cart(PROBE_CART_ID)
        return self._heard(call, answer)

    def _heard(self, call: Call, answer: Answer) -> Answer:
        heard(self._hears, call, answer)
        return answer

    @contextmanager
    def _counted(self, kind: Kind) -> Iterator[Permit]:
        try:
            with self.gate.passage(kind) as permit:
                yield permit
        except Parked as parked:
            CALLS_PARKED.labels(kind=kind, reason=type(parked).__name__).inc()
            raise
