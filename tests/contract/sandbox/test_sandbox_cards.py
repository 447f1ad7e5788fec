"""Payments without a page, and the tokens that stand for cards."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests


def stored(desk: Any, card: str = "authorised") -> dict[str, str]:
    """Keep a card at the desk; gives its token and the reference that created it."""
    kept: dict[str, str] = desk.post("token", card=card).json()
    return kept


def form(desk: Any, card: str = "authorised") -> str:
    """Fill the browser's card form; gives the one-use token."""
    token: str = desk.post("payment_token", card=card).json()["payment_token"]
    return token


def renew(desk: Any, kept: dict[str, str], **changes: Any) -> requests.Response:
    """Charge a stored card without its payer."""
    answer: requests.Response = desk.create(**{"token": kept["token"], "tran_class": "recurring", **changes})
    return answer


def code_of(answer: requests.Response) -> tuple[int, int]:
    """Give HTTP status and code of an error envelope."""
    return answer.status_code, answer.json()["code"]


class TestTokenise:
    """Where tokens come from."""

    def test_on_page(self, desk: Any, receiver: Any, until: Any) -> None:
        """A page that was asked to tokenise gives a token in query and notice, which then charges."""
        ref = desk.paid(tokenise=2, callback=receiver.url)
        until(lambda: receiver.deliveries)
        token = desk.query(tran_ref=ref).json()["token"]
        assert receiver.notices()[0]["token"] == token
        assert renew(desk, {"token": token}).json()["payment_result"]["response_status"] == "A"

    def test_register(self, desk: Any) -> None:
        """A register gives a token and moves nothing."""
        ref = desk.paid(tran_type="register")
        assert len(desk.query(tran_ref=ref).json()["token"]) == 32
        assert desk.ledger()["movements"] == []

    def test_none(self, desk: Any) -> None:
        """There is none for a failed payment, an unasked one, or a method without tokens."""
        refs = [desk.paid("declined", tokenise=2), desk.paid()]
        desk.switch(method_flags="ARPM")
        refs.append(desk.paid(tokenise=2))
        assert ["token" in desk.query(tran_ref=ref).json() for ref in refs] == [False, False, False]

    def test_query_and_delete(self, desk: Any) -> None:
        """A token tells its origin, card and customer; deleted with code 0, it is unknown with code 2."""
        ref = desk.paid(tokenise=2)
        token = desk.query(tran_ref=ref).json()["token"]
        assert desk.call("/payment/token", token=token).json() == {
            "tran_ref": ref,
            "payment_info": {
                "card_type": "Credit",
                "card_scheme": "Visa",
                "payment_description": "4111 11## #### 1111",
            },
            "customer_details": {"name": "Test Buyer", "email": "buyer@example.test"},
        }
        deleted = desk.call("/payment/token/delete", token=token)
        assert (deleted.status_code, deleted.json()["code"]) == (200, 0)
        assert deleted.json()["trace"].startswith("PMNT")
        assert code_of(desk.call("/payment/token/delete", token=token)) == (400, 2)
        assert code_of(desk.call("/payment/token", token=token)) == (400, 2)
        assert code_of(renew(desk, {"token": token})) == (400, 2)
        assert code_of(desk.call("/payment/token", key="SOTHER0000-AAAA2222BB-CCCC3333DD", token=token)) == (401, 1)


