"""The receiver as a Flask application: which routes there are and what every answer has in common.

| case | answer |
| --- | --- |
| plain HTTP where TLS is required | 403, or 308 to the public https address for GET; HSTS on HTTPS |
| no, empty, repeated or wrong signature | 403, nothing stored, counted, charged to the sender |
| the same from a sender whose failure budget is spent | 429 with Retry-After |
| body over 64 KiB | 413 |
| signed, but not JSON, or without a readable `tran_ref` or our profile | 400, kept in the inbox as `rejected` |
| the inbox's write failed or may have failed | 503 with Retry-After |
| anything else signed, incomplete, a repeat or of an unknown payment, whatever its sender has spent | 200 |
"""

import structlog
from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from observability.metrics import WEBHOOK_DELIVERIES
from webhooks.body import MAX_BODY_BYTES, limit_bodies
from webhooks.notices import NOTICE_PATH, notices
from webhooks.proxies import TrustedProxies
from webhooks.receiver import Receiver
from webhooks.returns import returns
from webhooks.tls import HEALTH_PATH, enforce_tls

log = structlog.get_logger(__name__)


def create_app(receiver: Receiver) -> Flask:
    """Return the receiver; everything it touches is in ``receiver``."""
    app = Flask("webhooks", static_folder=None)
    app.wsgi_app = TrustedProxies(app.wsgi_app, receiver.trusted_proxies)  # type: ignore[method-assign] # Flask's way
    enforce_tls(app, receiver.tls)
    receiver.budget.init_app(app)
    limit_bodies(app)
    app.register_blueprint(notices(receiver))
    app.register_blueprint(returns(receiver))
    app.register_error_handler(RequestEntityTooLarge, _too_large)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)
    app.after_request(_common_headers)

    @app.get(HEALTH_PATH)
    def healthz() -> tuple[Response, int]:
        answers = receiver.database_answers()
        members = {"status": "ok" if answers else "degraded", "database": "ok" if answers else "unavailable"}
        return jsonify(members), 200 if answers else 503

    return app


def _too_large(_error: RequestEntityTooLarge) -> tuple[Response, int]:
    if request.path == NOTICE_PATH:
        WEBHOOK_DELIVERIES.labels(result="too_large").inc()
    return jsonify(error=f"body over {MAX_BODY_BYTES} bytes"), 413


def _http_error(error: HTTPException) -> tuple[Response, int]:
    response = jsonify(error=error.name)
    response.headers.extend((name, value) for name, value in error.get_headers() if name != "Content-Type")
    return response, error.code or 500


def _unexpected(error: Exception) -> tuple[Response, int]:
    # Not acknowledged, so the sender delivers again; the traceback is for operators, the answer says nothing of it.
    log.error("request_failed", exc_info=error)
    return jsonify(error="internal error"), 500


def _common_headers(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
