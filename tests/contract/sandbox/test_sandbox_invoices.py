"""Invoices: both ways of each call, what they come to, and the trap of the voided one."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests


def new(desk: Any, path: str = "/payment/invoice/new", **terms: Any) -> Any:
    """Make an invoice; gives the answer."""
    answer = attempt_new(desk, path, **terms)
    assert answer.status_code == 200, answer.text
    return answer.json()


def attempt_new(desk: Any, path: str = "/payment/invoice/new", **terms: Any) -> requests.Response:
    """Ask for an invoice."""
    answer: requests.Response = desk.call(
        path,
        tran_type="sale",
        tran_class="ecom",
        cart_id="INV-1",
        cart_description="Invoice 1",
        cart_currency="SAR",
        cart_amount="9.5",
        callback=terms.pop("callback", ""),
        invoice={"total": 9.5, **terms},
    )
    return answer


def status(desk: Any, invoice_id: int) -> Any:
    """Ask how it stands in both ways, which agree."""
    posted = desk.call("/payment/invoice/status", invoice_id=invoice_id).json()
    url = f"{desk.url}/payment/invoice/{invoice_id}/status"
    assert requests.get(url, headers={"Authorization": desk.key}, timeout=5).json() == posted
    return posted


def mark_paid(desk: Any, invoice_id: int, **changes: Any) -> requests.Response:
    """Mark as paid by other means."""
    members = {"invoice_id": invoice_id, "invoice_currency": "SAR", "invoice_total": 9.5, "pay_method": "cash"}
    answer: requests.Response = desk.call(
        "/payment/invoice/paid", **{**members, "pay_description": "till 3", **changes}
    )
    return answer


def code_of(answer: requests.Response) -> tuple[int, int]:
    """Give HTTP status and code of an error envelope."""
    return answer.status_code, answer.json()["code"]


class TestNew:
    """Making one."""

    @pytest.mark.parametrize("path", ["/payment/invoice/new", "/payment/new/invoice"])
    def test_answer(self, desk: Any, path: str) -> None:
        """Both paths give number, link and a trace under its odd name; nothing is charged or opened."""
        made = new(desk, path)
        assert set(made) == {"invoice_id", "invoice_link", "trace_code"}
        assert made["invoice_link"].startswith(f"{desk.url}/payment/request/invoice/{made['invoice_id']}/")
        assert status(desk, made["invoice_id"]) == {"invoice_status": "pending"}
        assert desk.ledger()["transactions"] == []

    @pytest.mark.parametrize(
        "terms", [{"expiry_date": "2020-01-01T00:00:00+03:00"}, {"expiry_date": "soon"}, {"due_date": 7}]
    )
    def test_refused(self, desk: Any, terms: dict[str, Any]) -> None:
        """A date that has passed or is none is code 2."""
        assert code_of(attempt_new(desk, **terms)) == (400, 2)
        assert desk.get("/sandbox/invoices")["invoices"] == []

    def test_unknown(self, desk: Any) -> None:
        """An unknown number is code 2 everywhere, a wrong key 401 also without a body."""
        for path in ("status", "cancel"):
            assert code_of(desk.call(f"/payment/invoice/{path}", invoice_id=1)) == (400, 2)
        assert code_of(mark_paid(desk, 1)) == (400, 2)
        assert code_of(desk.call("/payment/invoice/x/sms", customer_details={"phone": "0500000000"})) == (400, 2)
        assert code_of(requests.get(f"{desk.url}/payment/invoice/1/status", timeout=5)) == (401, 1)
        assert requests.get(f"{desk.url}/payment/request/invoice/1/KEY", timeout=5).status_code == 404


class TestPaying:
    """Paying one."""

    def test_by_link(self, desk: Any, receiver: Any, until: Any) -> None:
        """The link leads to a page; paid, status and notice say so."""
        made = new(desk, callback=receiver.url)
        page = requests.get(made["invoice_link"], timeout=5)
        assert "/payment/wr/" in page.url
        desk.submit(page.url)
        shown = status(desk, made["invoice_id"])
        assert (shown["invoice_status"], shown["tran_status"], shown["tran_status_msg"]) == ("paid", "A", "Authorised")
        until(lambda: receiver.deliveries)
        (body,) = receiver.notices()
        assert (body["invoice_id"], body["tran_ref"]) == (made["invoice_id"], shown["tran_ref"])
        assert requests.get(made["invoice_link"], timeout=5).url == page.url
        assert len(desk.charges()) == 1

    def test_second_attempt(self, desk: Any) -> None:
        """After a failed attempt the next one is a transaction of its own."""
        number = new(desk)["invoice_id"]
        first = desk.post("pay", invoice_id=number, card="declined").json()
        assert status(desk, number) == {
            "invoice_status": "pending",
            "tran_ref": first["tran_ref"],
            "tran_status": "D",
            "tran_status_msg": "Insufficient funds",
        }
        second = desk.post("pay", invoice_id=number).json()
        assert first["tran_ref"] != second["tran_ref"] == status(desk, number)["tran_ref"]
        assert desk.post("pay", invoice_id=number).status_code == 409

    def test_trap_of_void(self, desk: Any) -> None:
        """Voided later, it stays paid; only the transaction says V."""
        number = new(desk)["invoice_id"]
        ref = desk.post("pay", invoice_id=number).json()["tran_ref"]
        desk.post("dashboard", tran_ref=ref, action="void")
        shown = status(desk, number)
        assert (shown["invoice_status"], shown["tran_status"], shown["tran_status_msg"]) == ("paid", "V", "Voided")

    def test_time(self, desk: Any) -> None:
        """Past its due date it is overdue and payable."""
        past = datetime.now(UTC) - timedelta(days=1)
        number = new(desk, due_date=past.isoformat())["invoice_id"]
        assert status(desk, number) == {"invoice_status": "overdue"}
        assert desk.post("pay", invoice_id=number).json()["status"] == "A"

    def test_expired(self, desk: Any, sandbox_server: Any) -> None:
        """Past its expiry it takes no money."""
        made = new(desk, expiry_date=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
        (invoice,) = sandbox_server.world.invoices.all()
        invoice.expiry = datetime.now(UTC) - timedelta(seconds=1)
        assert status(desk, made["invoice_id"]) == {"invoice_status": "expired"}
        assert desk.post("pay", invoice_id=made["invoice_id"]).status_code == 404
        assert requests.get(made["invoice_link"], timeout=5).status_code == 404


class TestCancel:
    """Cancelling one."""

    def test_both_ways(self, desk: Any) -> None:
        """By POST and by PUT, code is the text 0, or null by switch; its page takes no card."""
        first, second = new(desk)["invoice_id"], new(desk)
        page = requests.get(second["invoice_link"], timeout=5).url
        assert desk.call("/payment/invoice/cancel", invoice_id=first).json()["code"] == "0"
        desk.switch(invoice_cancel_code="null")
        url = f"{desk.url}/payment/invoice/{second['invoice_id']}/cancel"
        answer = requests.put(url, headers={"Authorization": desk.key}, timeout=5).json()
        assert (answer["code"], set(answer)) == (None, {"code", "message", "trace"})
        assert [status(desk, one)["invoice_status"] for one in (first, second["invoice_id"])] == ["cancelled"] * 2
        desk.submit(page)
        assert desk.charges() == []
        assert code_of(desk.call("/payment/invoice/cancel", invoice_id=first)) == (400, 2)

    def test_final_ones(self, desk: Any) -> None:
        """A paid one is not cancelled and a cancelled one not marked as paid, unless the switch allows it."""
        paid, cancelled = new(desk)["invoice_id"], new(desk)["invoice_id"]
        desk.post("pay", invoice_id=paid)
        desk.call("/payment/invoice/cancel", invoice_id=cancelled)
        assert code_of(desk.call("/payment/invoice/cancel", invoice_id=paid)) == (400, 2)
        assert code_of(mark_paid(desk, cancelled)) == (400, 2)
        desk.switch(final_invoices="allowed")
        assert desk.call("/payment/invoice/cancel", invoice_id=paid).status_code == 200
        assert mark_paid(desk, cancelled).status_code == 200
        assert [status(desk, one)["invoice_status"] for one in (paid, cancelled)] == ["cancelled", "paid"]
        assert len(desk.charges()) == 1


class TestOther:
    """Texts, and money that went another way."""

    def test_sms(self, desk: Any) -> None:
        """A text goes to the number given, which must be given."""
        number = new(desk)["invoice_id"]
        answer = desk.call(f"/payment/invoice/{number}/sms", customer_details={"phone": "0500000000"})
        assert set(answer.json()) == {"message", "trace"}
        assert code_of(desk.call(f"/payment/invoice/{number}/sms")) == (400, 2)
        assert desk.get("/sandbox/invoices")["invoices"][0]["texts_sent"] == ["0500000000"]

    def test_paid(self, desk: Any) -> None:
        """Marked as paid it has a transaction, which moved nothing and cannot be refunded."""
        number = new(desk)["invoice_id"]
        answer = mark_paid(desk, number).json()
        assert (answer["invoice_id"], answer["pay_method"], answer["pay_description"]) == (number, "cash", "till 3")
        assert answer["invoice_total"] == "9.5"
        assert status(desk, number)["tran_ref"] == answer["tran_ref"]
        assert desk.ledger()["movements"] == []
        refund = desk.followed(answer["tran_ref"], "refund", 9.5)
        assert refund["payment_result"]["response_code"] == "992"
        assert code_of(mark_paid(desk, number)) == (400, 2)

    @pytest.mark.parametrize(
        ("change", "code"),
        [({"invoice_total": 9.49}, 2), ({"pay_method": "shells"}, 2), ({"invoice_currency": "USD"}, 206)],
    )
    def test_paid_refused(self, desk: Any, change: dict[str, Any], code: int) -> None:
        """Another sum, currency or an unknown method is refused."""
        number = new(desk)["invoice_id"]
        assert code_of(mark_paid(desk, number, **change)) == (400, code)
        assert status(desk, number) == {"invoice_status": "pending"}
