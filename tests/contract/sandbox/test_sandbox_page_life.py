"""How long pages live, what happens at their end, and what outlives them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from sandbox.texts import TEXTS

MINUTE = 60


def ends_in(desk: Any, tran_ref: str) -> float:
    """Tell in how many minutes a page ends, rounded."""
    (page,) = desk.get("/sandbox/pages", tran_ref=tran_ref)["pages"]
    now = datetime.fromisoformat(desk.get("/sandbox/time")["now"])
    return round((datetime.fromisoformat(page["ends_at"]) - now).total_seconds() / MINUTE)


def state(desk: Any, tran_ref: str) -> str:
    """Tell how a page stands."""
    (page,) = desk.get("/sandbox/pages", tran_ref=tran_ref)["pages"]
    return str(page["state"])


class TestLength:
    """`paypage_ttl`."""

    @pytest.mark.parametrize(("asked", "minutes"), [({}, 20), ({"paypage_ttl": 1}, 1), ({"paypage_ttl": "45"}, 45)])
    def test_minutes(self, desk: Any, asked: dict[str, Any], minutes: int) -> None:
        """It is in whole minutes, 20 where nothing was asked, and shown at the desk and on the page."""
        page = desk.opened(**asked)
        assert ends_in(desk, page["tran_ref"]) == minutes
        assert 'id="ends-at"' in requests.get(page["redirect_url"], timeout=5).text

    @pytest.mark.parametrize("asked", [0, -1, 1.5, "1.5", "", "soon", True, [], {}, "٣", 10**9, "+5", " 5"])
    def test_refused(self, desk: Any, asked: object) -> None:
        """Anything else is code 2 and names the member; an empty one counts as not given."""
        answer = desk.create(paypage_ttl=asked)
        if asked == "":
            assert answer.status_code == 200
            return
        assert (answer.status_code, answer.json()["code"]) == (400, 2)
        assert "paypage_ttl" in answer.json()["message"]
        assert desk.ledger()["transactions"] == []

    @pytest.mark.parametrize("member", ["token", "payment_token", "apple_pay_token", "card_details", "token_info"])
    def test_pages_only(self, desk: Any, member: str) -> None:
        """A payment that brings its card has no page to live."""
        token = desk.post("token").json()["token"]
        form = desk.post("payment_token").json()["payment_token"]
        details = {"pan": "4111111111111111", "cvv": "987", "expiry_month": 1, "expiry_year": 2033}
        given = {"token": token, "card_details": details, "token_info": {"token": token}}.get(member, form)
        answer = desk.create(paypage_ttl=20, **{member: given})
        assert (answer.status_code, answer.json()["code"]) == (400, 2)
        assert "paypage_ttl" in answer.json()["message"]
        assert desk.create(**{member: given}).status_code == 200

    def test_no_follow_up(self, desk: Any) -> None:
        """Nor has a follow-up."""
        answer = desk.follow(desk.paid(), "refund", 1, paypage_ttl=20)
        assert (answer.status_code, answer.json()["code"]) == (400, 2)

    def test_clock(self, desk: Any) -> None:
        """A page dies by the true clock, too: its end is its beginning and its minutes, neither later nor sooner."""
        ref = desk.opened(paypage_ttl=7)["tran_ref"]
        (page,) = desk.get("/sandbox/pages")["pages"]
        opened, ends = (datetime.fromisoformat(page[name]) for name in ("opened_at", "ends_at"))
        assert abs(opened - datetime.now(UTC)) < timedelta(seconds=30)
        assert ends - opened == timedelta(minutes=7)
        desk.let_pass(seconds=(ends - datetime.fromisoformat(desk.get("/sandbox/time")["now"])).total_seconds() - 30)
        assert state(desk, ref) == "open"
        desk.let_pass(seconds=30)
        assert state(desk, ref) == "dead"


class TestDead:
    """A page whose time is over."""

    def test_link(self, desk: Any) -> None:
        """The link says so, and payment by it is refused in every form; nothing is charged."""
        page = desk.opened()
        desk.let_pass(minutes=20)
        for answer in (requests.get(page["redirect_url"], timeout=5), desk.submit(page["redirect_url"])):
            assert answer.status_code == 410
            assert TEXTS["en"]["ended"] in answer.text
            assert 'id="card-form"' not in answer.text
        assert desk.submit(page["redirect_url"], action="cancel").status_code == 410
        refused = desk.post("pay", tran_ref=page["tran_ref"])
        assert refused.status_code == 409
        assert "has ended" in refused.json()["error"]
        assert desk.ledger()["movements"] == []

    @pytest.mark.parametrize(
        ("says", "by_ref", "by_cart"),
        [("expired", ("X", "355"), ["X"]), ("code_113", 113, []), ("code_2", 2, []), ("pending", ("P", "600"), [])],
    )
    def test_query(self, desk: Any, says: str, by_ref: object, by_cart: list[str]) -> None:
        """A query says of it what the switch says, by reference and by cart; the switch may be turned later."""
        ref = desk.opened()["tran_ref"]
        desk.let_pass(minutes=19)
        desk.switch(query_dead_page=says)
        assert desk.status(ref) == ("P", "600")
        desk.let_pass(minutes=1)
        assert desk.status(ref) == by_ref
        found = desk.query(cart_id="INV-1").json()
        assert [one["payment_result"]["response_status"] for one in found] == by_cart

    def test_expired(self, desk: Any) -> None:
        """The X has the page's end as its time, the same whenever one asks."""
        ref = desk.opened()["tran_ref"]
        desk.let_pass(minutes=20)
        times = []
        for _ in range(2):
            answer = desk.query(tran_ref=ref).json()
            times.append(answer["payment_result"]["transaction_time"])
            desk.let_pass(minutes=500)
        assert times[0] == times[1]
        assert abs(datetime.fromisoformat(times[0]) - datetime.now(UTC)) < timedelta(seconds=30)
        assert answer["payment_result"]["response_message"] == "Transaction expired"

    def test_not_told(self, desk: Any, receiver: Any) -> None:
        """Nobody is told of it."""
        desk.opened(callback=receiver.url)
        desk.let_pass(minutes=600)
        desk.query(cart_id="INV-1")
        assert desk.get("/sandbox/notifications")["fates"] == {}

    def test_told_switch(self, desk: Any, receiver: Any, until: Any) -> None:
        """By switch the merchant is told once, as X."""
        desk.switch(dead_page_notices=True)
        ref = desk.opened(callback=receiver.url)["tran_ref"]
        for _ in range(3):
            desk.let_pass(minutes=20)
            desk.query(tran_ref=ref)
        until(lambda: receiver.deliveries)
        (notice,) = receiver.notices()
        assert (notice["tran_ref"], notice["payment_result"]["response_status"]) == (ref, "X")
        assert desk.get("/sandbox/notifications")["fates"] == {"sent": 1}

    def test_one_alone(self, desk: Any) -> None:
        """Time may pass for one page alone."""
        first, second = (desk.opened(cart_id=cart)["tran_ref"] for cart in ("A", "B"))
        assert desk.let_pass(minutes=20, tran_ref=first).status_code == 200
        assert [state(desk, ref) for ref in (first, second)] == ["dead", "open"]
        assert desk.pay(second)["status"] == "A"

    def test_bad_orders(self, desk: Any) -> None:
        """Time passes forward, for something that there is."""
        for members, status in (
            ({}, 400),
            ({"minutes": -1}, 400),
            ({"hours": 1}, 400),
            ({"minutes": 1, "tran_ref": "TST1"}, 404),
            ({"minutes": 1, "invoice_id": 1}, 404),
        ):
            assert desk.let_pass(**members).status_code == status
        desk.let_pass(minutes=5)
        assert round(desk.get("/sandbox/time")["ahead_seconds"]) == 300
        desk.post("reset")
        assert desk.get("/sandbox/time")["ahead_seconds"] == 0


