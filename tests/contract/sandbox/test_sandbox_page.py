"""The hosted page, pressed by HTTP."""

import re
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from typing import Any

import pytest
import requests

from sandbox.cards import CARDS
from sandbox.signing import sign_return
from sandbox.texts import TEXTS

RETURN_URL = "http://127.0.0.1:9/paid"


def hidden_fields(html: str) -> dict[str, str]:
    """Read the hidden fields of the form that takes the payer back."""
    pairs = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', html)
    return {name: unescape(value) for name, value in pairs}


def page_of(url: str) -> str:
    """Open a page as a browser does."""
    return requests.get(url, timeout=5).text


class TestForm:
    """What the payer sees."""

    def test_order_summary(self, desk: Any) -> None:
        """Description, amount with currency and cart id are there, escaped."""
        html = page_of(desk.opened(cart_description="<b>Chairs & tables</b>")["redirect_url"])
        assert "&lt;b&gt;Chairs &amp; tables&lt;/b&gt;" in html
        assert "115.50 SAR" in html
        assert "INV-1" in html

    def test_controls(self, desk: Any) -> None:
        """The fields and buttons bear their stable ids, and every field its label."""
        html = page_of(desk.opened()["redirect_url"])
        for name in ("card-number", "expiry", "cvv", "pay", "cancel"):
            assert f'id="{name}"' in html
        for name in ("card-number", "expiry", "cvv"):
            assert f'<label for="{name}">' in html

    def test_cards_listed(self, desk: Any) -> None:
        """Every test card is listed with what it gives."""
        html = page_of(desk.opened()["redirect_url"])
        for card in CARDS:
            assert card.grouped in html
            assert TEXTS["en"][card.name] in html

    def test_nothing_from_elsewhere(self, desk: Any) -> None:
        """All that the page loads is served by the sandbox."""
        url = desk.opened()["redirect_url"]
        for address in re.findall(r'(?:src|href)="([^"]+)"', page_of(url)):
            assert address.startswith(("/payment/static/", "data:"))
            if address.startswith("/"):
                assert requests.get(desk.url + address, timeout=5).status_code == 200

    def test_arabic(self, desk: Any) -> None:
        """In Arabic the page reads from the right, with Arabic texts."""
        html = page_of(desk.opened(paypage_lang="ar")["redirect_url"])
        assert '<html lang="ar" dir="rtl">' in html
        assert TEXTS["ar"]["cancel"] in html
        assert TEXTS["en"]["cancel"] not in html

    def test_languages_are_complete(self) -> None:
        """Both languages have every text."""
        assert set(TEXTS["ar"]) == set(TEXTS["en"])

    def test_unknown_page(self, desk: Any) -> None:
        """An unknown address is a page that says so."""
        answer = requests.get(f"{desk.url}/payment/wr/NOWHERE", timeout=5)
        assert answer.status_code == 404
        assert TEXTS["en"]["unknown"] in answer.text


class TestBadEntry:
    """A form that cannot be taken."""

    @pytest.mark.parametrize(
        ("fields", "field", "text"),
        [
            ({"card-number": "4111 1111 1111 1112"}, "card-number", "invalid_number"),
            ({"card-number": "4111"}, "card-number", "invalid_number"),
            ({"card-number": ""}, "card-number", "invalid_number"),
            ({"card-number": "4242 4242 4242 4242"}, "card-number", "not_a_test_card"),
            ({"expiry": "13/33"}, "expiry", "invalid_expiry"),
            ({"expiry": ""}, "expiry", "invalid_expiry"),
            ({"expiry": "01/20"}, "expiry", "card_expired"),
            ({"cvv": "12"}, "cvv", "invalid_cvv"),
        ],
    )
    def test_field_error(self, desk: Any, fields: dict[str, str], field: str, text: str) -> None:
        """The field is named on the page and nothing happens to the payment."""
        page = desk.opened(callback=f"{desk.url}/healthz")
        answer = desk.submit(page["redirect_url"], **fields)
        assert answer.status_code == 422
        assert f'id="{field}-error"' in answer.text
        assert TEXTS["en"][text] in answer.text
        (entry,) = desk.ledger()["transactions"]
        assert entry["status"] is None
        assert desk.get("/sandbox/notifications")["notifications"] == []

    def test_card_is_not_recorded(self, desk: Any) -> None:
        """Neither number nor security code is written down."""
        desk.submit(desk.opened()["redirect_url"], **{"card-number": "4242 4242 4242 4242", "cvv": "987"})
        shown = desk.get("/sandbox/requests")["requests"][-1]
        assert (shown["body"]["card-number"], shown["body"]["cvv"]) == ("[redacted]", "[redacted]")
        assert shown["raw_body"] is None


