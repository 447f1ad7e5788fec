"""Stored cards over their life: how they come to be, what was agreed, when they end."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
import requests

CARTS = count()

TERMS = {
    "tokenise": 2,
    "token_type": "recurring_variable",
    "counter": 1,
    "total_count": 3,
    "payment_frequency": "MONTHLY",
    "min_amount_per_payment": 10,
    "max_amount_per_payment": "200.00",
    "min_days_between_payments": 7,
}


def charge(desk: Any, token: str, amount: object = 100, **members: Any) -> tuple[str, str]:
    """Charge a stored card without its payer; gives status and code."""
    info = {"token": token, "token_type": "recurring_variable", **members.pop("token_info", {})}
    answer = desk.create(
        cart_id=f"R-{next(CARTS)}", cart_amount=amount, tran_class="recurring", token_info=info, **members
    )
    assert answer.status_code == 200, answer.text
    result = answer.json()["payment_result"]
    return result["response_status"], result["response_code"]


def agreed(desk: Any, **terms: Any) -> str:
    """Have a payer agree to later payments; gives the token."""
    token: str = desk.post("token", token_info=terms).json()["token"]
    return token


def token_of(desk: Any, tran_ref: str) -> str | None:
    """Ask which token a transaction made."""
    token: str | None = desk.query(tran_ref=tran_ref).json().get("token")
    return token


class TestStoring:
    """How a card comes to be stored."""

    def test_register(self, desk: Any, receiver: Any, until: Any) -> None:
        """A register is verified and released in one request: success, no money, and the token in notice and query."""
        ref = desk.paid(tran_type="register", cart_id="REG", callback=receiver.url)
        until(lambda: receiver.deliveries)
        answer = desk.query(tran_ref=ref).json()
        assert (answer["tran_type"], answer["payment_result"]["response_status"]) == ("Register", "A")
        assert receiver.notices()[0]["token"] == answer["token"]
        assert "token" not in desk.query(cart_id="REG").json()[0]
        assert desk.ledger()["movements"] == []
        assert desk.followed(ref, "capture", 1)["payment_result"]["response_status"] == "E"
        assert charge(desk, answer["token"])[0] == "A"

    def test_register_declined(self, desk: Any) -> None:
        """A card that is not good is not stored."""
        ref = desk.paid("declined", tran_type="register")
        assert (desk.status(ref)[0], token_of(desk, ref)) == ("D", None)

    @pytest.mark.parametrize("ticked", [False, True])
    def test_save_card(self, desk: Any, ticked: bool) -> None:
        """Where the payer is asked, the box on the page decides; a card through the bank's step is no different."""
        page = desk.opened(tokenise=2, show_save_card=True)
        assert 'id="save-card"' in requests.get(page["redirect_url"], timeout=5).text
        box = {"save-card": "1"} if ticked else {}
        step = desk.submit(page["redirect_url"], **{"card-number": "4000 0000 0000 0002"}, **box)
        requests.post(desk.url + step.headers["Location"], data={"action": "approve"}, timeout=5)
        assert (token_of(desk, page["tran_ref"]) is not None) == ticked
        ref = desk.opened(cart_id="B", tokenise=2, show_save_card=True)["tran_ref"]
        desk.pay(ref, save_card=ticked)
        assert (token_of(desk, ref) is not None) == ticked

    @pytest.mark.parametrize(
        ("asked", "stored"), [({"tokenise": 2}, True), ({"tran_type": "register"}, True), ({}, False)]
    )
    def test_not_asked(self, desk: Any, asked: dict[str, Any], stored: bool) -> None:
        """Where nobody is asked there is no box, and the request decides; nor is a register a matter of choice."""
        page = desk.opened(**asked, show_save_card=bool(asked.get("tran_type")))
        assert 'id="save-card"' not in requests.get(page["redirect_url"], timeout=5).text
        desk.submit(page["redirect_url"])
        assert (token_of(desk, page["tran_ref"]) is not None) == stored

    def test_by_agreement(self, desk: Any) -> None:
        """`tokenise` may stand in `token_info` with all that is agreed."""
        assert token_of(desk, desk.paid(token_info=TERMS)) is not None

    @pytest.mark.parametrize(
        ("member", "value"),
        [
            ("token_type", "forever"),
            ("token_type", ["registered"]),
            ("payment_frequency", "monthly"),
            ("counter", 0),
            ("counter", "x"),
            ("total_count", 1.5),
            ("total_count", True),
            ("min_amount_per_payment", -1),
            ("max_amount_per_payment", "NaN"),
            ("min_days_between_payments", "soon"),
            ("start_date", "tomorrow"),
            ("expiry_date", "31/12/2033"),
        ],
    )
    def test_bad_terms(self, desk: Any, member: str, value: object) -> None:
        """A term that is no good is code 2 and named."""
        answer = desk.create(token_info={**TERMS, member: value})
        assert (answer.status_code, answer.json()["code"]) == (400, 2)
        assert f"token_info.{member}" in answer.json()["message"]
        assert desk.ledger()["transactions"] == []

    @pytest.mark.parametrize("kind", ["registered", "unscheduled", "recurring_fixed", "recurring_variable"])
    def test_kinds(self, desk: Any, kind: str) -> None:
        """Every kind of token is taken."""
        assert token_of(desk, desk.paid(token_info={**TERMS, "token_type": kind})) is not None


