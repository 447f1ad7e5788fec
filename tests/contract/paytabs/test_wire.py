import json
import socket
import ssl
import struct
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from paytabs.client import GatewayProfile, PayTabsClient
from paytabs.errors import InvalidRequest
from paytabs.responses import Answer, Outcome

PAGE_BODY = b'{"tran_ref":"T1","cart_id":"c-1","redirect_url":"https://secure.paytabs.sa/payment/wr/5D98"}'
PAID_BODY = b'{"tran_ref":"T1","payment_result":{"response_status":"A"}}'

#: How much later than its deadline a call may end here, in seconds: a busy machine, not a second timeout.
SLACK_SECONDS = 6.0


def verdict(answer: Answer) -> tuple[Outcome, str]:
    """Give what a test compares."""
    return answer.outcome, answer.detail


def reset(connection: socket.socket) -> None:
    """Close a connection with a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def reset_after_one_byte(connection: socket.socket) -> None:
    """Close a connection with a reset once something came."""
    connection.recv(1)
    reset(connection)


class TestDeadline:
    """A call ends in time, whatever the gateway does with its connection."""

    @pytest.mark.parametrize(
        ("answer", "tls"),
        [
            (b"HTTP/1.1 200 OK\r\n" + b"X-Slow: yes\r\n" * 20, False),
            (b"HTTP/1.1 200 OK\r\n" + b"X-Slow: yes\r\n" * 20, True),
            (b"HTTP/1.1 100 Continue\r\n\r\n" * 20, False),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + b" " * 500, False),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + b" " * 500, True),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 100, False),
            (b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 500, False),
        ],
        ids=["headers", "headers-tls", "continue", "body", "body-tls", "chunks", "unbounded"],
    )
    def test_drip_fed(self, bench: Any, answer: bytes, *, tls: bool) -> None:
        """An answer fed drop by drop, in its headers or its body, does not outlive the call."""

        def script(gateway: Any, connection: socket.socket) -> None:
            gateway.read_request(connection)
            connection.sendall(answer[:60])
            bench.drip(connection, answer[60:])

        client = bench.client(bench.gateway(script, tls=tls).url, ca_bundle=str(bench.certificate))
        with bench.at_most(bench.call_timeout_seconds + SLACK_SECONDS):
            answered = client.request_page(bench.page())
        assert verdict(answered) == (Outcome.UNKNOWN, "timeout")

    def test_silence(self, bench: Any) -> None:
        """A gateway that takes the request and says nothing."""
        gateway = bench.gateway(lambda server, connection: (server.read_request(connection), connection.recv(1)))
        with bench.at_most(bench.call_timeout_seconds + SLACK_SECONDS):
            answered = bench.client(gateway.url).request_page(bench.page())
        assert verdict(answered) == (Outcome.UNKNOWN, "timeout")

    def test_frozen_accept(self, bench: Any) -> None:
        """A gateway that never accepts: the kernel took the request, so it may yet be read."""
        with (
            socket.create_server(("127.0.0.1", 0)) as frozen,
            bench.at_most(bench.call_timeout_seconds + SLACK_SECONDS),
        ):
            client = bench.client(f"http://127.0.0.1:{frozen.getsockname()[1]}")
            assert verdict(client.request_page(bench.page())) == (Outcome.UNKNOWN, "timeout")

    def test_query(self, bench: Any) -> None:
        """A query's repetitions share one deadline: the second gets what the first has left."""

        def script(gateway: Any, connection: socket.socket) -> None:
            gateway.read_request(connection)
            if len(gateway.received) == 1:
                time.sleep(2.0)
            else:
                connection.recv(1)

        gateway = bench.gateway(script)
        with bench.at_most(5.8):
            client = bench.client(gateway.url, connect_timeout_seconds=3.9, call_timeout_seconds=4.0)
            answered = client.query_tran("T1")
        assert answered.outcome is Outcome.UNKNOWN

    def test_endless_body(self, bench: Any) -> None:
        """An answer longer than any of PayTabs' is not read to its end."""

        def script(gateway: Any, connection: socket.socket) -> None:
            gateway.read_request(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                connection.sendall(b" " * 65_536)

        answered = bench.client(bench.gateway(script).url, call_timeout_seconds=20.0).request_page(bench.page())
        assert verdict(answered) == (Outcome.UNKNOWN, "too_large")


class TestBeforeTheFirstByte:
    """Whatever fails before anything was written did not happen."""

    def test_refused(self, bench: Any) -> None:
        """Nobody listens."""
        with socket.create_server(("127.0.0.1", 0)) as gone:
            port = gone.getsockname()[1]
        answered = bench.client(f"http://127.0.0.1:{port}").request_page(bench.page())
        assert verdict(answered) == (Outcome.DID_NOT_HAPPEN, "connect_refused")

    def test_unknown_name(self, bench: Any) -> None:
        """The name does not exist."""
        answered = bench.client("http://no-such-host.invalid").request_page(bench.page())
        assert verdict(answered) == (Outcome.DID_NOT_HAPPEN, "dns")

    def test_slow_name(self, bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """The resolver, which knows no timeout, hangs."""
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(6))
        with bench.at_most(bench.connect_timeout_seconds + SLACK_SECONDS):
            answered = bench.client("http://gateway.invalid").request_page(bench.page())
        assert verdict(answered) == (Outcome.DID_NOT_HAPPEN, "dns")

    def test_no_answer_to_the_connection(self, bench: Any) -> None:
        """The connection is never established, because the listener's queue is full."""
        with (
            socket.create_server(("127.0.0.1", 0), backlog=0) as full,
            socket.socket() as first,
            socket.socket() as other,
        ):
            for waiting in (first, other):
                waiting.settimeout(0)
                waiting.connect_ex(full.getsockname())
            with bench.at_most(bench.connect_timeout_seconds + SLACK_SECONDS):
                answered = bench.client(f"http://127.0.0.1:{full.getsockname()[1]}").request_page(bench.page())
        assert verdict(answered) == (Outcome.DID_NOT_HAPPEN, "connect_timeout")

    def test_fence_expired(self, bench: Any) -> None:
        """The fence has passed: the gateway sees a connection and not a single byte."""
        gateway = bench.answering(bench.http_answer(PAGE_BODY))
        answered = bench.client(gateway.url).request_page(bench.page(), not_after=time.monotonic() - 0.001)
        gateway.settle()
        assert verdict(answered) == (Outcome.DID_NOT_HAPPEN, "fence_expired")
        assert gateway.received == [b""]

    def test_fence_expires_while_connecting(self, bench: Any) -> None:
        """The fence is looked at after the handshake, however long that took."""

        def slow_handshake(_: Any, connection: socket.socket) -> None:
            time.sleep(0.2)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(bench.certificate)
            with context.wrap_socket(connection, server_side=True) as wrapped:
                received.append(wrapped.recv(1))

        received: list[bytes] = []
        gateway = bench.gateway(slow_handshake)
        client = bench.client(gateway.url.replace("http", "https"), ca_bundle=str(bench.certificate))
        answered = client.request_page(bench.page(), not_after=time.monotonic() + 0.1)
        gateway.settle()
        assert verdict(answered) == (Outcome.DID_NOT_HAPPEN, "fence_expired")
        assert b"".join(received) == b""

    def test_untrusted_certificate(self, bench: Any) -> None:
        """A certificate that nobody vouches for gets no request."""
        gateway = bench.answering(bench.http_answer(PAGE_BODY), tls=True)
        answered = bench.client(gateway.url).request_page(bench.page())
        gateway.settle()
        assert verdict(answered) == (Outcome.DID_NOT_HAPPEN, "tls")
        assert gateway.received == [b""]

    @pytest.mark.parametrize("hello", [b"", b"\x16\x03\x03\x20\x00" + b"x" * 100], ids=["silent", "drip"])
    def test_slow_handshake(self, bench: Any, hello: bytes) -> None:
        """A TLS handshake that never ends, drip-fed or silent, is given up in the time for connecting."""

        def script(_: Any, connection: socket.socket) -> None:
            connection.recv(65_536)
            bench.drip(connection, hello)
            connection.recv(65_536)

        gateway = bench.gateway(script)
        with bench.at_most(bench.connect_timeout_seconds + SLACK_SECONDS):
            answered = bench.client(gateway.url.replace("http", "https")).request_page(bench.page())
        assert verdict(answered) == (Outcome.DID_NOT_HAPPEN, "tls")

    def test_not_tls(self, bench: Any) -> None:
        """A peer that does not speak TLS at all."""
        gateway = bench.gateway(lambda _, connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
        answered = bench.client(gateway.url.replace("http", "https")).request_page(bench.page())
        assert verdict(answered) == (Outcome.DID_NOT_HAPPEN, "tls")


class TestAfterTheFirstByte:
    """Whatever fails once something was written may have happened."""

    def test_reset(self, bench: Any) -> None:
        """The connection is reset after the request was read."""

        def script(gateway: Any, connection: socket.socket) -> None:
            gateway.read_request(connection)
            reset(connection)

        gateway = bench.gateway(script)
        answered = bench.client(gateway.url).request_page(bench.page())
        assert verdict(answered) == (Outcome.UNKNOWN, "connection_lost")

    def test_reset_after_one_byte(self, bench: Any) -> None:
        """The connection is reset while the request is being read."""
        gateway = bench.gateway(lambda _, connection: reset_after_one_byte(connection))
        answered = bench.client(gateway.url).request_page(bench.page())
        assert verdict(answered) == (Outcome.UNKNOWN, "connection_lost")

    def test_reset_at_once(self, bench: Any) -> None:
        """A reset on acceptance meets either our connect or our write, and the two are told apart."""
        tries = 100
        with socket.create_server(("127.0.0.1", 0)) as listener:

            def reset_all() -> None:
                for _ in range(tries):
                    reset(listener.accept()[0])

            resetting = threading.Thread(target=reset_all, daemon=True)
            resetting.start()
            client = bench.client(f"http://127.0.0.1:{listener.getsockname()[1]}")
            verdicts = {verdict(client.request_page(bench.page())) for _ in range(tries)}
            resetting.join(timeout=5)
        assert verdicts <= {(Outcome.DID_NOT_HAPPEN, "connect_failed"), (Outcome.UNKNOWN, "connection_lost")}

    def test_closed(self, bench: Any) -> None:
        """The connection is closed without a word."""
        gateway = bench.gateway(lambda server, connection: server.read_request(connection))
        answered = bench.client(gateway.url).request_page(bench.page())
        assert verdict(answered) == (Outcome.UNKNOWN, "connection_lost")

    @pytest.mark.parametrize(
        ("answer", "detail"),
        [
            (b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + PAGE_BODY, "broken_body"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n" + PAGE_BODY[:5], "broken_body"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "broken_body"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n" + PAGE_BODY, "not_json"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 5, 7\r\n\r\n", "connection_lost"),
            (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nxxxxx", "not_json"),
            (b"HTTP/1.1 200 OK\r\nContent-Le", "empty"),
            (b"SSH-2.0-OpenSSH_9.2\r\n", "connection_lost"),
            (b"HTTP/1.1 2000 OK\r\n\r\n", "connection_lost"),
            (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", "connection_lost"),
            (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", "connection_lost"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "empty"),
            (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\n\r\n<html>", "http_5xx"),
        ],
    )
    def test_broken_answer(self, bench: Any, answer: bytes, detail: str) -> None:
        """An answer that cannot be understood, for whatever reason, leaves the outcome unknown."""
        gateway = bench.gateway(
            lambda server, connection: (server.read_request(connection), connection.sendall(answer))
        )
        answered = bench.client(gateway.url).request_page(bench.page())
        assert verdict(answered) == (Outcome.UNKNOWN, detail)

    @pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"])
    def test_redirect_not_followed(self, bench: Any, status: str) -> None:
        """A redirect would send our key and perhaps a second request elsewhere: it is not followed."""
        elsewhere = bench.answering(bench.http_answer(PAGE_BODY))
        gateway = bench.answering(bench.http_answer(b"", status, f"Location: {elsewhere.url}/payment/request"))
        answered = bench.client(gateway.url).request_page(bench.page())
        assert verdict(answered) == (Outcome.UNKNOWN, "empty")
        assert elsewhere.received == []

    @pytest.mark.parametrize("status", ["500 Oops", "503 Busy", "429 Too Many Requests"])
    def test_never_sent_twice(self, bench: Any, status: str) -> None:
        """What makes a page is sent once, whatever the answer."""
        gateway = bench.answering(bench.http_answer(b"{}", status, "Retry-After: 0"))
        assert bench.client(gateway.url).request_page(bench.page()).outcome is Outcome.UNKNOWN
        assert len(gateway.received) == 1


class TestRequest:
    """The bytes of a request."""

    def test_page(self, bench: Any) -> None:
        """Path, key, type, correlation id and the exact amount are as the contract wants them."""
        gateway = bench.answering(bench.http_answer(PAGE_BODY))
        answered = bench.client(gateway.url).request_page(bench.page(), correlation_id="run-1:a@b")
        assert verdict(answered) == (Outcome.SUCCEEDED, "redirect")
        head, _, body = bytes(gateway.received[0]).partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        assert lines[0] == b"POST /payment/request HTTP/1.1"
        assert b"Authorization: SSANDBOX01-AAAA2222BB-CCCC3333DD" in lines
        assert b"Content-Type: application/json" in lines
        assert b"X-Correlation-Id: run-1:a@b" in lines
        assert b"Connection: close" in lines
        assert b'"cart_amount":115.00,' in body

    @pytest.mark.parametrize(
        "foreign", ["x\r\nAuthorization: stolen", "x\nY: z", "x\r\n\r\n{}", "\x00", "طلب", "\ud800"]
    )
    def test_no_injection(self, bench: Any, foreign: str) -> None:
        """A foreign correlation id adds no header and no body."""
        gateway = bench.answering(bench.http_answer(PAGE_BODY))
        bench.client(gateway.url).request_page(bench.page(), correlation_id=foreign)
        head, _, body = bytes(gateway.received[0]).partition(b"\r\n\r\n")
        names = [line.partition(b":")[0].lower() for line in head.split(b"\r\n")[1:]]
        assert sorted(names) == sorted(set(names))
        assert names.count(b"authorization") == 1
        assert b"stolen" not in head.split(b"Authorization: ")[1].split(b"\r\n")[0]
        assert json.loads(body)["cart_id"] == "c-1"

    def test_one_write(self, bench: Any) -> None:
        """Head and body leave in one write, so that no pause can fall between the look at the fence and the body."""
        first: list[bytes] = []
        gateway = bench.gateway(lambda _, connection: first.append(connection.recv(65_536)))
        bench.client(gateway.url).request_page(bench.page())
        gateway.settle()
        assert first[0].endswith(b"}")

    def test_fresh_connections(self, bench: Any) -> None:
        """Every page has a connection of its own."""
        gateway = bench.answering(bench.http_answer(PAGE_BODY))
        client = bench.client(gateway.url)
        for _ in range(3):
            client.request_page(bench.page())
        assert len(gateway.received) == 3

    def test_pooled_connection(self, bench: Any) -> None:
        """Queries share one, each with a deadline of its own."""
        gateway = bench.answering(bench.http_answer(PAID_BODY))
        client = bench.client(gateway.url)
        for _ in range(3):
            assert client.query_tran("T1").outcome is Outcome.SUCCEEDED
            time.sleep(0.2)
        assert len(gateway.received) == 1

    def test_pooled_connection_closed_by_peer(self, bench: Any) -> None:
        """An idle connection that the gateway has closed costs a query nothing."""
        answer = bench.http_answer(PAID_BODY)
        gateway = bench.gateway(
            lambda server, connection: (server.read_request(connection), connection.sendall(answer))
        )
        client = bench.client(gateway.url)
        for _ in range(3):
            assert client.query_tran("T1").outcome is Outcome.SUCCEEDED
            gateway.settle()
        assert len(gateway.received) == 3

    def test_environment(self, bench: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Neither a proxy nor a .netrc file of the environment touches a call."""
        proxy = bench.answering(bench.http_answer(b"{}"))
        (tmp_path / ".netrc").write_text("machine 127.0.0.1 login someone password else\n")
        for name, value in {"HTTP_PROXY": proxy.url, "ALL_PROXY": proxy.url, "NETRC": str(tmp_path / ".netrc")}.items():
            monkeypatch.setenv(name, value)
            monkeypatch.setenv(name.lower(), value)
        gateway = bench.answering(bench.http_answer(PAGE_BODY))
        assert bench.client(gateway.url).request_page(bench.page()).outcome is Outcome.SUCCEEDED
        assert proxy.received == []
        assert b"Basic" not in gateway.received[0]

    def test_tls(self, bench: Any) -> None:
        """A call over TLS works from end to end, with the certificates we were told to trust."""
        gateway = bench.answering(bench.http_answer(PAGE_BODY), tls=True)
        client = bench.client(gateway.url, ca_bundle=str(bench.certificate))
        assert verdict(client.request_page(bench.page())) == (Outcome.SUCCEEDED, "redirect")
        for _ in range(2):
            assert client.query_tran("T9").detail == "other_tran_ref"


class TestQuery:
    """Queries are repeated, and believed only about what was asked."""

    def test_repeated(self, bench: Any) -> None:
        """A hiccup is bridged within the call."""
        busy, paid = bench.http_answer(b"", "503 Busy"), bench.http_answer(PAID_BODY)
        gateway = bench.answering(busy, paid)
        assert bench.client(gateway.url).query_tran("T1").outcome is Outcome.SUCCEEDED

    def test_other_transaction(self, bench: Any) -> None:
        """An answer about another transaction is not taken for ours."""
        gateway = bench.answering(bench.http_answer(PAID_BODY))
        answered = bench.client(gateway.url).query_tran("T2")
        assert (verdict(answered), answered.transaction) == ((Outcome.UNKNOWN, "other_tran_ref"), None)

    def test_other_cart(self, bench: Any) -> None:
        """Nor is a list with another cart's transaction in it, nor a page for another cart."""
        entries = b'[{"tran_ref":"T1","cart_id":"c-1"},{"tran_ref":"T2","cart_id":"c-2"}]'
        listing = bench.answering(bench.http_answer(entries))
        answered = bench.client(listing.url).query_cart("c-1")
        assert (verdict(answered), answered.transactions) == ((Outcome.UNKNOWN, "other_cart_id"), ())
        making = bench.answering(bench.http_answer(PAGE_BODY))
        assert bench.client(making.url).request_page(bench.page("c-9")).detail == "other_cart_id"

    @pytest.mark.parametrize("value", ["", None, 5])
    def test_no_reference(self, bench: Any, value: Any) -> None:
        """A query for nothing is our own mistake and is not sent."""
        with pytest.raises(InvalidRequest) as caught:
            bench.client("http://127.0.0.1:1").query_tran(value)
        assert caught.value.field == "tran_ref"


class TestProfile:
    """The account and its key."""

    @pytest.mark.parametrize("key", ["", "a b", "key\r\nX: y", "clé"])
    def test_key(self, key: str) -> None:
        """A key that could not be a header is refused without being shown."""
        with pytest.raises(InvalidRequest) as caught:
            GatewayProfile(1, key, "https://secure.paytabs.sa")
        assert caught.value.field == "server_key"

    @pytest.mark.parametrize(
        "url", ["", "secure.paytabs.sa", "https://u:p@host", "https://host/path", "ftp://host", "https://h\r\n"]
    )
    def test_base_url(self, url: str) -> None:
        """An address with more than a host in it is refused."""
        with pytest.raises(InvalidRequest) as caught:
            GatewayProfile(1, "S", url)
        assert caught.value.field == "base_url"

    def test_key_is_never_shown(self) -> None:
        """The key is not in the profile's representation."""
        assert "SECRET" not in repr(GatewayProfile(1, "SECRET", "https://secure.paytabs.sa"))

    def test_nothing_is_sent_by_making_a_client(self) -> None:
        """A client can be made and closed without a gateway."""
        PayTabsClient(GatewayProfile(1, "S", "http://127.0.0.1:1")).close()
