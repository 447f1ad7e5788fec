"""A gateway that says exactly the bytes a test wants, when it wants them, and a client that is pointed at it."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest
import structlog

from paytabs.client import GatewayProfile, PayTabsClient
from paytabs.operations import PageRequest
from tests.contract.paytabs.shop import Shop
from tests.support.sandbox import PROFILE_ID, SERVER_KEY, Sandbox

#: The certificate of the raw gateway when it speaks TLS.
CERTIFICATE = Path(__file__).with_name("loopback.pem")

#: What a whole call may take in these tests, in seconds; short, because many of them use it up.
CALL_TIMEOUT_SECONDS = 0.6

#: What connecting may take in these tests, in seconds.
CONNECT_TIMEOUT_SECONDS = 0.5

Script = Callable[[socket.socket], None]


class RawGateway:
    """A listening socket whose every connection is handed to a script; remembers all bytes received.

    Args:
        script: Does what it likes with an accepted connection.
        tls: Whether connections are wrapped before the script gets them.
    """

    def __init__(self, script: Script, *, tls: bool = False) -> None:
        self._script = script
        self._context = _server_context() if tls else None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self.received: list[bytearray] = []
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(timeout=5)
            assert not thread.is_alive()

    def settle(self) -> None:
        """Wait for the first connection, and until the scripts begun so far have ended."""
        patience = time.monotonic() + 5
        while len(self._threads) == 1 and time.monotonic() < patience:
            time.sleep(0.005)
        for thread in self._threads[1:]:
            thread.join(timeout=5)

    def read_request(self, connection: socket.socket) -> bytes:
        """Read one whole request, remembering it."""
        received = self.received[-1]
        start = len(received)
        while True:
            head, blank, body = bytes(received[start:]).partition(b"\r\n\r\n")
            if blank and len(body) >= _content_length(head):
                return bytes(received[start:])
            chunk = connection.recv(65_536)
            if not chunk:
                return bytes(received[start:])
            received += chunk

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            self.received.append(bytearray())
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        # A peer that has given up is what many of these tests are about.
        with contextlib.suppress(OSError), contextlib.ExitStack() as closing:
            closing.enter_context(connection)
            if self._context is not None:
                connection = closing.enter_context(self._context.wrap_socket(connection, server_side=True))
            self._script(connection)

    def _start(self, target: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        thread.start()
        self._threads.append(thread)


def http_answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """Write a whole HTTP answer."""
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def drip(connection: socket.socket, content: bytes, interval_seconds: float = 0.05) -> None:
    """Send byte by byte."""
    for byte in content:
        connection.sendall(bytes([byte]))
        time.sleep(interval_seconds)


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


class Bench:
    """What a test of the wire needs: raw gateways, clients, a request, and a stopwatch."""

    drip = staticmethod(drip)
    http_answer = staticmethod(http_answer)
    certificate = CERTIFICATE
    call_timeout_seconds = CALL_TIMEOUT_SECONDS
    connect_timeout_seconds = CONNECT_TIMEOUT_SECONDS

    def __init__(self, closing: contextlib.ExitStack) -> None:
        self._closing = closing

    def gateway(self, script: Callable[[RawGateway, socket.socket], None], *, tls: bool = False) -> RawGateway:
        """Start a gateway that runs a script for each connection."""
        gateway = RawGateway(lambda connection: script(gateway, connection), tls=tls)
        return self._closing.enter_context(gateway)

    def answering(self, *answers: bytes, tls: bool = False) -> RawGateway:
        """Start a gateway that answers each request with the next of some answers, and the last one for ever."""
        left = list(answers)

        def script(gateway: RawGateway, connection: socket.socket) -> None:
            while gateway.read_request(connection):
                connection.sendall(left.pop(0) if len(left) > 1 else left[0])

        return self.gateway(script, tls=tls)

    def client(self, url: str, **options: Any) -> PayTabsClient:
        """Make a client with short timeouts."""
        timeouts = {"connect_timeout_seconds": CONNECT_TIMEOUT_SECONDS, "call_timeout_seconds": CALL_TIMEOUT_SECONDS}
        client = PayTabsClient(GatewayProfile(PROFILE_ID, SERVER_KEY, url), **(timeouts | options))
        return self._closing.enter_context(client)

    @staticmethod
    def nobody() -> int:
        """Give a loopback port that nobody listens on."""
        with socket.create_server(("127.0.0.1", 0)) as gone:
            return int(gone.getsockname()[1])

    @staticmethod
    def page(cart_id: str = "c-1") -> PageRequest:
        """Make a request for a page."""
        return PageRequest(cart_id=cart_id, cart_description="Contract 1", cart_currency="SAR", cart_amount="115.00")

    @staticmethod
    @contextlib.contextmanager
    def at_most(seconds: float) -> Iterator[None]:
        """Fail when the block takes longer."""
        began = time.monotonic()
        yield
        assert time.monotonic() - began < seconds


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Gateways and clients that are gone after the test."""
    with contextlib.ExitStack() as closing:
        yield Bench(closing)


@pytest.fixture
def shop(sandbox: Sandbox) -> Iterator[Shop]:
    """A shop whose gateway is the sandbox."""
    with PayTabsClient(GatewayProfile(PROFILE_ID, SERVER_KEY, sandbox.url), call_timeout_seconds=5.0) as client:
        yield Shop(client, sandbox)


@pytest.fixture(autouse=True)
def silent_logs() -> Iterator[None]:
    """The client's log lines, kept out of the test's output."""
    with structlog.testing.capture_logs():
        yield