class TestWithoutPayer:
    """A stored card charged by the merchant."""

    def test_charged(self, desk: Any, receiver: Any, until: Any) -> None:
        """It is completed at once, names its origin, bears the token and is told to its own callback."""
        kept = stored(desk)
        done = renew(desk, kept, callback=receiver.url).json()
        assert (done["payment_result"]["response_status"], done["tran_type"]) == ("A", "Sale")
        assert (done["previous_tran_ref"], done["token"]) == (kept["tran_ref"], kept["token"])
        assert (done["tran_total"], done["paymentChannel"]) == ("115.50", "Transaction API")
        assert "redirect_url" not in done
        until(lambda: receiver.deliveries)
        assert receiver.notices()[0]["tran_class"] == "Recurring"

    def test_own_family(self, desk: Any) -> None:
        """Its money is its own: two auths of one card are captured and refunded apart."""
        kept = stored(desk)
        first, second = (renew(desk, kept, tran_type="auth", cart_id=cart).json()["tran_ref"] for cart in ("A", "B"))
        desk.followed(first, "capture", 115.5)
        assert desk.balance(first) == {"authorised": "115.50", "captured": "115.50"}
        assert desk.balance(second) == {"authorised": "115.50"}
        assert desk.followed(second, "capture", 115.51)["payment_result"]["response_code"] == "991"

    @pytest.mark.parametrize(
        ("card", "status", "code"),
        [("declined", "D", "316"), ("error_doubtful", "E", "401"), ("three_ds", "A", None), ("held", "H", None)],
    )
    def test_results(self, desk: Any, card: str, status: str, code: str | None) -> None:
        """A stored card that went bad fails as it would on a page; nobody is there for a 3-D Secure step."""
        shown = renew(desk, stored(desk, card)).json()["payment_result"]
        assert shown["response_status"] == status
        assert code in (None, shown["response_code"])
        assert len(desk.charges()) == (status == "A")

    def test_tran_ref(self, desk: Any) -> None:
        """The origin's reference may be given beside the token, another one may not; nor may register be asked."""
        kept, other = stored(desk), stored(desk)
        assert renew(desk, kept, tran_ref=kept["tran_ref"]).status_code == 200
        assert code_of(renew(desk, kept, tran_ref=other["tran_ref"])) == (400, 2)
        assert code_of(renew(desk, kept, tran_type="register")) == (400, 2)
        assert len(desk.charges()) == 1

    def test_token_info(self, desk: Any) -> None:
        """The token may stand in token_info, but not in both places."""
        kept = stored(desk)
        info = {"token": kept["token"], "token_type": "unscheduled"}
        assert desk.create(tran_class="recurring", token_info=info).json()["token"] == kept["token"]
        assert code_of(renew(desk, kept, token_info=info, cart_id="INV-2")) == (400, 2)

    def test_duplicate(self, desk: Any) -> None:
        """The same charge again is 409; a declined one may be tried again."""
        good, bad = stored(desk), stored(desk, "declined")
        assert [renew(desk, good).status_code for _ in range(2)] == [200, 409]
        assert [renew(desk, bad, cart_id="INV-2").status_code for _ in range(2)] == [200, 200]
        assert len(desk.charges()) == 1

    def test_cap(self, desk: Any) -> None:
        """A charge above the cap is E/325, on a page as well."""
        desk.switch(amount_cap=100)
        kept = stored(desk)
        assert renew(desk, kept).json()["payment_result"]["response_code"] == "325"
        assert renew(desk, kept, cart_amount=100).json()["payment_result"]["response_status"] == "A"
        assert desk.query(tran_ref=desk.paid()).json()["payment_result"]["response_code"] == "325"
        assert len(desk.charges()) == 1


class TestPayerPresent:
    """A stored card with its payer before the screen."""

    def test_page(self, desk: Any) -> None:
        """The payer is sent to a page that knows the card and asks for its security code only."""
        kept = stored(desk)
        answer = desk.create(token=kept["token"]).json()
        assert desk.charges() == []
        shown = requests.get(answer["redirect_url"], timeout=5).text
        assert "4111 11## #### 1111" in shown
        assert 'name="card-number"' not in shown
        assert requests.post(answer["redirect_url"], data={"action": "pay", "cvv": "1"}, timeout=5).status_code == 422
        requests.post(answer["redirect_url"], data={"action": "pay", "cvv": "123"}, timeout=5)
        found = desk.query(tran_ref=answer["tran_ref"]).json()
        assert (found["payment_result"]["response_status"], found["token"]) == ("A", kept["token"])

    def test_desk(self, desk: Any) -> None:
        """At the desk the page is paid with its own card, and with no other."""
        ref = desk.create(token=stored(desk, "declined")["token"]).json()["tran_ref"]
        assert desk.post("pay", tran_ref=ref, card="authorised").status_code == 409
        assert desk.post("pay", tran_ref=ref).json()["code"] == "316"

    def test_completed_switch(self, desk: Any) -> None:
        """By switch it is completed at once."""
        desk.switch(stored_card_with_payer="completed")
        assert desk.create(token=stored(desk)["token"]).json()["payment_result"]["response_status"] == "A"


