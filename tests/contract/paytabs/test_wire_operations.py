import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from paytabs.client import PayTabsClient
from paytabs.errors import InvalidRequest
from paytabs.invoices import InvoicePaidRequest, InvoiceRequest
from paytabs.operations import FollowUpRequest, ManagedFormRequest, PageRequest, TokenChargeRequest
from paytabs.responses import Answer, Outcome

CART = {"cart_id": "c-1", "cart_description": "d", "cart_currency": "SAR", "cart_amount": "115.00"}
REFUND = FollowUpRequest(**CART, tran_type="refund", tran_ref="T1")
TOKEN_CHARGE = TokenChargeRequest(**CART, tran_class="recurring", token="2C46")
MANAGED_FORM = ManagedFormRequest(**CART, payment_token="T0K3N")
INVOICE = InvoiceRequest(**CART, invoice={"line_items": [{"sku": "A"}]})
PAID = InvoicePaidRequest(
    invoice_id=7, invoice_currency="SAR", invoice_total="1", pay_method="cash", pay_description="desk"
)

Send = Callable[..., Answer]

#: Everything that moves money, or brings about that somebody may: its path and how to make it.
SENDS: dict[str, tuple[str, Callable[[PayTabsClient], Send]]] = {
    "page": ("/payment/request", lambda c: lambda **o: c.request_page(PageRequest(**CART), **o)),
    "token": ("/payment/request", lambda c: lambda **o: c.charge(TOKEN_CHARGE, **o)),
    "managed_form": ("/payment/request", lambda c: lambda **o: c.charge(MANAGED_FORM, **o)),
    "refund": ("/payment/request", lambda c: lambda **o: c.follow_up(REFUND, **o)),
    "invoice": ("/payment/invoice/new", lambda c: lambda **o: c.create_invoice(INVOICE, **o)),
    "paid": ("/payment/invoice/paid", lambda c: lambda **o: c.mark_invoice_paid(PAID, **o)),
}

#: Everything that does no harm when it arrives twice: its path, its members and how to make it.
ASKS: dict[str, tuple[str, dict[str, Any], Callable[[PayTabsClient], Send]]] = {
    "tran": ("/payment/query", {"tran_ref": "T1"}, lambda c: lambda **o: c.query_tran("T1", **o)),
    "cart": ("/payment/query", {"cart_id": "c-1"}, lambda c: lambda **o: c.query_cart("c-1", **o)),
    "token": ("/payment/token", {"token": "2C46"}, lambda c: lambda **o: c.query_token("2C46", **o)),
    "delete": ("/payment/token/delete", {"token": "2C46"}, lambda c: lambda **o: c.delete_token("2C46", **o)),
    "status": ("/payment/invoice/status", {"invoice_id": 7}, lambda c: lambda **o: c.invoice_status(7, **o)),
    "cancel": ("/payment/invoice/cancel", {"invoice_id": 7}, lambda c: lambda **o: c.cancel_invoice(7, **o)),
}


def verdict(answer: Answer) -> tuple[Outcome, str]:
    """Give what a test compares."""
    return answer.outcome, answer.detail


def received(gateway: Any) -> tuple[list[bytes], dict[str, Any]]:
    """Give the first request's head, line by line, and its body."""
    head, _, rest = bytes(gateway.received[0]).partition(b"\r\n\r\n")
    body, _ = json.JSONDecoder().raw_decode(rest.decode())
    return head.split(b"\r\n"), body


