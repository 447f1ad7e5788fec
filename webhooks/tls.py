"""No TLS, no service: what came in the clear is turned away before anything of it is read.

A form that was posted in the clear has leaked already, and a redirect would have it sent again: 403. A page that was
asked for is shown where it belongs, at our own public address; the Host header is the sender's word and is not looked
at.
"""

from dataclasses import dataclass
from urllib.parse import quote

import structlog
from flask import Flask, Response, jsonify, request

from observability.metrics import PLAIN_HTTP_REQUESTS

log = structlog.get_logger(__name__)

#: Asked for by whoever watches the process, from inside and without TLS.
HEALTH_PATH = "/healthz"

#: A year, for this host alone: what else its domain serves is not ours to decide.
STRICT_TRANSPORT_SECURITY = "max-age=31536000"

#: What may stand in a query as it is; anything else was not escaped by its sender and is by us.
_QUERY_SAFE = "!$&'()*+,-./:;=?@_~%"


@dataclass(frozen=True)
class TlsPolicy:
    """What is asked of a connection.

    Attributes:
        required: Whether plain HTTP is turned away.
        public_url: The https address under which the receiver is known, without a slash at its end, or None.
    """

    required: bool = False
    public_url: str | None = None


def enforce_tls(app: Flask, policy: TlsPolicy) -> None:
    """Let ``app`` answer nothing but the health check over plain HTTP, and tell browsers to stay with TLS."""

    @app.before_request
    def turn_away() -> Response | None:
        if not policy.required or request.is_secure or request.path == HEALTH_PATH:
            return None
        if request.method in {"GET", "HEAD"} and policy.public_url:
            PLAIN_HTTP_REQUESTS.labels(answer="redirected").inc()
            return _redirect(policy.public_url)
        PLAIN_HTTP_REQUESTS.labels(answer="refused").inc()
        log.warning("plain_http_refused", path=request.path, remote=request.remote_addr)
        return _refuse()

    @app.after_request
    def stay_with_tls(response: Response) -> Response:
        if request.is_secure:
            response.headers["Strict-Transport-Security"] = STRICT_TRANSPORT_SECURITY
        return response


def _redirect(public_url: str) -> Response:
    query = quote(request.query_string, safe=_QUERY_SAFE)
    response = Response(status=308)
    response.location = f"{public_url}{quote(request.path)}{'?' if query else ''}{query}"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def _refuse() -> Response:
    response = jsonify(error="TLS required")
    response.status_code = 403
    return response
