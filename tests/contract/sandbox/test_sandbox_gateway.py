"""The API: authentication, errors, pages, the duplicate filter and queries."""

import json
import time
from typing import Any

import pytest
import requests

OTHER_KEY = "SOTHER0000-AAAA2222BB-CCCC3333DD"


def refusal(answer: requests.Response) -> tuple[int, int]:
    """Give the HTTP status and the code of an error envelope."""
    document = answer.json()
    assert set(document) == {"code", "message", "trace"}
    assert document["trace"].startswith("PMNT0402.")
    return answer.status_code, document["code"]


class TestAuthentication:
    """Who may call."""

    def test_wrong_key(self, desk: Any) -> None:
        """A wrong key is 401 with code 1, and nothing is opened."""
        assert refusal(desk.call("/payment/request", key=OTHER_KEY, cart_id="INV-1")) == (401, 1)
        assert desk.ledger()["transactions"] == []

    def test_missing_key(self, desk: Any) -> None:
        """A missing key is the same."""
        assert refusal(requests.post(f"{desk.url}/payment/query", data="{}", timeout=5)) == (401, 1)

    def test_wrong_profile(self, desk: Any) -> None:
        """A key that is not the profile's is the same."""
        assert refusal(desk.query(profile_id=1, cart_id="INV-1")) == (401, 1)

    def test_numeric_text_profile(self, desk: Any) -> None:
        """The profile may be a numeric text, and the content type does not matter."""
        assert desk.query(profile_id="987654", cart_id="INV-1").status_code == 200

    def test_not_json(self, desk: Any) -> None:
        """A body that is no JSON object is code 2."""
        for body in ("[]", "{", "", '{"cart_amount": NaN}'):
            assert refusal(desk.send("/payment/request", body)) == (400, 2)

    def test_unknown_path(self, desk: Any) -> None:
        """An unknown path is 404 without JSON."""
        answer = desk.call("/payment/invoice/search")
        assert answer.status_code == 404
        assert "html" in answer.headers["Content-Type"]

    def test_key_is_not_recorded(self, desk: Any) -> None:
        """The record of requests shows that there was a key, not which."""
        desk.query(cart_id="INV-1")
        record = desk.get("/sandbox/requests")["requests"][0]
        assert record["headers"]["Authorization"] == "[redacted]"
        assert desk.key not in json.dumps(record)