class TestSends:
    """What may happen only once."""

    @pytest.mark.parametrize("name", SENDS)
    def test_on_the_wire(self, bench: Any, name: str) -> None:
        """Each goes to its path, with the profile, the correlation id and a connection of its own."""
        path, make = SENDS[name]
        gateway = bench.answering(bench.http_answer(b"{}"))
        send = make(bench.client(gateway.url))
        for _ in range(2):
            send(correlation_id="run-1")
        assert len(gateway.received) == 2
        lines, body = received(gateway)
        assert lines[0] == b"POST " + path.encode() + b" HTTP/1.1"
        assert {b"Connection: close", b"X-Correlation-Id: run-1"} <= set(lines)
        assert body["profile_id"] == 987654

    @pytest.mark.parametrize("name", SENDS)
    def test_fence(self, bench: Any, name: str) -> None:
        """Behind the fence not a single byte is written."""
        gateway = bench.answering(bench.http_answer(b"{}"))
        answered = SENDS[name][1](bench.client(gateway.url))(not_after=time.monotonic() - 0.001)
        gateway.settle()
        assert verdict(answered) == (Outcome.DID_NOT_HAPPEN, "fence_expired")
        assert gateway.received == [b""]

    @pytest.mark.parametrize("name", SENDS)
    @pytest.mark.parametrize("trouble", ["500 Oops", "429 Too Many Requests", "closed", "html"])
    def test_never_sent_twice(self, bench: Any, name: str, trouble: str) -> None:
        """No trouble makes the client send again, and none is taken for an answer."""
        answers = {"closed": b"", "html": bench.http_answer(b"<html>")}
        answer = answers.get(trouble, bench.http_answer(b'{"code":2,"message":"m"}', trouble, "Retry-After: 0"))
        gateway = bench.gateway(lambda server, connection: (server.read_request(connection), connection.send(answer)))
        assert SENDS[name][1](bench.client(gateway.url))().outcome is Outcome.UNKNOWN
        gateway.settle()
        assert len(gateway.received) == 1

    @pytest.mark.parametrize("name", SENDS)
    def test_refused_connection(self, bench: Any, name: str) -> None:
        """Nobody listens: certain not to have happened."""
        answered = SENDS[name][1](bench.client(f"http://127.0.0.1:{bench.nobody()}"))()
        assert verdict(answered) == (Outcome.DID_NOT_HAPPEN, "connect_refused")

    def test_sms(self, bench: Any) -> None:
        """An SMS is sent once as well, to the path of its invoice."""
        gateway = bench.answering(bench.http_answer(b"", "503 Busy"), bench.http_answer(b'{"message":"sent"}'))
        client = bench.client(gateway.url)
        assert client.send_invoice_sms(7, "0500000000").outcome is Outcome.UNKNOWN
        assert len(gateway.received) == 1
        assert verdict(client.send_invoice_sms(7, "0500000000")) == (Outcome.SUCCEEDED, "sent")
        lines, body = received(gateway)
        assert lines[0] == b"POST /payment/invoice/7/sms HTTP/1.1"
        assert body == {"profile_id": 987654, "customer_details": {"phone": "0500000000"}}


class TestAsks:
    """What may arrive twice."""

    @pytest.mark.parametrize("name", ASKS)
    def test_on_the_wire(self, bench: Any, name: str) -> None:
        """Each goes to its path on one kept connection, and is repeated within its call after a hiccup."""
        path, members, make = ASKS[name]
        gateway = bench.answering(bench.http_answer(b"", "503 Busy"), bench.http_answer(b'{"code":1,"message":"m"}'))
        answered = make(bench.client(gateway.url))(correlation_id="run-1")
        assert answered.error_code == 1
        assert len(gateway.received) == 1
        lines, body = received(gateway)
        assert lines[0] == b"POST " + path.encode() + b" HTTP/1.1"
        assert {b"Connection: keep-alive", b"X-Correlation-Id: run-1"} <= set(lines)
        assert body == {"profile_id": 987654, **members}
        assert bytes(gateway.received[0]).count(b"POST ") == 2

    @pytest.mark.parametrize(
        ("last", "expected"),
        [
            (b'{"code":0,"message":"Token deleted"}', (Outcome.SUCCEEDED, "deleted")),
            (b'{"code":2,"message":"Invalid token"}', (Outcome.SUCCEEDED, "already_gone")),
            (b'{"code":1,"message":"Authentication failed"}', (Outcome.UNKNOWN, "earlier_copy_unknown")),
        ],
    )
    def test_delete_in_doubt(self, bench: Any, last: bytes, expected: tuple[Outcome, str]) -> None:
        """After a copy of unknown outcome "not found" means gone, and another refusal proves nothing any more."""
        gateway = bench.answering(bench.http_answer(b"", "503 Busy"), bench.http_answer(last))
        assert verdict(bench.client(gateway.url).delete_token("2C46")) == expected

    @pytest.mark.parametrize(
        ("last", "expected"),
        [
            (b'{"code":"0","message":"m"}', (Outcome.SUCCEEDED, "cancelled")),
            (b'{"code":2,"message":"m"}', (Outcome.UNKNOWN, "earlier_copy_unknown")),
        ],
    )
    def test_cancel_in_doubt(self, bench: Any, last: bytes, expected: tuple[Outcome, str]) -> None:
        """A refusal after a copy of unknown outcome may mean cancelled as well as paid."""
        gateway = bench.answering(bench.http_answer(b"", "503 Busy"), bench.http_answer(last))
        answered = bench.client(gateway.url).cancel_invoice(7)
        assert (verdict(answered), answered.invoice_id) == (expected, 7)

    def test_no_doubt(self, bench: Any) -> None:
        """A refusal at the first try is a refusal."""
        gateway = bench.answering(bench.http_answer(b'{"code":2,"message":"m"}', "400 Bad Request"))
        client = bench.client(gateway.url)
        assert verdict(client.delete_token("2C46")) == (Outcome.DID_NOT_HAPPEN, "not_found")
        assert verdict(client.cancel_invoice(7)) == (Outcome.DID_NOT_HAPPEN, "code_2")


