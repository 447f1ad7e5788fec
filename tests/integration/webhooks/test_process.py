import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from pymongo.collection import Collection

from config.networks import bind_address
from config.settings import Settings
from tests.support.notices import notice, sign
from tests.support.waiting import eventually
from webhooks.body import MAX_BODY_BYTES
from workers.processes import environment
from workers.stack_ports import free_port

ROOT = Path(__file__).parents[3]


class Receiver:
    """A gunicorn that serves the receiver."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self.url = f"http://{bind_address(settings.receiver_host, settings.receiver_port)}"
        self.port = settings.receiver_port
        self.log = log
        command = [sys.executable, "-m", "gunicorn", "workers.wsgi:app", "-c", "workers/gunicorn_conf.py"]
        own = {"HOME": str(log.parent)}
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env={**os.environ, **environment(settings), **own}, stdout=output, stderr=output
            )
        try:
            eventually(self._answers, within_seconds=30, what="the receiver")
        except BaseException:
            self.kill()  # nobody has it to stop it
            raise

    def lines(self) -> list[dict[str, Any]]:
        """Read the log; every line must be JSON."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def stop(self) -> int:
        """End the process as a service manager does."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)

    def kill(self) -> None:
        """End the process and its workers at once."""
        with suppress(psutil.NoSuchProcess):
            family = psutil.Process(self.process.pid)
            for one in (family, *family.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    one.kill()
        self.process.wait(timeout=10)

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return requests.get(f"{self.url}/healthz", timeout=5).ok
        except requests.RequestException:
            return False  # its port takes connections before its workers can answer


@pytest.fixture
def process(settings: Settings, free_port: int, tmp_path: Path) -> Iterator[Receiver]:
    """The receiver as a process of its own."""
    running = Receiver(
        settings.model_copy(update={"receiver_port": free_port, "log_format": "json"}), tmp_path / "receiver.log"
    )
    yield running
    if running.process.poll() is None:
        running.stop()


class TestProcess:
    """The same promises hold through gunicorn, on the wire."""

    def test_life(self, process: Receiver, rows: Collection[dict[str, Any]], tmp_path: Path) -> None:
        """A notice and a return are answered; the log is JSON without a query or a key; SIGTERM ends it cleanly."""
        url, body = f"http://127.0.0.1:{process.port}", notice()
        answer = requests.post(f"{url}/webhooks/paytabs", data=body, headers=sign(body), timeout=10)
        assert (answer.status_code, answer.json()) == (200, {"status": "accepted"})
        assert rows.count_documents({}) == 1
        refused = requests.get(f"{url}/payments/return?customerEmail=buyer%40example.test", timeout=10)
        assert refused.status_code == 400
        assert process.stop() == 0
        assert "buyer" not in process.log.read_text()
        requests_logged = [line for line in process.lines() if line["event"] == "request"]
        assert [(line["path"], line["status"]) for line in requests_logged] == [
            ("/webhooks/paytabs", 200),
            ("/payments/return", 400),
        ]
        assert not list(tmp_path.rglob("*.ctl"))

    def test_repeated_header(self, process: Receiver, rows: Collection[dict[str, Any]]) -> None:
        """Two Signature headers are refused although both are right."""
        body = notice()
        connection = http.client.HTTPConnection("127.0.0.1", process.port, timeout=10)
        connection.putrequest("POST", "/webhooks/paytabs")
        connection.putheader("Content-Length", str(len(body)))
        for _ in range(2):
            connection.putheader("Signature", sign(body)["Signature"])
        connection.endheaders(body)
        assert connection.getresponse().status == 403
        connection.close()
        assert rows.count_documents({}) == 0

    @pytest.mark.parametrize(("extra", "status"), [(0, 413), (-MAX_BODY_BYTES, 200)])
    def test_chunked(self, process: Receiver, rows: Collection[dict[str, Any]], extra: int, status: int) -> None:
        """A body without Content-Length is limited as well, and taken when it is small enough."""
        body = notice(user_defined={"udf1": "x" * (MAX_BODY_BYTES + extra)})
        chunks = iter([body[start : start + 8192] for start in range(0, len(body), 8192)])
        url = f"http://127.0.0.1:{process.port}/webhooks/paytabs"
        assert requests.post(url, data=chunks, headers=sign(body), timeout=10).status_code == status
        assert rows.count_documents({}) == (1 if status == 200 else 0)

    def test_half_a_body(self, process: Receiver, rows: Collection[dict[str, Any]]) -> None:
        """A sender that hangs up in the middle of a body leaves nothing behind, and the next one is served."""
        body = notice()
        with socket.create_connection(("127.0.0.1", process.port), timeout=10) as connection:
            head = f"POST /webhooks/paytabs HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
            connection.sendall(f"{head}Signature: {sign(body)['Signature']}\r\n\r\n".encode() + body[:100])
        answer = requests.post(
            f"http://127.0.0.1:{process.port}/webhooks/paytabs", data=body, headers=sign(body), timeout=10
        )
        assert answer.status_code == 200
        assert rows.count_documents({}) == 1


Start = Callable[..., Receiver]


@pytest.fixture
def start(settings: Settings, tmp_path: Path) -> Iterator[Start]:
    """Start receivers with settings of their own; all are stopped at the end."""
    started: list[Receiver] = []

    def one(**changes: object) -> Receiver:
        own = {"receiver_port": free_port(), "log_format": "json", **changes}
        started.append(Receiver(settings.model_copy(update=own), tmp_path / f"receiver-{len(started)}.log"))
        return started[-1]

    yield one
    for receiver in started:
        if receiver.process.poll() is None:
            receiver.stop()


def post(receiver: Receiver, body: bytes, headers: dict[str, str]) -> requests.Response:
    """Post a notice."""
    return requests.post(f"{receiver.url}/webhooks/paytabs", data=body, headers=headers, timeout=10)


class TestSharedBudget:
    """A sender has one budget, however many processes answer it."""

    def test_two_servers(self, start: Start) -> None:
        """What was spent at one server, at any of its processes, is spent at the other."""
        limits = {"receiver_failure_budget": 6, "receiver_failure_window_seconds": 600}
        first, second = start(**limits), start(**limits)
        wrong, body = {"Signature": "0" * 64}, notice()
        assert [post(first, body, wrong).status_code for _ in range(4)] == [403] * 4
        answers = [post(second, body, wrong) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [403, 403, 429]
        assert 590 < int(answers[-1].headers["Retry-After"]) <= 600
        assert post(first, body, wrong).status_code == 429
        assert post(first, body, sign(body)).status_code == 200


class TestTls:
    """The same through gunicorn, which has opinions of its own about proxies."""

    def test_nobody_is_believed_by_default(self, start: Start) -> None:
        """Not even a peer on this machine may claim TLS or another address: its failures are its own."""
        receiver = start(receiver_failure_budget=2)
        for number in range(3):
            claims = {"X-Forwarded-Proto": "https", "X-Forwarded-For": f"203.0.113.{number}"}
            answer = post(receiver, notice(), claims)
            assert "Strict-Transport-Security" not in answer.headers
        assert answer.status_code == 429

    def test_trusted_proxy(self, start: Start, rows: Collection[dict[str, Any]]) -> None:
        """A notice is taken over TLS and refused without; the log names the client, not the proxy."""
        public = {"paytabs_callback_url": "https://pay.example.com/webhooks/paytabs", "paytabs_return_url": None}
        receiver = start(require_tls=True, trusted_proxies=("127.0.0.1", "::1"), **public)
        body, through = notice(), {"X-Forwarded-Proto": "https", "X-Forwarded-For": "198.51.100.1, 203.0.113.7"}
        assert post(receiver, body, {**sign(body), **through}).status_code == 200
        assert post(receiver, body, sign(body)).status_code == 403
        led = requests.get(f"{receiver.url}/payments/return?a=%20b", timeout=10, allow_redirects=False)
        assert (led.status_code, led.headers["Location"]) == (
            308,
            "https://pay.example.com/payments/return?a=%20b",
        )
        assert rows.count_documents({}) == 1
        receiver.stop()
        logged = [(line["status"], line["remote"]) for line in receiver.lines() if line["event"] == "request"]
        assert logged == [(200, "203.0.113.7"), (403, "127.0.0.1"), (308, "127.0.0.1")]

    def test_refused_body_is_not_the_next_request(self, start: Start) -> None:
        """A body that was turned away unread does not become a request of its own on a kept connection."""
        public = {"paytabs_callback_url": None, "paytabs_return_url": None}
        receiver = start(require_tls=True, trusted_proxies=("127.0.0.1",), **public)
        smuggled = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
        with requests.Session() as session:
            for _ in range(3):
                answer = session.post(f"{receiver.url}/webhooks/paytabs", data=smuggled * 100, timeout=10)
                assert (answer.status_code, answer.json()) == (403, {"error": "TLS required"})

    def test_ipv6(self, start: Start) -> None:
        """It listens on an IPv6 address, and a whole network of them is one sender."""
        receiver = start(receiver_host="::1", trusted_proxies=("::1",), receiver_failure_budget=1)
        statuses = [
            post(receiver, notice(), {"X-Forwarded-For": f"2001:db8:0:{network}::{host}"}).status_code
            for network, host in ((1, 1), (1, 2), (2, 1))
        ]
        assert statuses == [403, 429, 403]


class TestWrongSettings:
    """A receiver that cannot work does not start."""

    def test_all_mistakes(self, tmp_path: Path) -> None:
        """It ends with every mistake by its variable's name, and without a traceback."""
        kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME"}}
        wrong = {"PYTHONPATH": str(ROOT), "PAYTABS_SERVERK": "not-a-key", "RECEIVER_PORT": "many"}
        ended = subprocess.run(
            [sys.executable, "-m", "gunicorn", "workers.wsgi:app", "-c", str(ROOT / "workers/gunicorn_conf.py")],
            cwd=tmp_path,
            env={**kept, **wrong},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert ended.returncode != 0
        for variable in ("PAYTABS_SERVERK", "RECEIVER_PORT", "PAYTABS_PROFILE", "PAYTABS_REGION"):
            assert f"{variable}: " in ended.stderr
        assert "not-a-key" not in ended.stderr
        assert "Traceback" not in ended.stderr