class TestForm:
    """The managed form, the wallet and the own form."""

    def test_once(self, desk: Any) -> None:
        """A form's token pays once, whoever comes first."""
        token = form(desk)
        desk.switch(duplicate_filter=False)
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: desk.create(payment_token=token), range(8)))
        assert sorted(one.status_code for one in answers) == [200] + [400] * 7
        assert len(desk.charges()) == 1

    def test_bad_request_does_not_spend(self, desk: Any) -> None:
        """A request that is refused for another reason leaves the token good."""
        token = form(desk)
        assert code_of(desk.create(payment_token=token, cart_amount=0)) == (400, 2)
        assert desk.create(payment_token=token).json()["payment_result"]["response_status"] == "A"

    @pytest.mark.parametrize(("decision", "status"), [("approve", "A"), ("fail", "D")])
    def test_three_ds(self, desk: Any, decision: str, status: str) -> None:
        """A card with 3-D Secure sends the payer to the bank's step."""
        answer = desk.create(payment_token=form(desk, "three_ds"), tokenise=2).json()
        assert "payment_result" not in answer
        assert "three-ds-approve" in requests.get(answer["redirect_url"], timeout=5).text
        requests.post(answer["redirect_url"], data={"action": decision}, timeout=5)
        found = desk.query(tran_ref=answer["tran_ref"]).json()
        assert found["payment_result"]["response_status"] == status
        assert ("token" in found) == (status == "A")

    def test_three_ds_at_desk(self, desk: Any) -> None:
        """At the desk the step is taken without naming the card."""
        ref = desk.create(payment_token=form(desk, "three_ds")).json()["tran_ref"]
        assert desk.post("pay", tran_ref=ref).json()["status"] == "A"

    def test_wallet(self, desk: Any) -> None:
        """A wallet is completed at once and shows less of the card."""
        info = desk.create(apple_pay_token=form(desk, "three_ds")).json()["payment_info"]
        assert set(info) == {"payment_method", "card_scheme", "payment_description"}

    def test_bare_card(self, desk: Any) -> None:
        """Bare card data is charged and written down nowhere."""
        details = {"pan": "4111111111111111", "cvv": "987", "expiry_month": 1, "expiry_year": 2033}
        done = desk.create(card_details=details)
        assert done.json()["payment_result"]["response_status"] == "A"
        assert "4111111111111111" not in done.text + json.dumps(desk.get("/sandbox/requests")) + str(desk.ledger())

    @pytest.mark.parametrize(
        ("change", "expected"),
        [({"pan": "4111111111111112"}, "200"), ({"expiry_year": 2001}, 2), ({"cvv": "1"}, 2), ({"cvv": None}, 2)],
    )
    def test_bad_card(self, desk: Any, change: dict[str, Any], expected: object) -> None:
        """A wrong number is E/200, anything else wrong is code 2."""
        details = {"pan": "4111111111111111", "cvv": "987", "expiry_month": 1, "expiry_year": 2033} | change
        document = desk.create(card_details=details).json()
        assert expected == document.get("code", document.get("payment_result", {}).get("response_code"))

    def test_refused(self, desk: Any) -> None:
        """Two instruments, an unknown token and methods with a bare card are code 2."""
        for members in (
            {"payment_token": form(desk), "token": stored(desk)["token"]},
            {"payment_token": "nonsense"},
            {"apple_pay_token": {"a": 1}},
            {"token": "nonsense"},
            {"card_details": {"pan": "4111111111111111"}},
            {"token_info": "nonsense"},
        ):
            assert code_of(desk.create(**members)) == (400, 2)
        assert desk.post("payment_token", card="4242").status_code == 400
        assert desk.charges() == []