class TestMiddle:
    """A payer who is in the middle of it when the page ends."""

    def test_loaded(self, desk: Any) -> None:
        """Whoever loaded the form before the end may send it for ten minutes after; a new look says that it is over."""
        page = desk.opened()
        requests.get(page["redirect_url"], timeout=5)
        desk.let_pass(minutes=29)
        assert requests.get(page["redirect_url"], timeout=5).status_code == 410
        assert state(desk, page["tran_ref"]) == "ended"
        assert desk.status(page["tran_ref"]) == ("P", "600")
        assert desk.submit(page["redirect_url"]).status_code == 200
        assert desk.status(page["tran_ref"])[0] == "A"

    def test_too_late(self, desk: Any) -> None:
        """After the ten minutes it is dead for them, too."""
        page = desk.opened()
        assert desk.post("visit", tran_ref=page["tran_ref"]).json()["shows_form"] is True
        desk.let_pass(minutes=30)
        assert desk.submit(page["redirect_url"]).status_code == 410
        assert desk.status(page["tran_ref"]) == ("X", "355")

    def test_late_look(self, desk: Any) -> None:
        """Whoever loads it only after the end is not in the middle of anything."""
        page = desk.opened()
        desk.let_pass(minutes=20)
        assert desk.post("visit", tran_ref=page["tran_ref"]).json()["shows_form"] is False
        assert desk.submit(page["redirect_url"]).status_code == 410

    @pytest.mark.parametrize(
        ("rule", "loaded", "at_bank"), [("opened", True, True), ("three_ds", False, True), ("none", False, False)]
    )
    def test_rule(self, desk: Any, rule: str, loaded: bool, at_bank: bool) -> None:
        """The switch says who may finish: whoever loaded it, whoever is at the bank's step, nobody."""
        desk.switch(page_finish=rule)
        form, bank = (desk.opened(cart_id=cart)["tran_ref"] for cart in ("A", "B"))
        desk.post("visit", tran_ref=form)
        desk.pay(bank, "three_ds", three_ds="leave")
        desk.let_pass(minutes=25)
        assert desk.post("pay", tran_ref=form).ok == loaded
        assert desk.post("pay", tran_ref=bank).ok == at_bank

    def test_seconds(self, desk: Any) -> None:
        """How long they may is a switch."""
        desk.switch(page_finish_seconds=10_800)
        ref = desk.opened()["tran_ref"]
        desk.post("visit", tran_ref=ref)
        desk.let_pass(minutes=199)
        assert desk.pay(ref)["status"] == "A"

    def test_dead_at_once(self, desk: Any) -> None:
        """By switch a query calls it dead at once, and the money still comes."""
        desk.switch(query_dead_page_at_once=True, query_dead_page="code_113")
        ref = desk.opened()["tran_ref"]
        desk.post("visit", tran_ref=ref)
        desk.let_pass(minutes=21)
        assert desk.status(ref) == 113
        desk.pay(ref)
        assert desk.status(ref)[0] == "A"

    def test_bank_page(self, desk: Any) -> None:
        """The bank's step is shown after the end, and its answer counts."""
        page = desk.opened()
        desk.pay(page["tran_ref"], "three_ds", three_ds="leave")
        desk.let_pass(minutes=21)
        step = f"{page['redirect_url']}/3ds"
        assert "three-ds-approve" in requests.get(step, timeout=5).text
        requests.post(step, data={"action": "approve"}, timeout=5)
        assert desk.status(page["tran_ref"])[0] == "A"


