import json
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from paytabs.client import GatewayProfile, PayTabsClient
from paytabs.operations import PageRequest, PartyDetails
from paytabs.responses import Answer, Outcome, Transaction
from tests.support.sandbox import PROFILE_ID, SERVER_KEY, Sandbox

AMOUNTS = [("SAR", "115.00"), ("KWD", "1.250"), ("JPY", "1500")]


def ask(**members: Any) -> PageRequest:
    """Make a request with a cart of its own."""
    usual: dict[str, Any] = {
        "cart_id": f"op-{uuid4()}",
        "cart_description": "Contract 1",
        "cart_currency": "SAR",
        "cart_amount": "115.00",
        "return_url": "http://127.0.0.1:1/payments/return",
        "customer_details": PartyDetails(name="Test Buyer", email="buyer@example.test", country="SA"),
    }
    return PageRequest(**(usual | members))


def transaction_of(answer: Answer) -> Transaction:
    """Give an answer's transaction, which has to be there."""
    assert answer.transaction is not None
    return answer.transaction


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[PayTabsClient]:
    """A client of the sandbox's profile."""
    with PayTabsClient(GatewayProfile(PROFILE_ID, SERVER_KEY, sandbox.url), call_timeout_seconds=1.6) as connected:
        yield connected


class TestPage:
    """Making a hosted page."""

    @pytest.mark.parametrize(("currency", "amount"), AMOUNTS)
    def test_made(self, sandbox: Sandbox, client: PayTabsClient, currency: str, amount: str) -> None:
        """The page exists, nothing is charged, and the amount came back as the very decimal sent."""
        request = ask(cart_currency=currency, cart_amount=amount)
        answer = client.request_page(request, correlation_id="run-7")
        page = transaction_of(answer)
        assert (answer.outcome, answer.detail, page.is_page) == (Outcome.SUCCEEDED, "redirect", True)
        assert (page.cart_id, page.cart_amount, page.cart_currency) == (request.cart_id, Decimal(amount), currency)
        assert page.redirect_url is not None
        assert answer.trace is not None
        received = sandbox.requests("/payment/request")[-1]
        assert {name.lower(): value for name, value in received["headers"].items()}["x-correlation-id"] == "run-7"
        assert SERVER_KEY not in json.dumps(received)

    def test_wrong_key(self, sandbox: Sandbox) -> None:
        """Another key is a configuration fault: certain not to have happened."""
        with PayTabsClient(GatewayProfile(PROFILE_ID, "SWRONGKEY0-0000000000-0000000000", sandbox.url)) as stranger:
            answer = stranger.request_page(ask())
        assert (answer.outcome, answer.error_code, answer.http_status) == (Outcome.DID_NOT_HAPPEN, 1, 401)

    def test_duplicate(self, client: PayTabsClient) -> None:
        """The same request at once again is refused as a duplicate, which says that the first one arrived."""
        request = ask()
        assert client.request_page(request).outcome is Outcome.SUCCEEDED
        again = client.request_page(request)
        assert (again.outcome, again.error_code, again.http_status) == (Outcome.UNKNOWN, 4, 409)

    @pytest.mark.parametrize(
        ("fault", "outcome", "detail"),
        [
            ({"kind": "cut_after_accept"}, Outcome.UNKNOWN, "connection_lost"),
            ({"kind": "refused"}, Outcome.UNKNOWN, "connection_lost"),
            ({"kind": "cut_mid_body"}, Outcome.UNKNOWN, "broken_body"),
            ({"kind": "truncated_json"}, Outcome.UNKNOWN, "not_json"),
            ({"kind": "html_200"}, Outcome.UNKNOWN, "not_json"),
            ({"kind": "http_500"}, Outcome.UNKNOWN, "http_5xx"),
            ({"kind": "http_500_json_code"}, Outcome.UNKNOWN, "http_5xx"),
            ({"kind": "http_502_html"}, Outcome.UNKNOWN, "http_5xx"),
            ({"kind": "http_429", "retry_after": 7}, Outcome.UNKNOWN, "http_429"),
            ({"kind": "code", "code": 999}, Outcome.DID_NOT_HAPPEN, "unlisted_code"),
            ({"kind": "code", "code": 206}, Outcome.DID_NOT_HAPPEN, "code_206"),
            ({"kind": "code", "code": 2, "http_status": 404}, Outcome.DID_NOT_HAPPEN, "code_2"),
            ({"kind": "slow", "seconds": 6}, Outcome.UNKNOWN, "timeout"),
            ({"kind": "drip", "part": "headers"}, Outcome.UNKNOWN, "timeout"),
            ({"kind": "drip", "part": "body"}, Outcome.UNKNOWN, "timeout"),
        ],
        ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
    )
    def test_faults(
        self, sandbox: Sandbox, client: PayTabsClient, fault: dict[str, Any], outcome: Outcome, detail: str
    ) -> None:
        """Every mood of the gateway leads to the outcome that is safe, in time, after one send."""
        sandbox.fault("/payment/request", **fault)
        began = time.monotonic()
        answer = client.request_page(ask())
        assert time.monotonic() - began < 5.0
        assert (answer.outcome, answer.detail) == (outcome, detail)
        assert answer.retry_after_seconds == (7.0 if "retry_after" in fault else None)
        assert len(sandbox.requests("/payment/request")) <= 1

    def test_redirect(self, sandbox: Sandbox, client: PayTabsClient) -> None:
        """A redirect is not followed."""
        sandbox.fault("/payment/request", "redirect", location="/payment/query")
        assert client.request_page(ask()).outcome is Outcome.UNKNOWN
        assert sandbox.requests("/payment/query") == []

    def test_lost_answer_is_found(self, sandbox: Sandbox, client: PayTabsClient) -> None:
        """A page whose answer was lost is found by its cart once it has been paid."""
        request = ask()
        sandbox.fault("/payment/request", "cut_after_accept")
        assert client.request_page(request).outcome is Outcome.UNKNOWN
        sandbox.pay(sandbox.ledger()[-1]["tran_ref"], "authorised")
        found = client.query_cart(request.cart_id)
        assert [entry.response_status for entry in found.transactions] == ["A"]


