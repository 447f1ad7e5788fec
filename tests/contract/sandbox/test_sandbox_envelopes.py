"""Error envelopes of every kind: ordered for one call, or earned by the profile; none of them is carried out."""

import re
from typing import Any

import pytest
import requests

#: Each named envelope: code, HTTP status, and a part of its sentence.
NAMED = {
    "auth_failed": (1, 401, "Authentication failed"),
    "no_response": (401, 401, "No response"),
    "not_found": (113, 404, "ErrorCode = 2000"),
    "currency_unavailable": (240, 400, "Currency not available"),
    "mobile_key": (2, 400, "application/octet-stream"),
}


def calls(desk: Any) -> dict[str, requests.Response]:
    """Call every path of a merchant's server once."""
    ref = "TST0000000000000"
    common = {"tran_class": "ecom", "cart_description": "x", "cart_currency": "SAR", "cart_amount": 1}
    return {
        "page": desk.create(cart_id="envelope"),
        "refund": desk.follow(ref, "refund", 1),
        "query": desk.query(tran_ref=ref),
        "cart": desk.query(cart_id="x"),
        "token": desk.call("/payment/token", token="x"),
        "delete": desk.call("/payment/token/delete", token="x"),
        "invoice": desk.call("/payment/invoice/new", tran_type="sale", cart_id="x", **common),
        "status": desk.call("/payment/invoice/status", invoice_id=1),
        "cancel": desk.call("/payment/invoice/cancel", invoice_id=1),
    }


class TestOrdered:
    """One call, or several, refused on order."""

    @pytest.mark.parametrize("kind", NAMED)
    def test_named(self, desk: Any, kind: str) -> None:
        """A named envelope has its code, its status and its sentence, befalls one call and nothing is carried out."""
        code, http_status, sentence = NAMED[kind]
        assert desk.post("faults", path="/payment/request", kind=kind).status_code == 201
        answer = desk.create()
        assert (answer.status_code, answer.json()["code"]) == (http_status, code)
        assert sentence in answer.json()["message"]
        assert set(answer.json()) == {"code", "message", "trace"}
        assert desk.ledger()["transactions"] == []
        assert desk.create().status_code == 200

    def test_altered(self, desk: Any) -> None:
        """What is given overrules what the name says."""
        desk.post("faults", path="/payment/query", kind="not_found", http_status=400, message="Nothing")
        answer = desk.query(tran_ref="TST1")
        assert (answer.status_code, answer.json()["code"], answer.json()["message"]) == (400, 113, "Nothing")

    @pytest.mark.parametrize("http_status", [200, 400, 401, 402, 403, 404, 409, 418, 422, 429, 500, 502, 503, 504, 599])
    @pytest.mark.parametrize("code", [1, 2, 4, 113, 206, 240, 777])
    def test_any(self, desk: Any, code: int, http_status: int) -> None:
        """Any code comes under any status, with a wait where one was ordered."""
        members = {"code": code, "http_status": http_status, "retry_after": 9}
        assert desk.post("faults", path="/payment/*", kind="code", **members).status_code == 201
        answer = desk.create()
        assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (http_status, code, "9")
        assert desk.ledger()["transactions"] == []

    def test_trace(self, desk: Any) -> None:
        """Each has a trace of its own, of the usual form."""
        desk.post("faults", path="/payment/request", kind="code", times=2)
        traces = {desk.create().json()["trace"] for _ in range(2)}
        assert len(traces) == 2
        assert all(re.fullmatch(r"PMNT0402\.[0-9A-F]{8}\.[0-9A-F]{8}", trace) for trace in traces)

    def test_matched(self, desk: Any) -> None:
        """It can be kept for some requests: the harmless question goes through, the payment does not."""
        desk.post("faults", path="/payment/*", kind="auth_failed", times=0, match={"cart_currency": "KWD"})
        assert desk.create(cart_currency="KWD").json()["code"] == 1
        assert desk.query(cart_id="INV-1").json() == []
        assert desk.create().status_code == 200


class TestEarned:
    """What the profile is refused."""

    def test_mobile_key(self, desk: Any) -> None:
        """With a mobile SDK's key every call is code 2 and speaks of the body's form."""
        desk.switch(server_key_kind="mobile")
        for name, answer in calls(desk).items():
            assert (answer.status_code, answer.json()["code"]) == (400, 2), name
            assert "application/octet-stream" in answer.json()["message"], name
        desk.switch(server_key_kind="server")
        assert desk.create().status_code == 200

    def test_currency(self, desk: Any) -> None:
        """A closed currency is code 240 for pages, charges and invoices, and for no other currency."""
        token = desk.post("token").json()["token"]
        desk.switch(refused_currencies=["KWD"])
        common = {"cart_currency": "KWD", "cart_description": "x", "cart_amount": 1, "tran_class": "ecom"}
        for answer in (
            desk.create(cart_currency="KWD"),
            desk.create(cart_currency="KWD", token=token, tran_class="recurring"),
            desk.call("/payment/invoice/new", tran_type="sale", cart_id="x", **common),
        ):
            assert (answer.status_code, answer.json()["code"]) == (400, 240)
            assert answer.json()["message"] == "Currency not available"
        assert desk.create().status_code == 200
