import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from paytabs.client import GatewayProfile, PayTabsClient
from paytabs.errors import MalformedBody
from paytabs.operations import PageRequest
from paytabs.responses import Outcome, Transaction, parse_notification
from paytabs.signature import verify_body
from tests.contract.paytabs.shop import PATIENCE_SECONDS, Shop, has_status, transaction_of, until
from tests.support.sandbox import PROFILE_ID, SERVER_KEY, Sandbox

#: A server key before a rotation.
OLD_KEY = "SOLDKEY000-AAAA2222BB-CCCC3333DD"

#: Every switch of the sandbox, and where the client is tried under its settings: here, in a neighbouring file, or
#: nowhere, because it only sets how fast, how often or for whom something happens that is tried anyway.
TRIED: dict[str, str] = {
    "query_unpaid_page": "test_sandbox",
    "query_cart_shows_unpaid": "test_sandbox",
    "query_dead_page": "test_page_life",
    "query_dead_page_at_once": "test_page_life",
    "page_finish": "test_page_life",
    "page_finish_seconds": "test_page_life",
    "method_finish_seconds": "test_page_life",
    "dead_page_notices": "test_page_life",
    "not_found_code": "test_page_life",
    "query_unknown": "test_sandbox",
    "server_key_kind": "test_open_questions",
    "alt_currency_rate": "test_open_questions",
    "notice_extras": "test_open_questions",
    "refused_currencies": "test_open_questions",
    "query_lag_seconds": "test_open_questions",
    "duplicate_filter": "test_open_questions",
    "duplicate_fields": "test_open_questions",
    "duplicate_window_seconds": "test_open_questions",
    "duplicate_filter_followups": "test_followups",
    "refused_counts_for_filter": "test_open_questions",
    "followup_notices": "test_open_questions",
    "refused_followup_notices": "test_open_questions",
    "notify_callback": "test_open_questions",
    "notify_ipn": "test_open_questions",
    "notice_order": "test_open_questions",
    "notice_delay_seconds": "speed",
    "ipn_url": "test_open_questions",
    "retry_count": "speed",
    "retry_base_seconds": "speed",
    "retry_factor": "speed",
    "retry_scale": "speed",
    "delivery_timeout_seconds": "speed",
    "expiry_reference": "test_open_questions",
    "refund_approval": "test_followups",
    "refund_resolution": "test_followups",
    "void_changes_original": "test_followups",
    "full_refund_changes_original": "test_followups",
    "partial_void": "test_followups",
    "capture_reported_as": "test_open_questions",
    "void_after_capture": "test_followups",
    "void_of_sale": "test_followups",
    "followup_refusals": "test_followups",
    "code2_http_status": "test_stored_cards",
    "decimals": "test_open_questions",
    "page_attempts": "test_open_questions",
    "url_rules": "test_open_questions",
    "strict_ipn": "test_open_questions",
    "cut_rate": "test_open_questions",
    "error_rate": "test_open_questions",
    "throttle_rate": "test_open_questions",
    "slow_rate": "test_open_questions",
    "drip_rate": "test_open_questions",
    "slow_seconds": "test_open_questions",
    "drip_interval_seconds": "speed",
    "retry_after_seconds": "test_open_questions",
    "random_faults_on": "test_open_questions",
    "notice_drop_rate": "delivery",
    "notice_duplicate_rate": "delivery",
    "notice_reorder_rate": "delivery",
    "random_seed": "speed",
    "notice_key": "test_open_questions",
    "final_invoices": "test_bills",
    "invoice_cancel_code": "test_bills",
    "stored_card_with_payer": "test_stored_cards",
    "method_flags": "test_open_questions",
    "amount_cap": "test_stored_cards",
    "merchant_balance": "test_followups",
}


class TestEverySwitch:
    """No open question is forgotten."""

    def test_tried(self, sandbox: Sandbox) -> None:
        """Every switch of the sandbox stands in the table, so that a new one asks for its test."""
        assert set(sandbox.switches()) == set(TRIED)
        for switch, file in TRIED.items():
            if file.startswith("test_"):
                assert switch in (Path(__file__).parent / f"{file}.py").read_text(), switch


