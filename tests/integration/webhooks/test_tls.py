from typing import Any

import pytest
from flask.testing import FlaskClient
from prometheus_client import REGISTRY
from pymongo.collection import Collection

from config.settings import Settings
from tests.integration.webhooks.test_returns import RETURN_1, SIGNATURE_1, form
from tests.support.notices import notice, sign

PATH = "/webhooks/paytabs"
RETURN = "/payments/return"
PROXY = {"REMOTE_ADDR": "10.0.0.5"}
OVER_TLS = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7"}
STRICT_TRANSPORT_SECURITY = "Strict-Transport-Security"
BEHIND_A_PROXY = {
    "trusted_proxies": ("10.0.0.0/24", "2001:db8::10"),
    "require_tls": True,
    "paytabs_callback_url": "https://pay.example.com/webhooks/paytabs",
    "paytabs_return_url": "https://pay.example.com/payments/return",
}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The receiver behind a proxy that ends TLS, as in production."""
    return settings.model_copy(update=BEHIND_A_PROXY)


def counted(answer: str) -> float:
    """Read the counter of what came in the clear."""
    return REGISTRY.get_sample_value("nestcms_plain_http_requests_total", {"answer": answer}) or 0.0


class TestPlainHttp:
    """In the clear nothing is taken and nothing is told."""

    def test_post(self, receiver: FlaskClient, rows: Collection[dict[str, Any]]) -> None:
        """A genuine notice is refused and not stored, counted, and charged to nobody."""
        body, before = notice(), counted("refused")
        for _ in range(30):
            answer = receiver.post(PATH, data=body, headers=sign(body), environ_base=PROXY)
            assert (answer.status_code, answer.json) == (403, {"error": "TLS required"})
            assert STRICT_TRANSPORT_SECURITY not in answer.headers
        assert rows.count_documents({}) == 0
        assert counted("refused") == before + 30

    def test_posted_return(self, receiver: FlaskClient) -> None:
        """A form is refused, not sent again by a redirect."""
        answer = receiver.post(RETURN, data=form(RETURN_1, SIGNATURE_1), environ_base=PROXY)
        assert answer.status_code == 403
        assert "Location" not in answer.headers

    @pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH"])
    def test_other_methods(self, receiver: FlaskClient, method: str) -> None:
        """Whatever is not asked for by a browser is refused."""
        assert receiver.open(RETURN, method=method, environ_base=PROXY).status_code == 403

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    @pytest.mark.parametrize("host", ["pay.example.com", "evil.example", "evil.example:443", ""])
    def test_get(self, receiver: FlaskClient, method: str, host: str) -> None:
        """A payer is led to our public address, whatever Host says, with every byte of the query."""
        query, before = form({**RETURN_1, "acquirerMessage": b"caf\xe9 ~!"}, SIGNATURE_1), counted("redirected")
        spoofed = {"Host": host, "X-Forwarded-Host": "evil.example"}
        answer = receiver.open(f"{RETURN}?{query}", method=method, headers=spoofed, environ_base=PROXY)
        assert answer.status_code == 308
        assert answer.headers["Location"] == f"https://pay.example.com{RETURN}?{query}"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert STRICT_TRANSPORT_SECURITY not in answer.headers
        assert counted("redirected") == before + 1

    @pytest.mark.parametrize("path", ["//evil.example/x", "/%0d%0aSet-Cookie:%20a=b", "/\\evil.example", "/x%3Fy"])
    def test_paths(self, receiver: FlaskClient, path: str) -> None:
        """No path leads away from our own host or out of the header."""
        answer = receiver.get(f"http://pay.example.com{path}", environ_base=PROXY)
        assert answer.status_code == 308
        assert answer.headers["Location"].startswith("https://pay.example.com/")
        assert "Set-Cookie" not in answer.headers

    def test_health(self, receiver: FlaskClient) -> None:
        """Whoever watches the process asks without TLS."""
        assert receiver.get("/healthz").json == {"status": "ok", "database": "ok"}


class TestOverTls:
    """Through a trusted proxy everything is as ever, and browsers are told to stay."""

    def test_notice(self, receiver: FlaskClient, rows: Collection[dict[str, Any]]) -> None:
        """A genuine notice is stored."""
        body = notice()
        answer = receiver.post(PATH, data=body, headers={**sign(body), **OVER_TLS}, environ_base=PROXY)
        assert answer.status_code == 200
        assert answer.headers[STRICT_TRANSPORT_SECURITY] == "max-age=31536000"
        assert rows.count_documents({}) == 1

    def test_return(self, receiver: FlaskClient) -> None:
        """A payer is led on, and an error has the header as well."""
        answer = receiver.get(f"{RETURN}?{form(RETURN_1, SIGNATURE_1)}", headers=OVER_TLS, environ_base=PROXY)
        assert answer.status_code == 303
        assert STRICT_TRANSPORT_SECURITY in answer.headers
        missing = receiver.get("/elsewhere", headers=OVER_TLS, environ_base=PROXY)
        assert (missing.status_code, STRICT_TRANSPORT_SECURITY in missing.headers) == (404, True)

    @pytest.mark.parametrize("proto", ["http", "", "https, http", "http, https", "ftp", "on", "https,"])
    def test_said_otherwise(self, receiver: FlaskClient, proto: str) -> None:
        """A proxy that says anything but https, for any leg, did not end TLS."""
        body, headers = notice(), {**OVER_TLS, "X-Forwarded-Proto": proto}
        answer = receiver.post(PATH, data=body, headers={**sign(body), **headers}, environ_base=PROXY)
        assert answer.status_code == 403

    @pytest.mark.parametrize("peer", ["203.0.113.7", "10.0.1.5", "127.0.0.1", "2001:db8::11", ""])
    def test_stranger(self, receiver: FlaskClient, peer: str) -> None:
        """Whoever is not on the list may claim TLS as much as it likes."""
        body = notice()
        claims = {**OVER_TLS, "X-Forwarded-Ssl": "on", "Forwarded": "proto=https"}
        answer = receiver.post(PATH, data=body, headers={**sign(body), **claims}, environ_base={"REMOTE_ADDR": peer})
        assert answer.status_code == 403
        assert STRICT_TRANSPORT_SECURITY not in answer.headers


class TestNoPublicAddress:
    """Where nobody told us our public address, nobody is sent anywhere."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        """Neither address is set."""
        return settings.model_copy(update={"paytabs_callback_url": None, "paytabs_return_url": None})

    def test_get(self, receiver: FlaskClient) -> None:
        """A GET in the clear is refused like the rest."""
        answer = receiver.get(RETURN, headers={"Host": "evil.example"}, environ_base=PROXY)
        assert answer.status_code == 403
        assert "Location" not in answer.headers


class TestPublicPrefix:
    """The proxy may show the receiver under a path of its own."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        """Only a callback, under a prefix and a port."""
        address = "https://api.example.com:8443/pay/webhooks/paytabs"
        return settings.model_copy(update={"paytabs_callback_url": address, "paytabs_return_url": None})

    def test_get(self, receiver: FlaskClient) -> None:
        """A payer is led under the same prefix."""
        answer = receiver.get(f"{RETURN}?a=1", environ_base=PROXY)
        assert answer.headers["Location"] == "https://api.example.com:8443/pay/payments/return?a=1"


class TestNotRequired:
    """On loopback, plain HTTP is the rule."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        """As the settings are by default on a desk."""
        return settings.model_copy(update={"require_tls": False})

    def test_plain(self, receiver: FlaskClient) -> None:
        """A notice is taken in the clear, without the header that would pin browsers to TLS."""
        body = notice()
        answer = receiver.post(PATH, data=body, headers=sign(body))
        assert answer.status_code == 200
        assert STRICT_TRANSPORT_SECURITY not in answer.headers


class TestClientAddress:
    """The address that is charged is the last one that no trusted proxy vouches for."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        """One failure, and the budget is spent."""
        return settings.model_copy(update={"receiver_failure_budget": 1, "require_tls": False})

    @pytest.mark.parametrize(
        ("peer", "forwarded", "client"),
        [
            ("10.0.0.5", "203.0.113.7", "203.0.113.7"),
            ("10.0.0.5", "198.51.100.1, 203.0.113.7", "203.0.113.7"),
            ("10.0.0.5", "198.51.100.1, 203.0.113.7, 10.0.0.9", "203.0.113.7"),
            ("10.0.0.5", "203.0.113.7:4711", "203.0.113.7"),
            ("10.0.0.5", "[2001:db8:7::1]:4711", "2001:db8:7::1"),
            ("10.0.0.5", "2001:db8:7::1", "2001:db8:7::1"),
            ("2001:db8::10", "2001:DB8:7:0::1", "2001:db8:7::1"),
            ("::ffff:10.0.0.5", "::ffff:203.0.113.7", "203.0.113.7"),
            ("10.0.0.5", "", "10.0.0.5"),
            ("10.0.0.5", "203.0.113.7, unknown", "10.0.0.5"),
            ("10.0.0.5", "203.0.113.7, unknown, 10.0.0.9", "10.0.0.9"),
            ("10.0.0.5", "10.0.0.8, 10.0.0.9", "10.0.0.8"),
            ("203.0.113.7", "198.51.100.1", "203.0.113.7"),
            ("203.0.113.7", "198.51.100.1, 10.0.0.5", "203.0.113.7"),
            ("127.0.0.1", "198.51.100.1", "127.0.0.1"),
        ],
    )
    def test_chain(self, receiver: FlaskClient, peer: str, forwarded: str, client: str) -> None:
        """Read from our end; nothing is believed from a stranger or beyond one."""
        forwarding = {"headers": {"X-Forwarded-For": forwarded}, "environ_base": {"REMOTE_ADDR": peer}}
        assert receiver.post(PATH, **forwarding).status_code == 403
        assert receiver.post(PATH, environ_base={"REMOTE_ADDR": client}).status_code == 429

    def test_left_end_is_no_new_budget(self, receiver: FlaskClient) -> None:
        """A client behind a trusted proxy cannot change its address by what it sends itself."""
        statuses = [
            receiver.post(
                PATH, headers={"X-Forwarded-For": f"198.51.100.{number}, 203.0.113.7"}, environ_base=PROXY
            ).status_code
            for number in range(3)
        ]
        assert statuses == [403, 429, 429]
