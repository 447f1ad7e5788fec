"""Server-to-server notices: nothing is read before its signature fits, nothing is acknowledged before it is durable."""

import re
import time
from collections.abc import Callable
from typing import TypeVar

import structlog
from flask import Blueprint, Response, jsonify, request

from observability.metrics import FAILED_SIGNATURES, INBOX_WRITE_SECONDS, WEBHOOK_DELIVERIES
from payments.errors import InboxUnavailable
from paytabs.signature import verify_body
from webhooks.body import read_body
from webhooks.receiver import PROCESS_TASK, Receiver, hand_over, new_correlation_id

log = structlog.get_logger(__name__)

#: Where PayTabs posts to.
NOTICE_PATH = "/webhooks/paytabs"

#: Seconds after which the sender should come again when a delivery could not be stored for certain.
RETRY_AFTER_SECONDS = 10

#: The only form of a signature: HMAC-SHA256 in lower-case hex. A repeated header arrives joined by commas and fails.
_SIGNATURE = re.compile(r"[0-9a-f]{64}")

Value = TypeVar("Value")


def notices(receiver: Receiver) -> Blueprint:
    """Return the route that PayTabs posts its callbacks and IPNs to."""
    blueprint = Blueprint("notices", __name__)

    @blueprint.post(NOTICE_PATH)
    def receive() -> tuple[Response, int]:
        return _receive(receiver)

    return blueprint


def _receive(receiver: Receiver) -> tuple[Response, int]:
    body = read_body()
    if reason := _signature_fault(body, receiver):
        FAILED_SIGNATURES.labels(channel="notice", reason=reason).inc()
        return _refuse(receiver, reason, len(body))
    correlation_id = new_correlation_id()
    try:
        return _record(receiver, body, correlation_id)
    except InboxUnavailable as error:
        log.error(  # noqa: TRY400 - the reason says it all; the driver's traceback names hosts
            "notice_not_stored",
            delivery_id=error.delivery_id,
            reason=error.reason,
            correlation_id=correlation_id,
        )
        receiver.not_stored(error)
        response, status = _answer("unavailable", 503, error="not stored, deliver again")
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return response, status


def _refuse(receiver: Receiver, reason: str, size: int) -> tuple[Response, int]:
    wait_seconds = receiver.budget.spend()
    if wait_seconds is None:
        log.warning("notice_refused", reason=reason, remote=request.remote_addr, size=size)
        return _answer("bad_signature", 403, error="signature missing or wrong")
    response, status = _answer("over_budget", 429, error="signature missing or wrong too often")
    response.headers["Retry-After"] = str(wait_seconds)
    return response, status


def _signature_fault(body: bytes, receiver: Receiver) -> str | None:
    signature = request.headers.get("Signature", "")
    if not _SIGNATURE.fullmatch(signature):
        return "malformed"
    return None if verify_body(body, signature, receiver.keys) else "mismatch"


def _record(receiver: Receiver, body: bytes, correlation_id: str) -> tuple[Response, int]:
    headers = dict(request.headers.items())
    if problem := receiver.problem_in(body):
        kept = _timed(
            lambda: receiver.inbox.record_rejected(body, headers, reason=problem, correlation_id=correlation_id)
        )
        log.warning("notice_rejected", delivery_id=kept.delivery_id, problem=problem, correlation_id=correlation_id)
        return _answer("rejected", 400, error=problem)
    recorded = _timed(lambda: receiver.inbox.record(body, headers, correlation_id=correlation_id))
    handed_over = hand_over(PROCESS_TASK, receiver.enqueue, recorded.delivery_id, correlation_id)
    log.info(
        "notice_recorded",
        delivery_id=recorded.delivery_id,
        is_new=recorded.is_new,
        handed_over=handed_over,
        correlation_id=correlation_id,
    )
    return _answer("accepted" if recorded.is_new else "repeated", 200, status="accepted")


def _timed(write: Callable[[], Value]) -> Value:
    began, result = time.perf_counter(), "failed"
    try:
        value = write()
        result = "stored"
        return value
    finally:
        INBOX_WRITE_SECONDS.labels(result=result).observe(time.perf_counter() - began)


def _answer(result: str, http_status: int, **members: str) -> tuple[Response, int]:
    WEBHOOK_DELIVERIES.labels(result=result).inc()
    return jsonify(members), http_status