class TestProfile:
    """Envelopes that a profile earns, not a request."""

    def test_currency(self, shop: Shop) -> None:
        """A currency that is closed to the merchant is refused with a code that no list has, and PayTabs' sentence."""
        shop.sandbox.switch(refused_currencies=["KWD"])
        answer = shop.client.request_page(PageRequest(**shop.cart("1.250", "KWD")))
        assert (answer.error_code, answer.outcome is Outcome.SUCCEEDED) == (240, False)
        assert shop.page().is_page

    def test_mobile_key(self, shop: Shop) -> None:
        """A mobile SDK's key is code 2 on every call."""
        shop.sandbox.switch(server_key_kind="mobile")
        answer = shop.client.request_page(PageRequest(**shop.cart()))
        assert (answer.error_code, answer.outcome) == (2, Outcome.DID_NOT_HAPPEN)


class TestQueries:
    """What a query says, and when."""

    @pytest.mark.parametrize("lag_seconds", [0, 0.4])
    def test_lag(self, shop: Shop, lag_seconds: float) -> None:
        """A query may be behind: "nothing found" right after a refund proves nothing, and passes."""
        paid = shop.paid()
        shop.sandbox.switch(query_lag_seconds=lag_seconds)
        request = shop.follow_up_request("refund", paid, "10.00")
        refund = transaction_of(shop.client.follow_up(request))
        first = shop.client.query_cart(request.cart_id)
        assert first.detail == ("empty" if lag_seconds else "found")
        behind = shop.client.query_tran(refund.tran_ref)
        assert behind.detail == ("not_found" if lag_seconds else "completed")
        until(lambda: shop.client.query_tran(refund.tran_ref), has_status("A"))
        found = until(lambda: shop.client.query_cart(request.cart_id), lambda answer: answer.detail == "found")
        assert [entry.tran_ref for entry in found.transactions] == [refund.tran_ref]

    @pytest.mark.parametrize("reference", ["same", "new"])
    def test_expiry(self, shop: Shop, reference: str) -> None:
        """An expiry shows on the pending payment itself, or as a new one of the same cart that names it."""
        shop.sandbox.switch(expiry_reference=reference)
        pending = shop.paid("pending")
        expired = shop.sandbox.dashboard(pending.tran_ref, "expire")
        answer = shop.client.query_tran(expired["tran_ref"])
        assert (answer.outcome, transaction_of(answer).response_status) == (Outcome.REFUSED, "X")
        if reference == "new":
            assert transaction_of(answer).previous_tran_ref == pending.tran_ref
            assert shop.client.query_tran(pending.tran_ref).outcome is Outcome.PENDING

    @pytest.mark.parametrize(
        ("decimals", "currency", "amount", "told"),
        [
            ("currency", "KWD", "1.250", "1.250"),
            ("two", "KWD", "1.250", "1.25"),
            ("currency", "JPY", "1500", "1500"),
            ("two", "JPY", "1500", "1500.00"),
        ],
    )
    def test_decimals(self, shop: Shop, decimals: str, currency: str, amount: str, told: str) -> None:
        """Amounts with other decimals than the currency's are read as the numbers they are."""
        shop.sandbox.switch(decimals=decimals)
        held = shop.held(amount, currency)
        capture = transaction_of(shop.follow_up("capture", held, amount))
        assert (held.tran_total, capture.tran_total) == (Decimal(told), Decimal(told))

    @pytest.mark.parametrize("attempts", ["one", "until_paid"])
    def test_attempts(self, shop: Shop, attempts: str) -> None:
        """After a decline the same page may be paid yet: a later query then says A of the same reference."""
        shop.sandbox.switch(page_attempts=attempts)
        declined = shop.paid("declined")
        assert declined.response_status == "D"
        if attempts == "until_paid":
            shop.sandbox.pay(declined.tran_ref, "authorised")
            assert shop.client.query_tran(declined.tran_ref).outcome is Outcome.SUCCEEDED
        else:
            assert shop.client.query_tran(declined.tran_ref).outcome is Outcome.REFUSED


