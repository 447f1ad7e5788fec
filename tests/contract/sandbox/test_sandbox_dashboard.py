"""What staff do by hand: new transactions, their notices, and money that adds up."""

from typing import Any

import pytest


def act(desk: Any, tran_ref: str, action: str, amount: object = None) -> Any:
    """Carry out an action; gives the transaction that shows it."""
    answer = desk.post("dashboard", tran_ref=tran_ref, action=action, amount=amount)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(desk: Any, tran_ref: str, action: str, amount: object = None) -> int:
    """Try an action that must not work; gives the HTTP status."""
    before = desk.ledger()
    answer = desk.post("dashboard", tran_ref=tran_ref, action=action, amount=amount)
    assert desk.ledger() == before
    assert answer.json()["error"]
    status: int = answer.status_code
    return status


def paid(desk: Any, card: str = "authorised", **members: Any) -> str:
    """Open a page and pay it; gives its reference."""
    ref: str = desk.opened(**members)["tran_ref"]
    desk.pay(ref, card)
    return ref


def balance(desk: Any) -> dict[str, str]:
    """Give the balance of the only family, in which no refund waits."""
    (only,) = desk.ledger()["balances"].values()
    assert only.pop("refund_pending") == "0"
    return dict(only)


class TestHeld:
    """A held payment is decided by hand."""

    def test_capture(self, desk: Any) -> None:
        """A capture is a new transaction that takes the money."""
        ref = paid(desk, "held")
        done = act(desk, ref, "capture")
        assert (done["tran_type"], done["previous_tran_ref"], done["status"]) == ("Capture", ref, "A")
        assert balance(desk) == {"authorised": "115.50", "captured": "115.50", "released": "0", "refunded": "0"}
        assert refused(desk, ref, "capture") == 409

    def test_partial(self, desk: Any) -> None:
        """A partial capture leaves a rest that can be released, and no more."""
        ref = paid(desk, "held")
        act(desk, ref, "capture", "100.00")
        assert refused(desk, ref, "capture", 15.51) == 409
        assert refused(desk, ref, "void") == 409
        act(desk, ref, "release")
        assert balance(desk) == {"authorised": "115.50", "captured": "100.00", "released": "15.50", "refunded": "0"}

    def test_void(self, desk: Any) -> None:
        """A void frees all and turns the original to V, unless the switch says no."""
        ref = paid(desk, "held")
        done = act(desk, ref, "void")
        assert (done["tran_type"], done["amount"]) == ("Void", "115.50")
        assert desk.query(tran_ref=ref).json()["payment_result"]["response_status"] == "V"
        assert balance(desk)["released"] == "115.50"
        desk.switch(void_changes_original=False)
        other = paid(desk, "held", cart_id="INV-2")
        act(desk, other, "void")
        assert desk.query(tran_ref=other).json()["payment_result"]["response_status"] == "H"
        assert refused(desk, other, "capture") == 409


class TestPaid:
    """A paid sale."""

    def test_void(self, desk: Any) -> None:
        """A voided sale was taken and given back."""
        ref = paid(desk)
        act(desk, ref, "void")
        assert balance(desk) == {"authorised": "115.50", "captured": "0.00", "released": "115.50", "refunded": "0"}
        assert refused(desk, ref, "refund") == 409

    def test_refund(self, desk: Any) -> None:
        """Refunds add up to what was paid and never more; the sale stays A."""
        ref = paid(desk)
        act(desk, ref, "refund", 100)
        assert refused(desk, ref, "refund", 15.51) == 409
        act(desk, ref, "refund")
        assert balance(desk)["refunded"] == "115.50"
        assert refused(desk, ref, "refund", 1) == 409
        assert desk.query(tran_ref=ref).json()["payment_result"]["response_status"] == "A"

    def test_refund_of_capture(self, desk: Any) -> None:
        """Of an authorised payment, the capture is refunded."""
        ref = paid(desk, tran_type="auth")
        assert refused(desk, ref, "refund") == 409
        capture = act(desk, ref, "capture", 50)
        assert refused(desk, capture["tran_ref"], "refund", 51) == 409
        refund = act(desk, capture["tran_ref"], "refund")
        assert (refund["previous_tran_ref"], refund["amount"]) == (capture["tran_ref"], "50.00")
        assert balance(desk)["refunded"] == "50.00"


