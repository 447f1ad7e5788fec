"""Callbacks and IPNs: who is told, what, how often and signed with what."""

import json
import time
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from sandbox.signing import sign_body

OTHER_KEY = "SOTHER0000-AAAA2222BB-CCCC3333DD"


class TestDelivery:
    """One event, one notice per channel."""

    def test_callback(self, desk: Any, receiver: Any, until: Any) -> None:
        """A payment is told to its callback: signed over the exact bytes, one line without spaces."""
        page = desk.opened(callback=f"{receiver.url}/hook", user_defined={"udf1": "x"}, customer_ref="C-42")
        desk.pay(page["tran_ref"])
        until(lambda: receiver.deliveries)
        (delivery,) = receiver.deliveries
        assert delivery["path"] == "/hook"
        assert delivery["signature"] == sign_body(delivery["body"], desk.key)
        body = json.loads(delivery["body"])
        assert json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode() == delivery["body"]
        assert (body["tran_ref"], body["cart_id"], body["profile_id"]) == (page["tran_ref"], "INV-1", 987654)
        assert (body["cart_amount"], body["tran_total"], body["tran_currency"]) == ("115.50", "115.50", "SAR")
        assert (body["tran_type"], body["tran_class"]) == ("Sale", "ECom")
        assert body["payment_result"]["response_status"] == "A"
        assert (body["user_defined"], body["customer_ref"]) == ({"udf1": "x"}, "C-42")
        assert body["ipn_trace"].startswith("IPNS0201.")
        assert not {"original_tran_type", "trace", "previous_tran_ref"} & set(body)

    def test_both_channels(self, desk: Any, receiver: Any, until: Any) -> None:
        """With callback and IPN there are two copies that differ in their ipn_trace only."""
        desk.switch(ipn_url=f"{receiver.url}/ipn")
        desk.pay(desk.opened(callback=f"{receiver.url}/hook")["tran_ref"])
        until(lambda: len(receiver.deliveries) == 2)
        first, second = receiver.notices()
        assert {one["path"] for one in receiver.deliveries} == {"/hook", "/ipn"}
        assert first.pop("ipn_trace") != second.pop("ipn_trace")
        assert first == second

    @pytest.mark.parametrize(
        ("order", "channels"), [("callback_first", ["callback", "ipn"]), ("ipn_first", ["ipn", "callback"])]
    )
    def test_order(self, desk: Any, receiver: Any, order: str, channels: list[str]) -> None:
        """A switch says which copy is due first, however long it then takes on its way."""
        desk.switch(ipn_url=f"{receiver.url}/ipn", notice_order=order, notice_delay_seconds=600)
        desk.pay(desk.opened(callback=f"{receiver.url}/hook")["tran_ref"])
        waiting = desk.get("/sandbox/notifications")["waiting"]
        assert [one["channel"] for one in waiting] == channels
        assert waiting[0]["due_in_seconds"] < waiting[1]["due_in_seconds"]

    def test_channels_off(self, desk: Any, receiver: Any, until: Any) -> None:
        """Each channel can be switched off."""
        desk.switch(ipn_url=f"{receiver.url}/ipn", notify_callback=False)
        desk.pay(desk.opened(callback=f"{receiver.url}/hook")["tran_ref"])
        until(lambda: receiver.deliveries)
        time.sleep(0.1)
        assert [one["path"] for one in receiver.deliveries] == ["/ipn"]

    @pytest.mark.parametrize(
        "expected", [("declined", "Sale", "D"), ("held", "Auth", "H"), ("pending", "Payment Request", "P")]
    )
    def test_other_results(self, desk: Any, receiver: Any, until: Any, expected: tuple[str, str, str]) -> None:
        """Results other than success are told as well."""
        card, tran_type, status = expected
        desk.pay(desk.opened(callback=receiver.url)["tran_ref"], card)
        until(lambda: receiver.deliveries)
        (body,) = receiver.notices()
        assert (body["tran_type"], body["payment_result"]["response_status"]) == (tran_type, status)

    def test_strict_ipn(self, desk: Any, receiver: Any, until: Any) -> None:
        """A strict IPN to an address without TLS has an empty body."""
        desk.switch(ipn_url=f"{receiver.url}/ipn", strict_ipn=True)
        desk.pay(desk.opened()["tran_ref"])
        until(lambda: receiver.deliveries)
        assert receiver.deliveries[0]["body"] == b""