class TestCreate:
    """A request for a hosted page."""

    def test_redirect_answer(self, desk: Any) -> None:
        """The answer sends the payer to a page, echoes the cart and charges nothing."""
        page = desk.opened(cart_amount=115, callback="", customer_ref="C-42")
        assert page["redirect_url"].startswith(f"{desk.url}/payment/wr/")
        assert page["tran_ref"].startswith("TST")
        assert len(page["tran_ref"]) == 16
        assert (page["cart_amount"], page["tran_total"], page["tran_type"]) == ("115.00", "0", "Sale")
        assert (page["profileId"], page["customer_ref"]) == (987654, "C-42")
        assert "callback" not in page
        assert "payment_result" not in page
        assert desk.ledger()["movements"] == []

    @pytest.mark.parametrize(("asked", "answered"), [("sale", "Sale"), ("auth", "Auth"), ("REGISTER", "Register")])
    def test_types(self, desk: Any, asked: str, answered: str) -> None:
        """The three types come back capitalised."""
        assert desk.opened(tran_type=asked)["tran_type"] == answered

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ({"cart_id": 17}, (400, 101)),
            ({"cart_id": "x" * 65}, (400, 101)),
            ({"cart_id": ""}, (400, 101)),
            ({"cart_currency": "XXX"}, (400, 206)),
            ({"cart_currency": None}, (400, 206)),
            ({"cart_amount": 0}, (400, 2)),
            ({"cart_amount": -1}, (400, 2)),
            ({"cart_amount": "1e99"}, (400, 2)),
            ({"cart_amount": True}, (400, 2)),
            ({"cart_amount": None}, (400, 2)),
            ({"cart_amount": "ten"}, (400, 2)),
            ({"cart_amount": 1.005}, (400, 2)),
            ({"cart_description": None}, (400, 2)),
            ({"cart_description": "x" * 129}, (400, 2)),
            ({"tran_type": "gift"}, (400, 2)),
            ({"tran_type": "capture"}, (400, 2)),
            ({"tran_type": "refund", "tran_ref": "TST1", "cart_amount": 0}, (400, 2)),
            ({"tran_class": "shop"}, (400, 2)),
            ({"callback": "not a URL"}, (400, 2)),
            ({"return": "ftp://shop.example.test/"}, (400, 2)),
            ({"return": "https://shop.example.test/" + "x" * 255}, (400, 2)),
            ({"card_details": {"pan": "4111111111111111"}}, (400, 2)),
            ({"customer_details": "Test Buyer"}, (400, 2)),
            ({"tokenise": 9}, (400, 2)),
        ],
    )
    def test_refused(self, desk: Any, change: dict[str, Any], expected: tuple[int, int]) -> None:
        """Each bad member is refused with its code, and nothing is opened."""
        assert refusal(desk.create(**change)) == expected
        assert desk.ledger()["transactions"] == []

    @pytest.mark.parametrize(
        ("currency", "amount", "text"),
        [("KWD", 1.505, "1.505"), ("JPY", 500, "500"), ("SAR", "9.5", "9.50"), ("KWD", 2, "2.000")],
    )
    def test_decimals(self, desk: Any, currency: str, amount: object, text: str) -> None:
        """Amounts come back as text with the currency's decimals."""
        assert desk.opened(cart_currency=currency, cart_amount=amount)["cart_amount"] == text

    def test_two_decimals_switch(self, desk: Any) -> None:
        """A switch makes it two decimals whatever the currency."""
        desk.switch(decimals="two")
        assert desk.opened(cart_currency="KWD", cart_amount=2)["cart_amount"] == "2.00"

    @pytest.mark.parametrize(
        "url", ["http://shop.example.test/", "https://shop.example.test:8443/", "https://localhost/"]
    )
    def test_strict_urls(self, desk: Any, url: str) -> None:
        """Plain HTTP, ports and localhost pass locally and are refused in strict mode."""
        assert desk.create(callback=url).status_code == 200
        desk.switch(url_rules="strict")
        assert refusal(desk.create(callback=url, cart_id="INV-2")) == (400, 2)
        assert desk.create(callback="https://shop.example.test/ipn", cart_id="INV-3").status_code == 200

    def test_code_2_status_switch(self, desk: Any) -> None:
        """The HTTP status of code 2 can be switched."""
        desk.switch(code2_http_status=200)
        assert refusal(desk.create(cart_amount=0)) == (200, 2)


class TestDuplicateFilter:
    """What counts as a repetition."""

    def test_identical(self, desk: Any) -> None:
        """An identical request is 409 with code 4, however its amount is written."""
        desk.opened(cart_amount=100)
        assert refusal(desk.create(cart_amount=100.0)) == (409, 4)
        assert refusal(desk.create(cart_amount="100")) == (409, 4)
        assert len(desk.ledger()["transactions"]) == 1

    def test_other_amount_or_cart(self, desk: Any) -> None:
        """Another amount or another cart is another request."""
        desk.opened()
        assert desk.create(cart_amount=1).status_code == 200
        assert desk.create(cart_id="INV-2").status_code == 200

    def test_window(self, desk: Any) -> None:
        """After the window the same request executes again."""
        desk.switch(duplicate_window_seconds=600)
        desk.opened()
        assert desk.create().status_code == 409
        desk.switch(duplicate_window_seconds=0.001)  # it is over now
        assert desk.create().status_code == 200

    def test_cart_only(self, desk: Any) -> None:
        """A switch makes the cart alone the likeness."""
        desk.switch(duplicate_fields=["cart_id"])
        desk.opened()
        assert refusal(desk.create(cart_amount=1)) == (409, 4)

    def test_off(self, desk: Any) -> None:
        """A switch turns it off."""
        desk.switch(duplicate_filter=False)
        desk.opened()
        assert desk.create().status_code == 200

    def test_refused_does_not_count(self, desk: Any) -> None:
        """A refused request is not remembered, unless the switch says so."""
        assert refusal(desk.create(cart_amount=0)) == (400, 2)
        assert refusal(desk.create(cart_amount=0)) == (400, 2)
        desk.switch(refused_counts_for_filter=True)
        assert refusal(desk.create(cart_amount=0)) == (400, 2)
        assert refusal(desk.create(cart_amount=0)) == (409, 4)