class TestDuplicates:
    """What counts as the same request."""

    @pytest.mark.parametrize("is_on", [True, False])
    def test_page(self, shop: Shop, *, is_on: bool) -> None:
        """The same page again is a duplicate, or simply another page."""
        shop.sandbox.switch(duplicate_filter=is_on)
        request = PageRequest(**shop.cart())
        assert shop.client.request_page(request).outcome is Outcome.SUCCEEDED
        again = shop.client.request_page(request)
        assert (again.outcome, again.error_code) == ((Outcome.UNKNOWN, 4) if is_on else (Outcome.SUCCEEDED, None))

    @pytest.mark.parametrize("fields", [["profile_id", "tran_type", "cart_id", "cart_amount"], ["cart_id"]])
    def test_fields(self, shop: Shop, fields: list[str]) -> None:
        """The cart alone may make two requests the same, so that another amount needs another cart."""
        shop.sandbox.switch(duplicate_fields=fields)
        cart = shop.cart()
        assert shop.client.request_page(PageRequest(**cart)).outcome is Outcome.SUCCEEDED
        dearer = shop.client.request_page(PageRequest(**(cart | {"cart_amount": "101.00"})))
        assert dearer.outcome is (Outcome.UNKNOWN if fields == ["cart_id"] else Outcome.SUCCEEDED)
        assert shop.client.request_page(PageRequest(**shop.cart())).outcome is Outcome.SUCCEEDED

    @pytest.mark.parametrize("window_seconds", [120, 0.001])
    def test_window(self, shop: Shop, window_seconds: float) -> None:
        """Once the window has passed the same charge is carried out again."""
        token, _ = shop.stored_card()
        shop.sandbox.switch(duplicate_window_seconds=window_seconds)
        cart = shop.cart("49.00")
        assert shop.charge(token, **cart).outcome is Outcome.SUCCEEDED
        again = shop.charge(token, **cart)
        assert again.outcome is (Outcome.UNKNOWN if window_seconds == 120 else Outcome.SUCCEEDED)
        assert len(shop.client.query_cart(cart["cart_id"]).transactions) == (1 if window_seconds == 120 else 2)

    @pytest.mark.parametrize("counts", [True, False])
    def test_refused(self, shop: Shop, *, counts: bool) -> None:
        """A request that was refused may count: its repetition is then unknown, though neither did anything."""
        shop.sandbox.switch(refused_counts_for_filter=counts)
        request = PageRequest(**shop.cart(), callback="http://127.0.0.1:1/ipn")
        shop.sandbox.switch(url_rules="strict")
        assert shop.client.request_page(request).outcome is Outcome.DID_NOT_HAPPEN
        again = shop.client.request_page(request)
        assert again.outcome is (Outcome.UNKNOWN if counts else Outcome.DID_NOT_HAPPEN)


class TestRefusals:
    """What may be refused, and how."""

    @pytest.mark.parametrize("rules", ["local", "strict"])
    @pytest.mark.parametrize("http_status", [400, 200, 404])
    def test_addresses(self, shop: Shop, rules: str, http_status: int) -> None:
        """Our address may be refused: then nothing happened, under each status of a refusal."""
        shop.sandbox.switch(url_rules=rules, code2_http_status=http_status)
        request = PageRequest(**shop.cart(), callback="http://localhost:1/ipn")
        answer = shop.client.request_page(request)
        expected = Outcome.SUCCEEDED if rules == "local" else Outcome.DID_NOT_HAPPEN
        assert (answer.outcome, answer.http_status) == (expected, 200 if rules == "local" else http_status)

    @pytest.mark.parametrize(
        ("flags", "outcomes"),
        [("KARPM", ["succeeded", "succeeded"]), ("KARP", ["succeeded", "refused"]), ("KA", ["refused", "refused"])],
    )
    def test_method(self, shop: Shop, flags: str, outcomes: list[str]) -> None:
        """A payment method may not be refunded, or not twice."""
        shop.sandbox.switch(method_flags=flags)
        paid = shop.paid()
        assert [shop.follow_up("refund", paid, "10.00").outcome for _ in outcomes] == outcomes