class TestQuery:
    """Asking what became of a page."""

    @pytest.mark.parametrize(
        ("card", "status", "outcome"),
        [
            ("authorised", "A", Outcome.SUCCEEDED),
            ("declined", "D", Outcome.REFUSED),
            ("error", "E", Outcome.REFUSED),
            ("expired", "X", Outcome.REFUSED),
            ("held", "H", Outcome.PENDING),
            ("pending", "P", Outcome.PENDING),
        ],
    )
    def test_paid(self, sandbox: Sandbox, client: PayTabsClient, card: str, status: str, outcome: Outcome) -> None:
        """Asked by reference and by cart, the same status comes back with the same amount."""
        request = ask()
        tran_ref = transaction_of(client.request_page(request)).tran_ref
        sandbox.pay(tran_ref, card)
        answer = client.query_tran(tran_ref)
        paid = transaction_of(answer)
        assert (answer.outcome, paid.response_status, paid.cart_id) == (outcome, status, request.cart_id)
        assert (paid.cart_amount, paid.profile_id) == (Decimal("115.00"), PROFILE_ID)
        assert paid.transaction_time is not None
        listed = client.query_cart(request.cart_id).transactions
        assert [(entry.tran_ref, entry.response_status) for entry in listed] == [(tran_ref, status)]

    @pytest.mark.parametrize("card", ["declined_doubtful", "error_doubtful", "error"])
    def test_bank_check(self, sandbox: Sandbox, client: PayTabsClient, card: str) -> None:
        """A refusal after which money may have moved is marked."""
        tran_ref = transaction_of(client.request_page(ask())).tran_ref
        sandbox.pay(tran_ref, card)
        answer = client.query_tran(tran_ref)
        assert (answer.outcome, transaction_of(answer).bank_check) == (Outcome.REFUSED, True)

    def test_cancelled(self, sandbox: Sandbox, client: PayTabsClient) -> None:
        """A page that its payer left is refused with C."""
        tran_ref = transaction_of(client.request_page(ask())).tran_ref
        sandbox.cancel(tran_ref)
        answer = client.query_tran(tran_ref)
        assert (answer.outcome, transaction_of(answer).response_status) == (Outcome.REFUSED, "C")

    def test_unpaid(self, sandbox: Sandbox, client: PayTabsClient) -> None:
        """A page that nobody has paid yet is pending, or not found: both readings of the open question."""
        request = ask()
        tran_ref = transaction_of(client.request_page(request)).tran_ref
        assert client.query_tran(tran_ref).outcome is Outcome.PENDING
        assert client.query_cart(request.cart_id).detail == "empty"
        sandbox.switch(query_unpaid_page="error", query_cart_shows_unpaid=True)
        assert client.query_tran(tran_ref).detail == "not_found"
        assert [entry.response_status for entry in client.query_cart(request.cart_id).transactions] == ["P"]

    @pytest.mark.parametrize("http_status", [400, 200, 404])
    def test_unknown(self, sandbox: Sandbox, client: PayTabsClient, http_status: int) -> None:
        """What PayTabs does not know is "not found" or an empty list, under each status it may come with."""
        sandbox.switch(code2_http_status=http_status)
        answer = client.query_tran("TST0000000000000")
        assert (answer.outcome, answer.detail) == (Outcome.DID_NOT_HAPPEN, "not_found")
        assert client.query_cart("nobody's").detail == "empty"
        sandbox.switch(query_unknown="error")
        assert client.query_cart("nobody's").detail == "not_found"

    @pytest.mark.parametrize("currency", [currency for currency, _ in AMOUNTS])
    def test_two_decimals(self, sandbox: Sandbox, client: PayTabsClient, currency: str) -> None:
        """Amounts that always come with two decimals, whatever the currency, are read as what they say."""
        sandbox.switch(decimals="two")
        tran_ref = transaction_of(client.request_page(ask(cart_currency=currency, cart_amount=10))).tran_ref
        assert transaction_of(client.query_tran(tran_ref)).cart_amount == Decimal(10)

    @pytest.mark.parametrize("kind", ["http_500", "http_502_html", "http_429", "cut_after_accept", "cut_mid_body"])
    def test_repeated(self, sandbox: Sandbox, client: PayTabsClient, kind: str) -> None:
        """A query that met a passing trouble is asked again within its call."""
        tran_ref = transaction_of(client.request_page(ask())).tran_ref
        sandbox.pay(tran_ref, "authorised")
        sandbox.fault("/payment/query", kind)
        assert client.query_tran(tran_ref).outcome is Outcome.SUCCEEDED