class TestRetry:
    """Re-delivery until 200."""

    def test_until_accepted(self, desk: Any, receiver: Any, until: Any) -> None:
        """Anything but 200, a redirect included, is delivered again: the same bytes, at growing distances."""
        receiver.statuses = [503, 302, 204]
        desk.switch(retry_base_seconds=0.05, retry_factor=3, retry_scale=1)
        desk.pay(desk.opened(callback=receiver.url)["tran_ref"])
        until(lambda: len(receiver.deliveries) == 4)
        time.sleep(0.1)
        assert len({one["body"] for one in receiver.deliveries}) == 1
        times = [one["at"] for one in receiver.deliveries]
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert all(gap > wait for gap, wait in zip(gaps, [0.04, 0.14, 0.44], strict=True))
        log = desk.get("/sandbox/notifications")
        assert [one["status"] for one in log["notifications"]] == [503, 302, 204, 200]
        assert [one["attempt"] for one in log["notifications"]] == [1, 2, 3, 4]
        assert log["waiting"] == []

    def test_gives_up(self, desk: Any, receiver: Any, until: Any) -> None:
        """After five re-deliveries it stops."""
        receiver.statuses = [500] * 20
        desk.switch(retry_scale=0)
        desk.pay(desk.opened(callback=receiver.url)["tran_ref"])
        until(lambda: len(receiver.deliveries) == 6)
        time.sleep(0.1)
        assert len(receiver.deliveries) == 6

    def test_nobody_listens(self, desk: Any, until: Any) -> None:
        """An address where nobody listens is an attempt without a status, tried again later."""
        page = desk.opened(callback="http://127.0.0.1:9/hook")
        desk.pay(page["tran_ref"])
        until(lambda: desk.get("/sandbox/notifications", tran_ref=page["tran_ref"])["waiting"])
        (attempt,) = desk.get("/sandbox/notifications")["notifications"]
        assert (attempt["status"], attempt["error"]) == (None, "ConnectionError")


class TestFaults:
    """Notices that go wrong on order."""

    def order(self, desk: Any, kind: str, **members: Any) -> None:
        """Order a fault of notifications."""
        answer = desk.post("faults", path="notifications", kind=kind, **members)
        assert answer.status_code == 201, answer.text

    def test_none(self, desk: Any, receiver: Any, until: Any) -> None:
        """A lost notice never comes; the next one does."""
        self.order(desk, "none")
        desk.pay(desk.opened(callback=receiver.url)["tran_ref"])
        desk.pay(desk.opened(callback=receiver.url, cart_id="INV-2")["tran_ref"])
        until(lambda: receiver.deliveries)
        time.sleep(0.1)
        assert [body["cart_id"] for body in receiver.notices()] == ["INV-2"]

    def test_duplicated(self, desk: Any, receiver: Any, until: Any) -> None:
        """A duplicated notice comes in identical copies."""
        self.order(desk, "duplicated", copies=3)
        desk.pay(desk.opened(callback=receiver.url)["tran_ref"])
        until(lambda: len(receiver.deliveries) == 3)
        assert len({one["body"] for one in receiver.deliveries}) == 1

    def test_delayed(self, desk: Any, receiver: Any, until: Any) -> None:
        """A delayed notice comes later."""
        self.order(desk, "delayed", seconds=0.3)
        began = time.monotonic()
        desk.pay(desk.opened(callback=receiver.url)["tran_ref"])
        until(lambda: receiver.deliveries)
        assert receiver.deliveries[0]["at"] - began >= 0.3

    def test_reordered(self, desk: Any, receiver: Any, until: Any) -> None:
        """A follow-up's notice overtakes its parent's."""
        self.order(desk, "reordered", seconds=5)
        page = desk.opened(callback=receiver.url)
        desk.pay(page["tran_ref"], "pending")
        desk.post("dashboard", tran_ref=page["tran_ref"], action="settle")
        until(lambda: len(receiver.deliveries) == 2)
        assert [body["payment_result"]["response_status"] for body in receiver.notices()] == ["A", "P"]

    def test_reordered_alone(self, desk: Any, receiver: Any, until: Any) -> None:
        """A held notice that nobody overtakes comes after its time."""
        self.order(desk, "reordered", seconds=0.1)
        desk.pay(desk.opened(callback=receiver.url)["tran_ref"])
        until(lambda: receiver.deliveries)

    def test_wrong_signature(self, desk: Any, receiver: Any, until: Any) -> None:
        """A wrong signature is well-formed and does not fit."""
        self.order(desk, "wrong_signature")
        desk.pay(desk.opened(callback=receiver.url)["tran_ref"])
        until(lambda: receiver.deliveries)
        (delivery,) = receiver.deliveries
        assert len(delivery["signature"]) == 64
        assert delivery["signature"] != sign_body(delivery["body"], desk.key)

    def test_old_key(self, desk: Any, receiver: Any, until: Any) -> None:
        """A notice can be signed with the key of before a rotation."""
        self.order(desk, "old_key", key=OTHER_KEY)
        desk.pay(desk.opened(callback=receiver.url)["tran_ref"])
        until(lambda: receiver.deliveries)
        (delivery,) = receiver.deliveries
        assert delivery["signature"] == sign_body(delivery["body"], OTHER_KEY)


