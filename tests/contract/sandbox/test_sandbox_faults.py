"""Faults on the wire: what the caller sees, and what happened all the same."""

import socket
import time
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests


def order(desk: Any, kind: str, path: str = "/payment/request", **members: Any) -> None:
    """Order a fault."""
    answer = desk.post("faults", path=path, kind=kind, **members)
    assert answer.status_code == 201, answer.text


def opened_pages(desk: Any) -> int:
    """Count what was really carried out."""
    return len(desk.ledger()["transactions"])


class TestConnection:
    """Connections that break."""

    def test_refused(self, desk: Any) -> None:
        """The connection is closed and nothing was carried out."""
        order(desk, "refused")
        with pytest.raises(requests.ConnectionError):
            desk.create()
        assert opened_pages(desk) == 0

    def test_cut_after_accept(self, desk: Any) -> None:
        """The connection is closed without an answer, yet the page was opened; the next call is well."""
        order(desk, "cut_after_accept")
        with pytest.raises(requests.ConnectionError):
            desk.create()
        assert opened_pages(desk) == 1
        assert desk.create(cart_id="INV-2").status_code == 200
        record = desk.get("/sandbox/requests", path="/payment/request")["requests"][0]
        assert (record["fault"], record["executed"], record["status"]) == ("cut_after_accept", True, None)

    def test_cut_without_executing(self, desk: Any) -> None:
        """The same can be ordered without effect."""
        order(desk, "cut_after_accept", executes=False)
        with pytest.raises(requests.ConnectionError):
            desk.create()
        assert opened_pages(desk) == 0

    def test_cut_mid_body(self, desk: Any) -> None:
        """The answer breaks off before its announced length."""
        order(desk, "cut_mid_body")
        with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
            desk.create()
        assert opened_pages(desk) == 1


class TestTime:
    """Answers that take long."""

    def test_slow(self, desk: Any) -> None:
        """The answer is whole and late; the call was carried out at once."""
        order(desk, "slow", seconds=0.3)
        began = time.monotonic()
        assert desk.create().status_code == 200
        assert time.monotonic() - began >= 0.3

    def test_slow_before(self, desk: Any, until: Any) -> None:
        """Waiting first, the call is carried out after its caller has gone."""
        order(desk, "slow", seconds=2.0, before=True)
        desk.timeout_seconds = 0.1
        with pytest.raises(requests.Timeout):
            desk.create()
        desk.timeout_seconds = 30.0
        assert opened_pages(desk) == 0
        until(lambda: opened_pages(desk) == 1)

    @pytest.mark.parametrize("part", ["headers", "body"])
    def test_drip(self, desk: Any, part: str) -> None:
        """The answer comes byte by byte, from its headers or its body on, and is whole in the end."""
        order(desk, "drip", path="/payment/query", interval_seconds=0.002, part=part)
        address = urlsplit(desk.url)
        body = b'{"profile_id":987654,"cart_id":"nowhere"}'
        headers = f"Host: x\r\nAuthorization: {desk.key}\r\nContent-Length: {len(body)}"
        head = f"POST /payment/query HTTP/1.1\r\n{headers}\r\n\r\n"
        pieces = []
        with socket.create_connection((address.hostname, address.port), timeout=5) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(head.encode() + body)
            while piece := connection.recv(65536):
                pieces.append(piece)
        answer = b"".join(pieces)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"\r\n\r\n[]")
        assert (len(pieces) > 20) == (part == "headers")


class TestAnswers:
    """Answers that say something else."""

    @pytest.mark.parametrize(
        ("kind", "members", "status", "executed"),
        [
            ("http_500", {}, 500, 0),
            ("http_500", {"executes": True}, 500, 1),
            ("http_502_html", {}, 502, 0),
            ("http_500_json_code", {"code": 1}, 500, 0),
            ("http_429", {}, 429, 0),
            ("html_200", {}, 200, 0),
            ("html_200", {"executes": True}, 200, 1),
            ("truncated_json", {}, 200, 1),
            ("redirect", {"location": "/elsewhere"}, 302, 0),
            ("code", {"code": 777, "http_status": 409}, 409, 0),
            ("drip", {"executes": False, "interval_seconds": 0}, 503, 0),
        ],
    )
    def test_each(self, desk: Any, kind: str, members: dict[str, Any], status: int, executed: int) -> None:
        """Each kind gives its status and body, and is carried out or not as ordered."""
        order(desk, kind, **members)
        answer = desk.create()
        assert answer.status_code == status
        assert opened_pages(desk) == executed
        if "code" in members:
            assert answer.json()["code"] == members["code"]
        else:
            with pytest.raises(requests.JSONDecodeError):
                answer.json()

    def test_retry_after(self, desk: Any) -> None:
        """429 comes with or without Retry-After."""
        order(desk, "http_429", retry_after=7)
        order(desk, "http_429")
        assert desk.create().headers["Retry-After"] == "7"
        assert "Retry-After" not in desk.create().headers


class TestQueue:
    """How orders wait."""

    def test_times_skip_match(self, desk: Any) -> None:
        """An order skips, matches, counts down and is gone."""
        order(desk, "http_500", path="/payment/*", times=2, skip=1, match={"cart_id": "A"})
        answers = [desk.query(cart_id=cart).status_code for cart in ("A", "B", "A", "A", "A")]
        assert answers == [200, 200, 500, 500, 200]
        assert desk.get("/sandbox/faults")["faults"] == []

    def test_until_cleared(self, desk: Any) -> None:
        """An order of zero times lasts until it is cleared."""
        order(desk, "http_500", path="/payment/query", times=0)
        assert [desk.query(cart_id="A").status_code for _ in range(3)] == [500, 500, 500]
        requests.delete(f"{desk.url}/sandbox/faults", timeout=5)
        assert desk.query(cart_id="A").status_code == 200

    @pytest.mark.parametrize(
        "members",
        [
            {"path": "/payment/request", "kind": "gremlin"},
            {"path": "/payment/request", "kind": "duplicated"},
            {"path": "notifications", "kind": "http_500"},
            {"path": "/payment/request", "kind": "refused", "executes": True},
            {"path": "/payment/request", "kind": "slow", "secs": 1},
            {"kind": "slow"},
        ],
    )
    def test_bad_order(self, desk: Any, members: dict[str, Any]) -> None:
        """An order that does not fit is refused and not queued."""
        assert desk.post("faults", **members).status_code == 400
        assert desk.get("/sandbox/faults")["faults"] == []

    def test_random_mishaps_repeat(self, desk: Any) -> None:
        """Random cuts and errors strike at their rate, the same way for the same seed."""

        def run() -> list[int | None]:
            desk.switch(cut_rate=0.3, error_rate=0.3, random_seed=7)
            outcomes: list[int | None] = []
            for _ in range(20):
                try:
                    outcomes.append(desk.query(cart_id="A").status_code)
                except requests.ConnectionError:
                    outcomes.append(None)
            return outcomes

        first = run()
        assert set(first) == {None, 200, 500}
        assert run() == first