class TestQuery:
    """Looking up, both ways."""

    def test_unpaid(self, desk: Any) -> None:
        """A page nobody has paid is P/600 by reference and absent by cart."""
        page = desk.opened()
        result = desk.query(tran_ref=page["tran_ref"]).json()["payment_result"]
        assert (result["response_status"], result["response_code"]) == ("P", "600")
        assert desk.query(cart_id="INV-1").json() == []

    def test_unpaid_switches(self, desk: Any) -> None:
        """Switches make it an error by reference, and visible by cart."""
        page = desk.opened()
        desk.switch(query_unpaid_page="error", query_cart_shows_unpaid=True)
        assert refusal(desk.query(tran_ref=page["tran_ref"])) == (400, 2)
        (entry,) = desk.query(cart_id="INV-1").json()
        assert (entry["tran_ref"], entry["payment_result"]["response_code"]) == (page["tran_ref"], "600")

    def test_unknown(self, desk: Any) -> None:
        """An unknown reference is code 2; an unknown cart is an empty list, or by switch code 2."""
        assert refusal(desk.query(tran_ref="TST0000000000000")) == (400, 2)
        assert desk.query(cart_id="nowhere").json() == []
        desk.switch(query_unknown="error")
        assert refusal(desk.query(cart_id="nowhere")) == (400, 2)

    def test_both_or_neither(self, desk: Any) -> None:
        """Both or neither is a bad request."""
        assert refusal(desk.query()) == (400, 2)
        assert refusal(desk.query(tran_ref="TST1", cart_id="INV-1")) == (400, 2)

    def test_by_reference(self, desk: Any) -> None:
        """A paid one shows its result, its card and what was moved, but none of a notice's own members."""
        page = desk.opened(tokenise=2)
        desk.pay(page["tran_ref"])
        found = desk.query(tran_ref=page["tran_ref"]).json()
        assert found["payment_result"]["response_status"] == "A"
        assert found["payment_result"]["transaction_time"].endswith("Z")
        assert (found["tran_total"], found["tran_currency"]) == ("115.50", "SAR")
        assert found["payment_info"]["payment_description"] == "4111 11## #### 1111"
        assert len(found["token"]) == 32
        assert not {"ipn_trace", "tran_class", "redirect_url"} & set(found)

    def test_by_cart(self, desk: Any) -> None:
        """A cart's entries come newest first and thinner."""
        desk.switch(duplicate_filter=False)
        first, second = desk.opened(), desk.opened()
        desk.pay(first["tran_ref"], cancel=True)
        desk.pay(second["tran_ref"])
        newest, oldest = desk.query(cart_id="INV-1").json()
        assert (newest["tran_ref"], oldest["tran_ref"]) == (second["tran_ref"], first["tran_ref"])
        assert oldest["payment_info"] == {"payment_description": "No Payment", "card_scheme": ""}
        assert oldest["payment_result"]["response_code"] == "321"
        assert newest["serviceId"] == 0
        assert not {"token", "shipping_details", "profileId", "trace"} & set(newest)

    def test_cap(self, desk: Any) -> None:
        """A cart shows its newest 20 only."""
        desk.switch(duplicate_filter=False)
        refs = [desk.opened()["tran_ref"] for _ in range(22)]
        for ref in refs:
            desk.pay(ref)
        assert [entry["tran_ref"] for entry in desk.query(cart_id="INV-1").json()] == refs[:1:-1]

    def test_lag(self, desk: Any) -> None:
        """For the lag's length, queries show what was before."""
        page = desk.opened()
        desk.switch(query_lag_seconds=600)
        assert refusal(desk.query(tran_ref=page["tran_ref"])) == (400, 2)
        time.sleep(2.0)
        desk.switch(query_lag_seconds=1.9)
        assert desk.query(tran_ref=page["tran_ref"]).json()["payment_result"]["response_status"] == "P"
        desk.pay(page["tran_ref"])
        assert desk.query(tran_ref=page["tran_ref"]).json()["payment_result"]["response_status"] == "P"
        assert desk.query(cart_id="INV-1").json() == []
        desk.switch(query_lag_seconds=0)
        assert desk.query(tran_ref=page["tran_ref"]).json()["payment_result"]["response_status"] == "A"
        assert len(desk.query(cart_id="INV-1").json()) == 1

    def test_held_sale(self, desk: Any) -> None:
        """A held sale is found as an authorisation that was asked as a sale."""
        page = desk.opened()
        desk.pay(page["tran_ref"], "held")
        found = desk.query(tran_ref=page["tran_ref"]).json()
        assert (found["tran_type"], found["original_tran_type"]) == ("Auth", "Sale")
        assert found["payment_result"]["response_status"] == "H"
        assert desk.charges() == []