class TestMishaps:
    """Mishaps that befall calls at random, here always."""

    @pytest.mark.parametrize(
        ("switches", "detail"),
        [
            ({"cut_rate": 1}, "connection_lost"),
            ({"error_rate": 1}, "http_5xx"),
            ({"throttle_rate": 1}, "http_429"),
            ({"throttle_rate": 1, "retry_after_seconds": 7}, "http_429"),
            ({"slow_rate": 1, "slow_seconds": 1.5}, "timeout"),
            ({"drip_rate": 1}, "timeout"),
        ],
    )
    def test_money(self, shop: Shop, sandbox: Sandbox, switches: dict[str, Any], detail: str) -> None:
        """A refund that any of them befalls is unknown after one request, and a query of its cart is not befallen."""
        request = shop.follow_up_request("refund", shop.paid(), "10.00")
        sandbox.switch(**switches, random_faults_on=["money"])
        profile = GatewayProfile(PROFILE_ID, SERVER_KEY, sandbox.url)
        with PayTabsClient(profile, call_timeout_seconds=0.6) as hasty:
            answer = hasty.follow_up(request)
        assert (answer.outcome, answer.detail) == (Outcome.UNKNOWN, detail)
        assert answer.retry_after_seconds == (7.0 if "retry_after_seconds" in switches else None)
        assert len(sandbox.requests("/payment/request", cart_id=request.cart_id)) == 1
        found = shop.client.query_cart(request.cart_id)
        assert found.outcome is Outcome.SUCCEEDED
        assert len(found.transactions) == len(sandbox.ledger(cart_id=request.cart_id))

    @pytest.mark.parametrize("switches", [{"cut_rate": 1}, {"error_rate": 1}, {"throttle_rate": 1}])
    def test_queries(self, shop: Shop, sandbox: Sandbox, switches: dict[str, Any]) -> None:
        """A query that they befall at every try ends unknown; a refund is not befallen."""
        paid = shop.paid()
        sandbox.switch(**switches, random_faults_on=["queries"])
        assert shop.client.query_tran(paid.tran_ref).outcome is Outcome.UNKNOWN
        assert len(sandbox.requests("/payment/query")) >= 3
        assert shop.follow_up("refund", paid, "10.00").outcome is Outcome.SUCCEEDED


class Receiver:
    """What came in at an address that answers 200 to everything."""

    def __init__(self, gateway: Any) -> None:
        self._gateway = gateway
        self.url = f"{gateway.url}/ipn"

    def bodies(self, sandbox: Sandbox, count: int) -> list[tuple[bytes, str]]:
        """Give what was delivered, each with its signature, once so many have been answered and no more follow."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (answered := len(sandbox.notifications())) < count or sandbox.waiting():
            assert time.monotonic() < deadline, f"{answered} of {count} notices"
            time.sleep(0.02)
        time.sleep(0.05)
        delivered = [_body_and_signature(bytes(one)) for one in self._gateway.received if one]
        assert len(delivered) == count
        return delivered

    def notices(self, sandbox: Sandbox, count: int) -> list[Transaction]:
        """Give what the notices say, each of which has to be signed with the profile's key."""
        delivered = self.bodies(sandbox, count)
        assert all(verify_body(body, signature, [SERVER_KEY]) for body, signature in delivered)
        return [parse_notification(body) for body, _ in delivered]


@pytest.fixture
def receiver(bench: Any) -> Receiver:
    """Somebody to be notified."""
    return Receiver(bench.answering(bench.http_answer(b"")))