class TestNotify:
    """Notices at will."""

    def test_genuine(self, desk: Any, receiver: Any) -> None:
        """Without changes it is the notice of how things stand, delivered before the answer."""
        page = desk.opened(callback=f"{receiver.url}/hook")
        answer = desk.post("notify", tran_ref=page["tran_ref"]).json()
        assert answer["status"] == 200
        (delivery,) = receiver.deliveries
        assert delivery["signature"] == sign_body(delivery["body"], desk.key)

    def test_altered(self, desk: Any, receiver: Any) -> None:
        """Any member can be altered or left out, and the signature is genuine."""
        page = desk.opened(callback=receiver.url)
        changes = {"tran_total": "1.00", "cart_currency": "USD", "profile_id": 1, "response_status": "A", "note": "x"}
        desk.post("notify", tran_ref=page["tran_ref"], as_tran_ref="TST0000000000000", omit=["cart_id"], **changes)
        (body,) = receiver.notices()
        assert (body["tran_total"], body["cart_currency"], body["profile_id"]) == ("1.00", "USD", 1)
        assert (body["payment_result"]["response_status"], body["note"]) == ("A", "x")
        assert body["tran_ref"] == "TST0000000000000"
        assert "cart_id" not in body
        (delivery,) = receiver.deliveries
        assert delivery["signature"] == sign_body(delivery["body"], desk.key)
        assert desk.ledger()["transactions"][0]["status"] is None

    def test_signature(self, desk: Any, receiver: Any) -> None:
        """Another key, an exact header and an exact body can be given."""
        ref = desk.opened()["tran_ref"]
        desk.post("notify", tran_ref=ref, url=receiver.url, sign_with=OTHER_KEY)
        desk.post("notify", tran_ref=ref, url=receiver.url, signature="forged")
        desk.post("notify", tran_ref=ref, url=receiver.url, body="{not json", channel="ipn")
        first, second, third = receiver.deliveries
        assert first["signature"] == sign_body(first["body"], OTHER_KEY)
        assert second["signature"] == "forged"
        assert (third["body"], third["signature"]) == (b"{not json", sign_body(b"{not json", desk.key))

    def test_exact_repetition(self, desk: Any, receiver: Any) -> None:
        """A log entry's body and signature send the very same delivery again."""
        ref = desk.opened(callback=receiver.url)["tran_ref"]
        sent = desk.post("notify", tran_ref=ref).json()
        desk.post("notify", tran_ref=ref, body=sent["body"], signature=sent["signature"])
        first, second = receiver.deliveries
        assert (first["body"], first["signature"]) == (second["body"], second["signature"])

    def test_no_address(self, desk: Any) -> None:
        """Without an address it is refused."""
        assert desk.post("notify", tran_ref=desk.opened()["tran_ref"]).status_code == 409
        assert desk.post("notify", tran_ref="TST1").status_code == 404


class TestRandomOrder:
    """By default either copy may come first."""

    def test_both_happen(self, desk: Any, receiver: Any, until: Any) -> None:
        """Among 24 payments both orders occur (a fair coin fails once in 8 million runs)."""
        desk.switch(ipn_url=f"{receiver.url}/ipn")
        firsts: Counter[str] = Counter()
        for number in range(24):
            ref = desk.opened(callback=f"{receiver.url}/hook", cart_id=f"INV-{number}")["tran_ref"]
            desk.pay(ref)
            until(lambda count=2 * number + 2: len(receiver.deliveries) == count)
            firsts[receiver.deliveries[2 * number]["path"]] += 1
        assert len(firsts) == 2