class TestAbout:
    """An answer about something else is not taken for ours."""

    @pytest.mark.parametrize(
        ("name", "body", "detail"),
        [
            ("refund", {"tran_ref": "T2", "cart_id": "c-9", "previous_tran_ref": "T1"}, "other_cart_id"),
            ("refund", {"tran_ref": "T2", "cart_id": "c-1", "previous_tran_ref": "T9"}, "other_previous_tran_ref"),
            ("token", {"tran_ref": "T2", "cart_id": "c-9"}, "other_cart_id"),
            ("managed_form", {"tran_ref": "T2", "cart_id": "c-9"}, "other_cart_id"),
            ("paid", {"tran_ref": "T2", "invoice_id": 8}, "other_invoice_id"),
        ],
    )
    def test_sends(self, bench: Any, name: str, body: dict[str, Any], detail: str) -> None:
        """A success for another cart, original or invoice leaves ours unknown."""
        answer = json.dumps(body | {"payment_result": {"response_status": "A"}}).encode()
        gateway = bench.answering(bench.http_answer(answer))
        answered = SENDS[name][1](bench.client(gateway.url))()
        assert (verdict(answered), answered.transaction) == ((Outcome.UNKNOWN, detail), None)

    def test_own_predecessor(self, bench: Any) -> None:
        """A charge of a stored card names the transaction that made the token, which is none of ours to judge."""
        body = b'{"tran_ref":"T2","cart_id":"c-1","previous_tran_ref":"T9","payment_result":{"response_status":"A"}}'
        gateway = bench.answering(bench.http_answer(body))
        assert bench.client(gateway.url).charge(TOKEN_CHARGE).outcome is Outcome.SUCCEEDED

    def test_asks(self, bench: Any) -> None:
        """Nor is another token's card or another invoice's status."""
        card = b'{"tran_ref":"T1","token":"OTHER","payment_info":{"card_scheme":"Visa"}}'
        gateway = bench.answering(bench.http_answer(card))
        assert verdict(bench.client(gateway.url).query_token("2C46")) == (Outcome.UNKNOWN, "other_token")
        gateway = bench.answering(bench.http_answer(b'{"invoice_id":8,"invoice_status":"paid"}'))
        answered = bench.client(gateway.url).invoice_status(7)
        assert (verdict(answered), answered.invoice_status) == ((Outcome.UNKNOWN, "other_invoice_id"), None)

    @pytest.mark.parametrize("number", [0, -1, True, "7", None, 7.0])
    def test_no_invoice(self, bench: Any, number: Any) -> None:
        """A call about no invoice is our own mistake and is not sent."""
        client = bench.client("http://127.0.0.1:1")
        calls = (client.invoice_status, client.cancel_invoice, lambda value: client.send_invoice_sms(value, "05"))
        for call in calls:
            with pytest.raises(InvalidRequest) as caught:
                call(number)
            assert caught.value.field == "invoice_id"

    @pytest.mark.parametrize("token", ["", None, 5, "4111111111111111"])
    def test_no_token(self, bench: Any, token: Any) -> None:
        """Nor is one about no token, or about a card's own number."""
        client = bench.client("http://127.0.0.1:1")
        for call in (client.query_token, client.delete_token):
            with pytest.raises(InvalidRequest) as caught:
                call(token)
            assert caught.value.field == "token"