class TestDeferred:
    """A payment to be paid later."""

    def test_settle(self, desk: Any, receiver: Any, until: Any) -> None:
        """A settlement is a new sale with the payer's reference, told to the original's callback."""
        ref = paid(desk, "pending", callback=receiver.url)
        asked = desk.query(tran_ref=ref).json()
        assert asked["tran_type"] == "Payment Request"
        assert desk.charges() == []
        done = act(desk, ref, "settle")
        assert (done["tran_type"], done["status"], done["previous_tran_ref"]) == ("Sale", "A", ref)
        assert done["code"] == asked["payment_result"]["response_code"]
        assert len(desk.charges()) == 1
        until(lambda: len(receiver.deliveries) == 2)
        (settled,) = [body for body in receiver.notices() if body["tran_ref"] == done["tran_ref"]]
        assert settled["previous_tran_ref"] == ref
        assert refused(desk, ref, "settle") == 409

    def test_decline(self, desk: Any) -> None:
        """It may also be declined, by a new sale."""
        ref = paid(desk, "pending")
        assert act(desk, ref, "decline")["status"] == "D"
        assert desk.charges() == []

    @pytest.mark.parametrize("reference", ["same", "new"])
    def test_expire(self, desk: Any, reference: str) -> None:
        """An expiry shows on the same reference, or by switch on a new one."""
        desk.switch(expiry_reference=reference)
        ref = paid(desk, "pending")
        done = act(desk, ref, "expire")
        assert (done["status"], done["code"]) == ("X", "355")
        assert (done["tran_ref"] == ref) == (reference == "same")
        assert done["previous_tran_ref"] == (None if reference == "same" else ref)


class TestExpiredPage:
    """A page nobody paid in time."""

    @pytest.mark.parametrize("reference", ["same", "new"])
    def test_cannot_be_paid(self, desk: Any, reference: str) -> None:
        """It says so and takes no card."""
        desk.switch(expiry_reference=reference)
        page = desk.opened()
        act(desk, page["tran_ref"], "expire")
        assert 'data-status="X"' in desk.submit(page["redirect_url"]).text
        assert desk.post("pay", tran_ref=page["tran_ref"]).status_code == 409
        assert desk.charges() == []


class TestNotices:
    """How actions are told."""

    @pytest.mark.parametrize(("switch", "expected"), [("capture", "Capture"), ("sale", "Sale")])
    def test_capture_reported_as(self, desk: Any, receiver: Any, until: Any, switch: str, expected: str) -> None:
        """A capture is told as the switch says, always with its origin, while a query calls it Capture."""
        desk.switch(capture_reported_as=switch)
        ref = paid(desk, "held", callback=receiver.url)
        done = act(desk, ref, "capture")
        until(lambda: len(receiver.deliveries) == 2)
        (told,) = [body for body in receiver.notices() if body["tran_ref"] == done["tran_ref"]]
        assert (told["tran_type"], told["previous_tran_ref"]) == (expected, ref)
        assert told["paymentChannel"] == "Dashboard"
        assert desk.query(tran_ref=done["tran_ref"]).json()["tran_type"] == "Capture"

    def test_own_only(self, desk: Any, receiver: Any, until: Any) -> None:
        """By switch, actions are told by IPN alone."""
        desk.switch(followup_notices="own_only", ipn_url=f"{receiver.url}/ipn")
        ref = paid(desk, callback=f"{receiver.url}/hook")
        done = act(desk, ref, "refund")
        until(lambda: len(receiver.deliveries) == 3)
        arrived = zip(receiver.deliveries, receiver.notices(), strict=True)
        paths = [one["path"] for one, body in arrived if body["tran_ref"] == done["tran_ref"]]
        assert paths == ["/ipn"]


class TestRefused:
    """Orders that make no sense."""

    def test_unknown(self, desk: Any) -> None:
        """An unknown action, transaction or member is named."""
        ref = paid(desk)
        assert refused(desk, ref, "explode") == 400
        assert refused(desk, "TST1", "void") == 404
        assert refused(desk, ref, "refund", "ten") == 400
        assert "colour" in desk.post("dashboard", tran_ref=ref, action="void", colour=1).json()["error"]

    def test_unpaid(self, desk: Any) -> None:
        """A page nobody paid can be neither captured, voided, refunded nor settled."""
        ref = desk.opened()["tran_ref"]
        for action in ("capture", "release", "void", "refund", "settle", "decline"):
            assert refused(desk, ref, action) == 409