class TestPay:
    """The Pay button."""

    @pytest.mark.parametrize(
        ("card", "tran_type", "status", "code"),
        [
            ("4111111111111111", "Sale", "A", "G"),
            ("5555555555554444", "Sale", "A", "G"),
            ("4000000000009995", "Sale", "D", "316"),
            ("4000000000000309", "Sale", "D", "300"),
            ("4000000000000408", "Auth", "H", "G"),
            ("4000000000000606", "Payment Request", "P", ""),
            ("4000000000000317", "Sale", "E", "400"),
            ("4000000000000325", "Sale", "E", "401"),
            ("4000000000000358", "Sale", "X", "355"),
        ],
    )
    def test_each_card(self, desk: Any, card: str, tran_type: str, status: str, code: str) -> None:
        """Each test card gives what the table says; only an authorised one is charged."""
        page = desk.opened(**{"return": RETURN_URL})
        fields = hidden_fields(desk.submit(page["redirect_url"], **{"card-number": card}).text)
        assert fields["respStatus"] == status
        assert fields["respCode"].startswith(code)
        (entry,) = desk.ledger()["transactions"]
        assert (entry["tran_type"], entry["status"]) == (tran_type, status)
        assert len(desk.charges()) == (1 if status == "A" else 0)

    def test_return_form(self, desk: Any) -> None:
        """The payer goes back by a POST form with the ten signed fields."""
        page = desk.opened(**{"return": RETURN_URL})
        answer = desk.submit(page["redirect_url"])
        fields = hidden_fields(answer.text)
        assert f'method="post" action="{RETURN_URL}"' in answer.text
        acquirer, result = {"acquirerMessage", "acquirerRRN"}, {"respCode", "respMessage", "respStatus"}
        assert set(fields) == acquirer | result | {"cartId", "customerEmail", "signature", "token", "tranRef"}
        assert (fields["cartId"], fields["tranRef"], fields["respStatus"]) == ("INV-1", page["tran_ref"], "A")
        assert fields["signature"] == sign_return(fields, desk.key)

    def test_return_by_get(self, desk: Any, fields_of: Any) -> None:
        """With return_using_get it is a redirect that keeps the URL's own query."""
        page = desk.opened(**{"return": f"{RETURN_URL}?shop=7", "return_using_get": True})
        answer = desk.submit(page["redirect_url"])
        assert answer.status_code == 303
        address, query = answer.headers["Location"].split("?")
        fields = fields_of(query)
        assert address == RETURN_URL
        assert fields.pop("shop") == "7"
        assert fields["signature"] == sign_return(fields, desk.key)

    @pytest.mark.parametrize("address", [{}, {"return": "none"}])
    def test_no_return(self, desk: Any, address: dict[str, str]) -> None:
        """Without a return address the page shows the result."""
        answer = desk.submit(desk.opened(**address)["redirect_url"])
        assert 'data-status="A"' in answer.text
        assert TEXTS["en"]["done"] in answer.text
        assert "return-form" not in answer.text

    def test_cancel(self, desk: Any) -> None:
        """Cancel ends the page with C/321, whatever stands in the form."""
        page = desk.opened(**{"return": RETURN_URL})
        fields = hidden_fields(desk.submit(page["redirect_url"], action="cancel", cvv="").text)
        assert (fields["respStatus"], fields["respCode"]) == ("C", "321")
        assert desk.charges() == []

    def test_auth_and_register(self, desk: Any) -> None:
        """An authorisation holds money without taking it; a register moves none and gives a token."""
        held = desk.opened(tran_type="auth")
        kept = desk.opened(tran_type="register", cart_id="INV-2")
        desk.submit(held["redirect_url"])
        desk.submit(kept["redirect_url"])
        (movement,) = desk.ledger()["movements"]
        assert (movement["kind"], movement["tran_ref"]) == ("authorise", held["tran_ref"])
        assert desk.query(tran_ref=kept["tran_ref"]).json()["token"]

    def test_final_says_so(self, desk: Any) -> None:
        """A page with a result shows it, offers no form and cannot be paid or cancelled again."""
        page = desk.opened(**{"return": RETURN_URL})
        desk.submit(page["redirect_url"])
        for html in (
            page_of(page["redirect_url"]),
            desk.submit(page["redirect_url"]).text,
            desk.submit(page["redirect_url"], action="cancel").text,
            desk.submit(page["redirect_url"], cvv="").text,
        ):
            assert TEXTS["en"]["final"] in html
            assert 'id="pay"' not in html
            assert hidden_fields(html)["respStatus"] == "A"
        assert len(desk.charges()) == 1

    def test_double_click(self, desk: Any) -> None:
        """Twelve presses at once charge once."""
        url = desk.opened()["redirect_url"]
        with ThreadPoolExecutor(12) as pool:
            list(pool.map(lambda _: desk.submit(url), range(12)))
        assert len(desk.charges()) == 1

    def test_second_attempt_switch(self, desk: Any) -> None:
        """By switch a declined page may be tried again on the same reference."""
        desk.switch(page_attempts="until_paid")
        page = desk.opened()
        answer = desk.submit(page["redirect_url"], **{"card-number": "4000000000009995"})
        assert 'id="try-again"' in answer.text
        desk.submit(page["redirect_url"])
        (entry,) = desk.ledger()["transactions"]
        assert [version["status"] for version in entry["history"]] == [None, "D", "A"]