class TestMethods:
    """Other ways to pay than cards."""

    @pytest.mark.parametrize("method", ["sadad", "aman", "basata", "fawry"])
    def test_voucher(self, desk: Any, method: str) -> None:
        """A voucher has its reference number, names its method, outlives its page and is settled after it."""
        ref = desk.opened()["tran_ref"]
        desk.pay(ref, None, method=method)
        desk.let_pass(minutes=24 * 60)
        answer = desk.query(tran_ref=ref).json()
        assert answer["payment_result"]["response_status"] == "P"
        assert len(answer["payment_result"]["response_code"]) == 12
        assert answer["payment_info"]["payment_method"].lower() == method
        assert answer["tran_type"] == "Payment Request"
        assert desk.post("dashboard", tran_ref=ref, action="settle").json()["status"] == "A"

    def test_away(self, desk: Any) -> None:
        """A payer away at a method may finish for three hours; a query names the method meanwhile."""
        ref = desk.opened()["tran_ref"]
        assert desk.pay(ref, None, method="stcpay", three_ds="leave")["status"] is None
        desk.let_pass(minutes=20 + 179)
        answer = desk.query(tran_ref=ref).json()
        assert (answer["payment_result"]["response_code"], answer["payment_info"]["payment_method"]) == (
            "600",
            "STCPay",
        )
        assert desk.pay(ref, None, method="stcpay")["status"] == "A"

    def test_away_too_long(self, desk: Any) -> None:
        """After three hours the page is dead; the switch makes it sooner."""
        refs = [desk.opened(cart_id=cart)["tran_ref"] for cart in ("A", "B")]
        desk.pay(refs[0], None, method="tabby", three_ds="leave")
        desk.let_pass(minutes=200)
        assert desk.status(refs[0]) == ("X", "355")
        desk.switch(method_finish_seconds=60)
        ref = desk.opened(cart_id="C")["tran_ref"]
        desk.pay(ref, None, method="tabby", three_ds="leave")
        desk.let_pass(minutes=21)
        assert desk.post("pay", tran_ref=ref, method="tabby").status_code == 409

    def test_on_page(self, desk: Any) -> None:
        """The page offers the methods that were asked for; a voucher comes at once, the others have a page."""
        page = desk.opened(payment_methods=["creditcard", "sadad", "stcpay"])
        html = requests.get(page["redirect_url"], timeout=5).text
        assert 'id="method-sadad"' in html
        assert 'id="method-tabby"' not in html
        away = desk.submit(page["redirect_url"], action="stcpay")
        assert away.status_code == 303
        step = desk.url + away.headers["Location"]
        assert "method-approve" in requests.get(step, timeout=5).text
        requests.post(step, data={"action": "fail"}, timeout=5)
        assert desk.status(page["tran_ref"]) == ("D", "300")

    def test_unknown(self, desk: Any) -> None:
        """An unknown method is refused."""
        assert desk.post("pay", tran_ref=desk.opened()["tran_ref"], method="shells").status_code == 400