class TestNotices:
    """What is notified, to whom and how often: the client's part is to read and verify each."""

    @pytest.mark.parametrize(
        ("switches", "copies"),
        [
            ({"notice_order": "callback_first"}, 2),
            ({"notice_order": "ipn_first"}, 2),
            ({"notify_callback": False}, 1),
            ({"notify_ipn": False}, 1),
        ],
    )
    def test_copies(self, shop: Shop, receiver: Receiver, switches: dict[str, Any], copies: int) -> None:
        """One or two copies in either order say the same, though their bodies may differ."""
        shop.sandbox.switch(ipn_url=receiver.url, **switches)
        paid = shop.paid(callback=receiver.url)
        told = receiver.notices(shop.sandbox, copies)
        assert [(one.tran_ref, one.response_status) for one in told] == [(paid.tran_ref, "A")] * copies
        assert {one.tran_total for one in told} == {paid.tran_total}

    @pytest.mark.parametrize("reported_as", ["capture", "sale"])
    def test_capture(self, shop: Shop, receiver: Receiver, reported_as: str) -> None:
        """A capture may be notified as a sale; it names the authorisation either way."""
        shop.sandbox.switch(capture_reported_as=reported_as)
        held = shop.held()
        capture = transaction_of(shop.follow_up("capture", held, "100.00", callback=receiver.url))
        (told,) = receiver.notices(shop.sandbox, 1)
        assert (told.tran_ref, told.tran_type, told.previous_tran_ref) == (
            capture.tran_ref,
            reported_as,
            held.tran_ref,
        )

    @pytest.mark.parametrize(("setting", "tells"), [("own_or_original", 2), ("own_only", 1)])
    def test_whom(self, shop: Shop, receiver: Receiver, setting: str, tells: int) -> None:
        """A follow-up without an address of its own is notified to the original's, or not at all."""
        shop.sandbox.switch(followup_notices=setting)
        paid = shop.paid(callback=receiver.url)
        assert shop.follow_up("refund", paid, "10.00").outcome is Outcome.SUCCEEDED
        told = receiver.notices(shop.sandbox, tells)
        assert [one.tran_type for one in told] == ["sale", "refund"][:tells]

    @pytest.mark.parametrize(("tells", "statuses"), [(True, ["E"]), (False, [])])
    def test_refused(self, shop: Shop, receiver: Receiver, statuses: list[str], *, tells: bool) -> None:
        """A follow-up that was refused may be notified as well: it says E."""
        shop.sandbox.switch(refused_followup_notices=tells)
        answer = shop.follow_up("refund", shop.held(), "10.00", callback=receiver.url)
        assert answer.outcome is Outcome.REFUSED
        assert [one.response_status for one in receiver.notices(shop.sandbox, len(statuses))] == statuses

    @pytest.mark.parametrize("key", [None, OLD_KEY])
    def test_rotated_key(self, shop: Shop, receiver: Receiver, key: str | None) -> None:
        """A notice may be signed with the key before the present one: both are taken, no third one is."""
        shop.sandbox.switch(notice_key=key)
        shop.paid(callback=receiver.url)
        ((body, signature),) = receiver.bodies(shop.sandbox, 1)
        assert verify_body(body, signature, [SERVER_KEY, OLD_KEY])
        assert verify_body(body, signature, [SERVER_KEY]) is (key is None)
        assert not verify_body(body, signature, ["SOTHER0000-AAAA2222BB-CCCC3333DD"])

    @pytest.mark.parametrize("is_strict", [True, False])
    def test_empty_body(self, shop: Shop, receiver: Receiver, *, is_strict: bool) -> None:
        """An address without TLS may get an empty body: signed, and yet no notice."""
        shop.sandbox.switch(ipn_url=receiver.url, strict_ipn=is_strict)
        shop.paid()
        ((body, signature),) = receiver.bodies(shop.sandbox, 1)
        assert (body == b"") is is_strict
        assert verify_body(body, signature, [SERVER_KEY])
        if is_strict:
            with pytest.raises(MalformedBody) as caught:
                parse_notification(body)
            assert caught.value.field == "body"

    @pytest.mark.parametrize("extras", [False, True])
    def test_extras(self, shop: Shop, sandbox: Sandbox, *, extras: bool) -> None:
        """A notice that tells of the card's issuer and its bank's step is read like one that does not."""
        sandbox.switch(notice_extras=extras)
        ref = shop.page(callback="http://127.0.0.1:1/nobody").tran_ref
        sandbox.pay(ref, "three_ds")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not sandbox.notifications(tran_ref=ref):
            assert time.monotonic() < deadline
        body = sandbox.notifications(tran_ref=ref)[0]["body"].encode()
        assert (b"threeDSDetails" in body, b"issuerName" in body) == (extras, extras)
        assert parse_notification(body).response_status == "A"


class TestOtherCurrency:
    """A payer who pays in another currency."""

    @pytest.mark.parametrize("rate", [0.25, 4])
    def test_read(self, shop: Shop, rate: float) -> None:
        """What was moved is told in that currency, what was asked in ours."""
        shop.sandbox.switch(alt_currency_rate=rate)
        body = {"profile_id": PROFILE_ID, "tran_type": "sale", "tran_class": "ecom", "alt_currency": "USD"}
        headers = {"Authorization": SERVER_KEY}
        url = f"{shop.sandbox.url}/payment/request"
        ref = requests.post(url, json=body | shop.cart(), headers=headers, timeout=10).json()["tran_ref"]
        shop.sandbox.pay(ref, "authorised")
        paid = transaction_of(shop.client.query_tran(ref))
        assert (paid.cart_amount, paid.cart_currency) == (Decimal("100.00"), "SAR")
        assert (paid.tran_total, paid.tran_currency) == (Decimal(100) * Decimal(str(rate)), "USD")


def _body_and_signature(request: bytes) -> tuple[bytes, str]:
    head, _, body = request.partition(b"\r\n\r\n")
    named = dict(line.decode().split(": ", 1) for line in head.split(b"\r\n")[1:])
    return body, {name.lower(): value for name, value in named.items()}["signature"]