class TestAgreement:
    """Charges without the payer, within what was agreed and beyond it."""

    def test_count(self, desk: Any) -> None:
        """The payment that made the token is the first of three; the fourth is refused and takes nothing."""
        token = token_of(desk, desk.paid(token_info={**TERMS, "min_days_between_payments": 1}))
        assert token is not None
        results = []
        for _ in range(3):
            desk.let_pass(minutes=24 * 60)
            results.append(charge(desk, token))
        assert [status for status, _ in results] == ["A", "A", "E"]
        assert results[-1][1] == "996"
        assert len(desk.charges()) == 3

    def test_count_after_register(self, desk: Any) -> None:
        """A register is none of the payments."""
        ref = desk.paid(tran_type="register", token_info={"tokenise": 2, "total_count": 1})
        token = token_of(desk, ref)
        assert token is not None
        assert [charge(desk, token)[0] for _ in range(2)] == ["A", "E"]

    def test_counter(self, desk: Any) -> None:
        """A `counter` beyond the count is refused; one within moves the count on."""
        token = agreed(desk, total_count=4)
        assert charge(desk, token, token_info={"counter": 5}) == ("E", "996")
        assert charge(desk, token, token_info={"counter": 3})[0] == "A"
        assert [charge(desk, token)[0] for _ in range(2)] == ["A", "E"]

    def test_declined_counts_for_nothing(self, desk: Any) -> None:
        """Only what succeeded counts."""
        token: str = desk.post("token", card="declined", token_info={"total_count": 1}).json()["token"]
        assert [charge(desk, token) for _ in range(2)] == [("D", "316")] * 2

    def test_at_once(self, desk: Any) -> None:
        """Of many charges at once no more than were agreed succeed."""
        token = agreed(desk, total_count=3)
        with ThreadPoolExecutor(8) as pool:
            results = list(pool.map(lambda _: charge(desk, token)[0], range(12)))
        assert sorted(results) == ["A"] * 3 + ["E"] * 9

    @pytest.mark.parametrize(
        ("amount", "expected"), [(9.99, "997"), (10, None), (200, None), (200.01, "997"), ("1000", "997")]
    )
    def test_amount(self, desk: Any, amount: object, expected: str | None) -> None:
        """The amount keeps within what was agreed."""
        token = agreed(desk, min_amount_per_payment=10, max_amount_per_payment=200.0)
        status, code = charge(desk, token, amount)
        assert (status, code if status == "E" else None) == ("E" if expected else "A", expected)

    def test_days(self, desk: Any) -> None:
        """Between two payments the days have to pass, to the minute."""
        token = agreed(desk, min_days_between_payments=7)
        assert charge(desk, token)[0] == "A"
        desk.let_pass(minutes=7 * 24 * 60 - 2)
        assert charge(desk, token) == ("E", "998")
        desk.let_pass(minutes=3)
        assert charge(desk, token)[0] == "A"

    def test_dates(self, desk: Any) -> None:
        """It holds from its start to its expiry."""
        day = datetime.now(UTC) + timedelta(days=1)
        token = agreed(desk, start_date=day.isoformat(), expiry_date=(day + timedelta(days=1)).isoformat())
        results = []
        for _ in range(3):
            results.append(charge(desk, token)[0])
            desk.let_pass(minutes=24 * 60)
        assert results == ["E", "A", "E"]

    def test_payer_present(self, desk: Any) -> None:
        """With the payer before the screen the agreement binds nobody."""
        token = agreed(desk, max_amount_per_payment=1)
        ref = desk.create(token=token, cart_id="present").json()["tran_ref"]
        assert desk.pay(ref, None)["status"] == "A"

    def test_told(self, desk: Any, receiver: Any, until: Any) -> None:
        """What is refused is a transaction with a reference, and told."""
        token = agreed(desk, max_amount_per_payment=1)
        charge(desk, token, callback=receiver.url)
        until(lambda: receiver.deliveries)
        (notice,) = receiver.notices()
        assert (notice["payment_result"]["response_code"], notice["tran_class"]) == ("997", "Recurring")


class TestEnd:
    """Cards that are no more."""

    @pytest.mark.parametrize("tran_class", ["recurring", "ecom"])
    def test_expired(self, desk: Any, tran_class: str) -> None:
        """A card whose month is over is declined, whoever is present."""
        token = desk.post("token", expiry="01/2020").json()["token"]
        result = desk.create(token=token, tran_class=tran_class).json()["payment_result"]
        assert (result["response_status"], result["response_code"]) == ("D", "999")
        assert desk.charges() == []

    def test_expires(self, desk: Any) -> None:
        """A card expires as time passes."""
        soon = datetime.now(UTC) + timedelta(days=40)
        token = desk.post("token", expiry=f"{soon:%m/%Y}").json()["token"]
        assert charge(desk, token)[0] == "A"
        desk.let_pass(minutes=80 * 24 * 60)
        assert charge(desk, token) == ("D", "999")

    @pytest.mark.parametrize("code", [2, 113])
    def test_deleted(self, desk: Any, code: int) -> None:
        """A deleted card is not found, cannot be deleted again and charges nothing."""
        desk.switch(not_found_code=code)
        token = agreed(desk)
        assert desk.call("/payment/token/delete", token=token).json()["code"] == 0
        assert desk.call("/payment/token", token=token).json()["code"] == code
        assert desk.call("/payment/token/delete", token=token).json()["code"] == code
        for member in ({"token": token}, {"token_info": {"token": token}}):
            answer = desk.create(tran_class="recurring", cart_id=f"R-{next(CARTS)}", **member)
            assert (answer.status_code, answer.json()["code"]) == (400, 2)
        assert desk.charges() == []

    @pytest.mark.parametrize("expiry", ["2020", "13/2030", "1/2030", 5])
    def test_bad_expiry(self, desk: Any, expiry: object) -> None:
        """An expiry that is none is refused at the desk."""
        assert desk.post("token", expiry=expiry).status_code == 400