class TestInvoice:
    """The pages of invoices."""

    def invoiced(self, desk: Any, **members: Any) -> Any:
        """Make an invoice."""
        answer = desk.call(
            "/payment/invoice/new",
            tran_type="sale",
            tran_class="ecom",
            cart_id="BILL-1",
            cart_description="Bill 1",
            cart_currency="SAR",
            cart_amount=10,
            **members,
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def test_page_dies_invoice_lives(self, desk: Any) -> None:
        """A visit after the page's death opens a new page, as long as the invoice can be paid."""
        made = self.invoiced(desk, invoice={"total": 10}, paypage_ttl=3)
        first = requests.get(made["invoice_link"], timeout=5).url
        desk.let_pass(minutes=14)
        assert requests.get(first, timeout=5).status_code == 410
        second = requests.get(made["invoice_link"], timeout=5)
        assert second.status_code == 200
        assert second.url != first
        assert desk.submit(second.url).status_code == 200
        assert desk.call("/payment/invoice/status", invoice_id=made["invoice_id"]).json()["invoice_status"] == "paid"

    def test_expiry_date(self, desk: Any) -> None:
        """An invoice ends by its `expiry_date`, and its page no later."""
        expiry = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
        made = self.invoiced(desk, invoice={"total": 10, "expiry_date": expiry})
        page = requests.get(made["invoice_link"], timeout=5).url
        desk.let_pass(minutes=5, invoice_id=made["invoice_id"])
        desk.switch(page_finish="none")
        assert requests.get(page, timeout=5).status_code == 410
        assert requests.get(made["invoice_link"], timeout=5).status_code == 410
        assert desk.submit(page).status_code == 410
        status = desk.call("/payment/invoice/status", invoice_id=made["invoice_id"]).json()
        assert status == {"invoice_status": "expired"}


class TestNotFound:
    """The code of look-ups that find nothing."""

    @pytest.mark.parametrize(("code", "http_status"), [(2, 400), (2, 404), (113, 400), (113, 404), (113, 200)])
    def test_code(self, desk: Any, code: int, http_status: int) -> None:
        """A transaction, a token or an invoice that is not there is code 2 or 113, under the switched status."""
        desk.switch(not_found_code=code, code2_http_status=http_status, query_unknown="error")
        for answer in (
            desk.query(tran_ref="TST0000000000000"),
            desk.query(cart_id="nobody's"),
            desk.call("/payment/token", token="none"),
            desk.call("/payment/token/delete", token="none"),
            desk.call("/payment/invoice/status", invoice_id=1),
        ):
            assert (answer.status_code, answer.json()["code"]) == (http_status, code)
            assert ("ErrorCode = 2000" in answer.json()["message"]) == (code == 113)

    def test_unpaid_page(self, desk: Any) -> None:
        """So is an unpaid page, where the switch makes it one that is not found."""
        desk.switch(not_found_code=113, query_unpaid_page="error")
        assert desk.status(desk.opened()["tran_ref"]) == 113
