"""A sandbox on a free port, in this process, and a receiver that takes its notices."""

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs
from uuid import uuid4

import pytest
import requests

from sandbox.__main__ import DEFAULT_PROFILE
from sandbox.server import SandboxServer
from sandbox.world import World

KEY = DEFAULT_PROFILE.server_key


class SandboxReceiver:
    """A merchant's receiver: remembers what came, answers what it is told."""

    def __init__(self) -> None:
        self.deliveries: list[dict[str, Any]] = []
        self.statuses: list[int] = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"] or 0))
                received = {"path": self.path, "body": body, "signature": self.headers["Signature"]}
                received["agent"] = self.headers["User-Agent"]
                receiver.deliveries.append({**received, "at": time.monotonic()})
                self.send_response(receiver.statuses.pop(0) if receiver.statuses else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def notices(self) -> list[dict[str, Any]]:
        """Give the parsed bodies, in order of arrival."""
        return [json.loads(one["body"]) for one in self.deliveries]


class SandboxDesk:
    """A merchant's and a tester's hands on one sandbox."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.key = KEY
        self.timeout_seconds = 5.0

    def call(self, path: str, key: str = KEY, **members: Any) -> requests.Response:
        """Call the API with JSON members."""
        body = json.dumps({"profile_id": DEFAULT_PROFILE.profile_id, **members})
        return self.send(path, body, key=key)

    def send(self, path: str, body: str, **headers: str) -> requests.Response:
        """Call the API with an exact body."""
        headers = {"Authorization": headers.pop("key", KEY)} | headers
        timeout = self.timeout_seconds
        return requests.post(self.url + path, data=body, headers=headers, timeout=timeout, allow_redirects=False)

    def create(self, **changes: Any) -> requests.Response:
        """Ask for a hosted page."""
        members = {
            "tran_type": "sale",
            "tran_class": "ecom",
            "cart_id": "INV-1",
            "cart_description": "Invoice 1",
            "cart_currency": "SAR",
            "cart_amount": 115.5,
            "customer_details": {"name": "Test Buyer", "email": "buyer@example.test"},
        }
        return self.call("/payment/request", **{**members, **changes})

    def opened(self, **changes: Any) -> Any:
        """Ask for a hosted page and get it."""
        answer = self.create(**changes)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def follow(self, tran_ref: str, kind: str, amount: object, **changes: Any) -> requests.Response:
        """Ask for a follow-up under a cart of its own."""
        members = {
            "tran_ref": tran_ref,
            "tran_type": kind,
            "tran_class": "ecom",
            "cart_id": f"op-{uuid4()}",
            "cart_description": f"{kind} it",
            "cart_currency": "SAR",
            "cart_amount": amount,
        }
        return self.call("/payment/request", **{**members, **changes})

    def followed(self, tran_ref: str, kind: str, amount: object, **changes: Any) -> Any:
        """Ask for a follow-up and get a normal answer."""
        answer = self.follow(tran_ref, kind, amount, **changes)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def paid(self, card: str = "authorised", **members: Any) -> str:
        """Open a page under a cart of its own and pay it; gives its reference."""
        ref: str = self.opened(**{"cart_id": f"INV-{uuid4()}", **members})["tran_ref"]
        self.pay(ref, card)
        return ref

    def balance(self, tran_ref: str) -> dict[str, str]:
        """Give the sums of a family that are not zero, by the reference it began with."""
        sums = self.ledger()["balances"][tran_ref]
        return {name: amount for name, amount in sums.items() if float(amount)}

    def query(self, **members: Any) -> requests.Response:
        """Query."""
        return self.call("/payment/query", **members)

    def get(self, path: str, /, **params: Any) -> Any:
        """Read from the desk."""
        return requests.get(f"{self.url}{path}", params=params, timeout=5).json()

    def post(self, act: str, /, **members: Any) -> requests.Response:
        """Act at the desk."""
        return requests.post(f"{self.url}/sandbox/{act}", json=members, timeout=5)

    def switch(self, **changes: Any) -> requests.Response:
        """Set switches."""
        return requests.put(f"{self.url}/sandbox/switches", json=changes, timeout=5)

    def pay(self, tran_ref: str, card: str | None = "authorised", **members: Any) -> Any:
        """Press Pay without a browser."""
        answer = self.post("pay", tran_ref=tran_ref, card=card, **members)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def let_pass(self, **members: Any) -> requests.Response:
        """Let time pass: `minutes` or `seconds`, for one `tran_ref` or `invoice_id` if named."""
        return self.post("time", **members)

    def status(self, tran_ref: str) -> Any:
        """Ask how a transaction stands: status and code of the result as a pair, or the code of the refusal."""
        answer = self.query(tran_ref=tran_ref).json()
        if "code" in answer:
            return int(answer["code"])
        return answer["payment_result"]["response_status"], answer["payment_result"]["response_code"]

    def submit(self, page_url: str, **fields: str) -> requests.Response:
        """Send the page's form."""
        form = {"card-number": "4111 1111 1111 1111", "expiry": "12/33", "cvv": "123", "action": "pay"}
        return requests.post(page_url, data=form | fields, timeout=5, allow_redirects=False)

    def ledger(self, **params: str) -> Any:
        """Read the ledger."""
        return self.get("/sandbox/ledger", **params)

    def charges(self) -> list[dict[str, Any]]:
        """Give every movement that took money."""
        return [one for one in self.ledger()["movements"] if one["kind"] == "charge"]


@pytest.fixture(scope="module")
def sandbox_server() -> Iterator[SandboxServer]:
    """One sandbox for the module."""
    with SandboxServer(World(DEFAULT_PROFILE)) as server:
        yield server


@pytest.fixture
def desk(sandbox_server: SandboxServer) -> SandboxDesk:
    """The sandbox, forgetful of earlier tests."""
    sandbox_server.world.reset()
    return SandboxDesk(sandbox_server.url)


@pytest.fixture
def receiver() -> Iterator[SandboxReceiver]:
    """A merchant's receiver."""
    receiver = SandboxReceiver()
    yield receiver
    receiver.close()


@pytest.fixture
def until() -> Callable[[Callable[[], object]], None]:
    """Wait for a condition, at most half a minute."""

    def wait(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, "the awaited did not come within 30 s"
            time.sleep(0.01)

    return wait


@pytest.fixture
def fields_of() -> Callable[[str], dict[str, str]]:
    """Read a query string."""

    def read(query: str) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()}

    return read
