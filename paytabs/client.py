"""The gateway client: every operation of PayTabs that the system uses, each ending in an `Answer` within its deadline.

What moves money, or brings about that somebody may, is sent once, behind the fence and on a connection of its own.
What does no harm when it arrives twice is repeated within its call. An answer about something else than was asked is
no answer.
"""

from collections.abc import Callable
from typing import Self

from paytabs.about import about, cancelled, deleted, invoice_of, page_of
from paytabs.calling import Caller, CallTimes, GatewayProfile, at_once
from paytabs.invoices import InvoicePaidRequest, InvoiceRequest, sms_members
from paytabs.operations import ChargeRequest, FollowUpRequest, PageRequest
from paytabs.references import invoice_number, reference, token_reference
from paytabs.responses import Answer, Call
from paytabs.shapes import PayerRequest
from paytabs.writing import write_json

__all__ = ["GatewayProfile", "PayTabsClient"]

#: Follow-ups that give held money back: PayTabs refuses the second one.
_FREEING = frozenset(("void", "release"))


class PayTabsClient:
    """Calls PayTabs for one profile. Thread-safe; a forked process needs one of its own.

    No method raises for trouble with the gateway; a request that could not be sent as it is raises `InvalidRequest`.
    Every method takes a `correlation_id`, ours, which is sent along in a header. Those with a `not_after` write nothing
    from that `time.monotonic()` value on.
    """

    def __init__(
        self,
        profile: GatewayProfile,
        *,
        connect_timeout_seconds: float = 3.0,
        call_timeout_seconds: float = 10.0,
        ca_bundle: str | None = None,
        turn: Callable[[], float] = at_once,
    ) -> None:
        """Prepare the client; nothing is sent.

        Args:
            profile: The account.
            connect_timeout_seconds: For name, connection and TLS handshake together.
            call_timeout_seconds: For a whole call, a query's repetitions included.
            ca_bundle: Certificates to trust instead of the public ones.
            turn: How many seconds to wait before a query is repeated within its call; raises `Parked` where it may not.
        """
        self._profile_id = profile.profile_id
        self._caller = Caller(profile, CallTimes(connect_timeout_seconds, call_timeout_seconds), ca_bundle, turn)

    def request_page(
        self, request: PageRequest, *, not_after: float | None = None, correlation_id: str | None = None
    ) -> Answer:
        """Ask for a hosted page, once.

        Returns:
            SUCCEEDED with a transaction that carries `redirect_url`; DID_NOT_HAPPEN when that is certain; else UNKNOWN
            or what a completed answer said. One that was `not_taken` is UNKNOWN too.
        """
        answer = self._request(request, Call.REQUEST, not_after, correlation_id)
        return page_of(about(answer, cart_id=request.cart_id), **self._terms(request))

    def charge(
        self, request: ChargeRequest, *, not_after: float | None = None, correlation_id: str | None = None
    ) -> Answer:
        """Charge a stored card, or what was typed into PayTabs' fields on our page, once.

        Returns:
            SUCCEEDED only when it was authorised. PENDING with the detail "redirect" when the payer has to act first:
            nothing is charged yet, and the transaction carries `redirect_url`. REFUSED for a decline, whose
            transaction may have `bank_check` set; else as for a page.
        """
        answer = self._request(request, Call.CHARGE, not_after, correlation_id)
        return page_of(about(answer, cart_id=request.cart_id), **self._terms(request))

    def follow_up(
        self, request: FollowUpRequest, *, not_after: float | None = None, correlation_id: str | None = None
    ) -> Answer:
        """Capture, void, release or refund, once.

        Returns:
            SUCCEEDED with the new transaction; PENDING for a refund that waits for approval: it is polled by its
            `tran_ref`, never asked for again; REFUSED with the status and code, though PayTabs answers 200; else as for
            a page.
        """
        call = Call.FREEING if request.tran_type in _FREEING else Call.FOLLOW_UP
        answer = self._request(request, call, not_after, correlation_id)
        return about(answer, cart_id=request.cart_id, previous_tran_ref=request.tran_ref)

    def query_tran(self, tran_ref: str, *, correlation_id: str | None = None) -> Answer:
        """Ask for one transaction.

        Returns:
            The transaction, and the outcome its status stands for; DID_NOT_HAPPEN with the detail "not_found" when
            PayTabs does not know the reference.
        """
        members = {"tran_ref": reference(tran_ref, "tran_ref")}
        answer, _ = self._caller.ask("/payment/query", members, Call.QUERY_TRAN, correlation_id)
        return about(answer, **members)

    def query_cart(self, cart_id: str, *, correlation_id: str | None = None) -> Answer:
        """Ask for the transactions of a cart.

        Returns:
            SUCCEEDED with the transactions, newest first, and the detail "found" or "empty"; PayTabs may answer
            "not_found" (DID_NOT_HAPPEN) instead of an empty list.
        """
        members = {"cart_id": reference(cart_id, "cart_id")}
        answer, _ = self._caller.ask("/payment/query", members, Call.QUERY_CART, correlation_id)
        return about(answer, **members)

    def query_token(self, token: str, *, correlation_id: str | None = None) -> Answer:
        """Ask which card is behind a token.

        Returns:
            SUCCEEDED with the transaction that made the token and the card's masked number, but no status;
            DID_NOT_HAPPEN with the detail "not_found".
        """
        members = {"token": token_reference(token)}
        answer, _ = self._caller.ask("/payment/token", members, Call.QUERY_TOKEN, correlation_id)
        return about(answer, **members)

    def delete_token(self, token: str, *, correlation_id: str | None = None) -> Answer:
        """Delete a token; harmless to repeat.

        Returns:
            SUCCEEDED with the detail "deleted", or "already_gone" when an earlier copy of this very call did it;
            DID_NOT_HAPPEN with the detail "not_found": after an earlier deletion of unknown outcome that is success.
        """
        members = {"token": token_reference(token)}
        answer, in_doubt = self._caller.ask("/payment/token/delete", members, Call.DELETE_TOKEN, correlation_id)
        return deleted(answer, in_doubt=in_doubt)

    def create_invoice(
        self, request: InvoiceRequest, *, not_after: float | None = None, correlation_id: str | None = None
    ) -> Answer:
        """Ask for an invoice, once.

        Returns:
            SUCCEEDED with `invoice_id` and `invoice_link`; its payment is found by `cart_id`, or by `invoice_status`.
        """
        body = request.to_body(self._profile_id)
        return self._caller.send("/payment/invoice/new", body, Call.CREATE_INVOICE, not_after, correlation_id)

    def invoice_status(self, invoice_id: int, *, correlation_id: str | None = None) -> Answer:
        """Ask what became of an invoice.

        Returns:
            SUCCEEDED when it is paid and its payment stands; PENDING while it may be paid; REFUSED when it will not be,
            or its payment was voided. A transaction in it has a reference and a status only: query it for the rest.
        """
        members = {"invoice_id": invoice_number(invoice_id)}
        answer, _ = self._caller.ask("/payment/invoice/status", members, Call.INVOICE_STATUS, correlation_id)
        return invoice_of(answer, invoice_id)

    def cancel_invoice(self, invoice_id: int, *, correlation_id: str | None = None) -> Answer:
        """Cancel an invoice; harmless to repeat.

        Returns:
            SUCCEEDED with the detail "cancelled"; DID_NOT_HAPPEN with a code when PayTabs refuses, and UNKNOWN when an
            earlier copy of this very call may have done it: ask for its status.
        """
        members = {"invoice_id": invoice_number(invoice_id)}
        answer, in_doubt = self._caller.ask("/payment/invoice/cancel", members, Call.CANCEL_INVOICE, correlation_id)
        return cancelled(answer, invoice_id, in_doubt=in_doubt)

    def send_invoice_sms(self, invoice_id: int, phone: str, *, correlation_id: str | None = None) -> Answer:
        """Send the link of an invoice to a telephone, once: nobody wants it twice.

        Returns:
            SUCCEEDED with the detail "sent".
        """
        path = f"/payment/invoice/{invoice_number(invoice_id)}/sms"
        body = write_json({"profile_id": self._profile_id, **sms_members(phone)})
        return invoice_of(self._caller.send(path, body, Call.SEND_INVOICE_SMS, None, correlation_id), invoice_id)

    def mark_invoice_paid(
        self, request: InvoicePaidRequest, *, not_after: float | None = None, correlation_id: str | None = None
    ) -> Answer:
        """Say that an invoice was paid outside PayTabs, once.

        Returns:
            SUCCEEDED with the transaction PayTabs booked for it, which has a reference and an amount but no status.
        """
        body = request.to_body(self._profile_id)
        answer = self._caller.send("/payment/invoice/paid", body, Call.MARK_INVOICE_PAID, not_after, correlation_id)
        return invoice_of(answer, request.invoice_id)

    def close(self) -> None:
        """Close the pooled connections."""
        self._caller.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _terms(self, request: PayerRequest) -> dict[str, object]:
        """Return what a page has to agree with."""
        terms = {"cart_amount": request.cart_amount, "cart_currency": request.cart_currency}
        return {**terms, "profile_id": self._profile_id}

    def _request(
        self,
        request: PageRequest | ChargeRequest | FollowUpRequest,
        call: Call,
        not_after: float | None,
        correlation_id: str | None,
    ) -> Answer:
        return self._caller.send("/payment/request", request.to_body(self._profile_id), call, not_after, correlation_id)