class TestThreeDSecure:
    """The step at the payer's bank."""

    def enter(self, desk: Any, page: dict[str, Any]) -> str:
        """Type the card that asks for the step; gives the step's address."""
        answer = desk.submit(page["redirect_url"], **{"card-number": "4000 0000 0000 0002"})
        assert answer.status_code == 303
        url: str = desk.url + answer.headers["Location"]
        html = page_of(url)
        assert 'id="three-ds-approve"' in html
        assert 'id="three-ds-fail"' in html
        return url

    @pytest.mark.parametrize(("action", "status", "code"), [("approve", "A", "G"), ("fail", "D", "310")])
    def test_decision(self, desk: Any, action: str, status: str, code: str) -> None:
        """Nothing is charged before the step; then Approve authorises and Fail declines."""
        page = desk.opened(**{"return": RETURN_URL})
        step = self.enter(desk, page)
        assert desk.ledger()["transactions"][0]["status"] is None
        fields = hidden_fields(requests.post(step, data={"action": action}, timeout=5).text)
        assert fields["respStatus"] == status
        assert fields["respCode"].startswith(code)
        assert len(desk.charges()) == (1 if status == "A" else 0)

    def test_without_a_card(self, desk: Any) -> None:
        """The step cannot be reached, or approved, before a card was typed."""
        step = f"{desk.opened()['redirect_url']}/3ds"
        assert requests.get(step, timeout=5, allow_redirects=False).status_code == 303
        requests.post(step, data={"action": "approve"}, timeout=5)
        assert desk.ledger()["transactions"][0]["status"] is None

    def test_twice(self, desk: Any) -> None:
        """Approving twice charges once."""
        step = self.enter(desk, desk.opened())
        for _ in range(2):
            requests.post(step, data={"action": "approve"}, timeout=5)
        assert len(desk.charges()) == 1
