"""Long runs: shares of mishaps, repeatable; and a server that keeps up."""

import re
import time
from collections import Counter
from typing import Any

import pytest
import requests

from sandbox import switches
from sandbox.creation import read_page_order
from sandbox.mishaps import Mishaps
from sandbox.switchboard import SwitchBoard

RATES = {"cut_rate": 0.2, "error_rate": 0.1, "throttle_rate": 0.05, "slow_rate": 0.05, "drip_rate": 0.1}

KINDS = {"cut_after_accept": 0.2, "http_500": 0.1, "http_429": 0.05, "slow": 0.05, "drip": 0.1}


def drawn(board: SwitchBoard, path: str, times: int) -> list[str | None]:
    """Draw the mishaps of so many calls."""
    mishaps = Mishaps(board)
    found = (mishaps.of_call(path) for _ in range(times))
    return [fault.kind if fault else None for fault in found]


class TestShares:
    """What befalls calls."""

    def test_shares(self) -> None:
        """Each kind befalls its share of the calls, the rest is well, and the same seed gives the same run."""
        board = SwitchBoard()
        board.change({**RATES, "random_seed": 11})
        kinds = drawn(board, "/payment/request", 20_000)
        counts = Counter(kinds)
        for kind, share in KINDS.items():
            assert abs(counts[kind] / 20_000 - share) < 0.012
        assert kinds == drawn(board, "/payment/request", 20_000)
        board.change({"random_seed": 12})
        assert kinds != drawn(board, "/payment/request", 20_000)

    @pytest.mark.parametrize("spared", ["money", "queries"])
    def test_spared(self, spared: str) -> None:
        """Calls that change something, or those that only look, can be spared; payers always are."""
        board = SwitchBoard()
        board.change({"cut_rate": 1, "random_faults_on": [one for one in ("money", "queries") if one != spared]})
        paths = {
            "money": ["/payment/request", "/payment/token/delete", "/payment/invoice/new", "/payment/invoice/7/cancel"],
            "queries": ["/payment/query", "/payment/token", "/payment/invoice/status", "/payment/invoice/7/status"],
        }
        for kind, some in paths.items():
            assert {befallen for path in some for befallen in drawn(board, path, 3)} == {
                None if kind == spared else "cut_after_accept"
            }
        assert drawn(board, "/payment/wr/ABC", 3) == [None] * 3

    def test_too_much(self, desk: Any) -> None:
        """Shares that exceed the whole are refused."""
        answer = desk.switch(cut_rate=0.6, error_rate=0.5)
        assert answer.status_code == 400
        assert "at most 1" in answer.json()["error"]

    def test_over_the_wire(self, desk: Any) -> None:
        """Cut calls were executed; failed ones half the time; throttled ones never; slow ones in the end."""
        desk.switch(**RATES, slow_seconds=0.05, drip_interval_seconds=0, random_seed=5, retry_after_seconds=3)
        outcomes: Counter[object] = Counter()
        for number in range(80):
            try:
                answer = desk.create(cart_id=f"INV-{number}")
                outcomes[answer.status_code] += 1
                assert answer.headers.get("Retry-After") == ("3" if answer.status_code == 429 else None)
            except requests.ConnectionError:
                outcomes["cut"] += 1
        assert set(outcomes) == {200, 429, 500, "cut"}
        records = desk.get("/sandbox/requests")["requests"]
        done = sum(one["executed"] for one in records)
        assert len(desk.ledger()["transactions"]) == done
        assert outcomes[200] + outcomes["cut"] < done < 80

    def test_notices(self, desk: Any, receiver: Any, until: Any) -> None:
        """Notices are lost, doubled and held back; in the end each that was not lost has come."""
        desk.switch(notice_drop_rate=0.3, notice_duplicate_rate=0.3, notice_reorder_rate=0.3, random_seed=3)
        refs = [desk.paid(callback=receiver.url) for _ in range(30)]
        until(lambda: desk.get("/sandbox/notifications")["waiting"] == [] and len(receiver.deliveries) > 20)
        fates = desk.get("/sandbox/notifications")["fates"]
        assert fates.keys() == {"sent", "none", "duplicated", "reordered"}
        assert sum(fates.values()) == 30
        desk.switch(notice_drop_rate=0, notice_duplicate_rate=0, notice_reorder_rate=0)
        last = desk.paid(callback=receiver.url)
        until(lambda: last in {one["tran_ref"] for one in receiver.notices()})
        until(lambda: desk.get("/sandbox/notifications")["waiting"] == [])
        copies = Counter(one["tran_ref"] for one in receiver.notices())
        arrivals = list(dict.fromkeys(one["tran_ref"] for one in receiver.notices()))
        assert 0 < len([ref for ref in refs if ref not in copies]) < 20
        assert set(copies.values()) == {1, 2, 3}
        assert arrivals != [ref for ref in refs if ref in copies]


class TestQuestions:
    """The open questions."""

    def test_each_has_a_switch(self) -> None:
        """Every question from 1 to 24 stands in the table, beside switches that exist; none is missing."""
        rows = re.findall(r"^\| (`.+?) \| (.+?) \| ([\d, ]+|-) \|$", switches.__doc__ or "", re.MULTILINE)
        numbers = {int(number) for *_, cell in rows for number in re.findall(r"\d+", cell)}
        assert numbers == set(range(1, 25))
        named = {name for cell, *_ in rows for name in re.findall(r"`(\w+)`", cell)}
        assert named == set(switches.Switches.model_fields)


class TestSpeed:
    """A server that keeps up with long runs."""

    def test_ledger(self, desk: Any, sandbox_server: Any) -> None:
        """With 5,000 transactions the ledger is shown in well under a second, one transaction at once."""
        world = sandbox_server.world
        token = desk.post("token").json()["token"]
        refs = []
        for number in range(5_000):
            members = {"profile_id": 987654, "tran_type": "sale", "tran_class": "recurring", "token": token}
            cart = {"cart_id": f"INV-{number}", "cart_description": "x", "cart_currency": "SAR", "cart_amount": 10}
            order = read_page_order({**members, **cart}, "local")
            refs.append(world.direct.charge(order, world.instruments.read(order)).tran_ref)
        began = time.process_time()
        assert len(desk.ledger()["transactions"]) == 5_001
        assert time.process_time() - began < 1
        began = time.process_time()
        assert len(desk.ledger(cart_id="INV-4999")["transactions"]) == 1
        assert len(desk.query(cart_id="INV-4999").json()) == 1
        desk.followed(refs[-1], "refund", 5)
        assert time.process_time() - began < 0.2

    def test_calls(self, desk: Any) -> None:
        """It takes a hundred calls in a second of processor time, the caller's included."""
        began = time.process_time()
        for number in range(100):
            assert desk.create(cart_id=f"INV-{number}").status_code == 200
        assert time.process_time() - began < 1
