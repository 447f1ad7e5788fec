"""The line between caller and gateway: every call is written down, and the ordered faults befall it here.

A WSGI layer round the application. It holds the raw socket, so it can drip bytes and cut connections.
"""

import io
import json
import logging
import socket
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from werkzeug.test import run_wsgi_app

from sandbox.errors import ConnectionDropped
from sandbox.faults import Fault
from sandbox.identifiers import desk_time, utc_now
from sandbox.replies import REWRITES, Reply, html_reply
from sandbox.world import World

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: Where the gateway's own paths begin; the desk's are neither recorded nor befallen by faults.
GATEWAY_PREFIX = "/payment/"

#: The largest body that is read.
BODY_LIMIT = 1_000_000

#: Form fields that are not written down.
SECRET_FIELDS = frozenset(("card-number", "cvv"))

log = logging.getLogger("sandbox")


class Wire:
    """Records calls, lets faults befall them, and passes the rest on."""

    def __init__(self, application: "WSGIApplication", world: World) -> None:
        self._application = application
        self._world = world

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Serve one call (the WSGI entry)."""
        began = time.monotonic()
        record: dict[str, Any] = {"status": None, "fault": None, "duration_ms": None}
        try:
            self._world.passing.tell()
            if environ["PATH_INFO"].startswith(GATEWAY_PREFIX):
                reply = self._befall(environ, record)
            else:
                reply = self._execute(environ)
                record["status"] = reply.status
            start_response(reply.status_line, reply.all_headers)
            return [reply.body]
        finally:
            taken_ms = round((time.monotonic() - began) * 1000, 1)
            record["duration_ms"] = taken_ms
            note = f" fault={record['fault']}" if record["fault"] else ""
            status = record["status"] or "-"
            log.info("%s %s %s %sms%s", environ["REQUEST_METHOD"], environ["PATH_INFO"], status, taken_ms, note)

    def _befall(self, environ: "WSGIEnvironment", record: dict[str, Any]) -> Reply:
        path = environ["PATH_INFO"]
        body = _BodyOnce(environ)
        fault = self._world.faults.take(path, body.members) or self._world.mishaps.of_call(path)
        record.update(fault=fault.kind if fault else None, executed=fault is None or fault.is_executed)
        record.update(_describe(environ, b"" if fault and fault.kind == "refused" else body.read()))
        self._world.requests.append(record)
        reply = self._suffer(fault, environ) if fault else self._execute(environ)
        record["status"] = reply.status
        return reply

    def _suffer(self, fault: Fault, environ: "WSGIEnvironment") -> Reply:
        if fault.kind == "refused":
            raise _dropped(environ)
        if fault.kind == "slow" and fault.before:
            time.sleep(fault.seconds)
        reply = self._execute(environ) if fault.is_executed else html_reply(503)
        if fault.kind == "slow" and not fault.before:
            time.sleep(fault.seconds)
        if fault.kind == "cut_after_accept":
            raise _dropped(environ)
        if fault.kind == "cut_mid_body":
            _drip(environ, reply.head() + reply.body[: len(reply.body) // 2], 0, 0)
            raise _dropped(environ)
        if fault.kind == "drip":
            _drip(
                environ, reply.head() + reply.body, fault.interval_seconds, len(reply.head()) * (fault.part == "body")
            )
            raise _dropped(environ)
        return REWRITES[fault.kind](reply, fault) if fault.kind in REWRITES else reply

    def _execute(self, environ: "WSGIEnvironment") -> Reply:
        chunks, status, headers = run_wsgi_app(self._application, environ, buffered=True)
        kept = tuple((name, value) for name, value in headers if name.lower() != "content-length")
        return Reply(int(status.split(" ", 1)[0]), kept, b"".join(chunks))


class _BodyOnce:
    """Reads a call's body when first asked, and leaves it readable for the application."""

    def __init__(self, environ: "WSGIEnvironment") -> None:
        self._environ = environ
        self._body: bytes | None = None

    def read(self) -> bytes:
        if self._body is None:
            is_chunked = self._environ.get("wsgi.input_terminated", False)
            length = BODY_LIMIT if is_chunked else min(int(self._environ.get("CONTENT_LENGTH") or 0), BODY_LIMIT)
            self._body = self._environ["wsgi.input"].read(length) if length > 0 else b""
            self._environ["wsgi.input"] = io.BytesIO(self._body)
        return self._body

    def members(self) -> Mapping[str, Any]:
        with suppress(ValueError):
            document = json.loads(self.read())
            if isinstance(document, dict):
                return document
        return {}


def _describe(environ: "WSGIEnvironment", body: bytes) -> dict[str, Any]:
    names = (name for name in environ if name.startswith("HTTP_"))
    headers = {name[5:].replace("_", "-").title(): environ[name] for name in names}
    if "Authorization" in headers:
        headers["Authorization"] = "[redacted]"
    content_type = environ.get("CONTENT_TYPE", "")
    description = {
        "at": desk_time(utc_now()),
        "method": environ["REQUEST_METHOD"],
        "path": environ["PATH_INFO"],
        "query": environ.get("QUERY_STRING", ""),
        "headers": headers | {"Content-Type": content_type},
    }
    if environ["PATH_INFO"].startswith("/payment/wr/"):
        fields = parse_qsl(body.decode(errors="replace"), keep_blank_values=True)
        shown = {name: "[redacted]" if name in SECRET_FIELDS else value for name, value in fields}
        return {**description, "body": shown, "raw_body": None}
    text = body.decode(errors="replace")
    document: object = text
    with suppress(ValueError):
        document = json.loads(body)
    if isinstance(document, dict) and "card_details" in document:
        return {**description, "body": document | {"card_details": "[redacted]"}, "raw_body": None}
    return {**description, "body": document, "raw_body": text}


def _dropped(environ: "WSGIEnvironment") -> ConnectionDropped:
    connection: socket.socket = environ["werkzeug.socket"]
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    return ConnectionDropped("closed by a fault")


def _drip(environ: "WSGIEnvironment", message: bytes, interval_seconds: float, at_once: int) -> None:
    connection: socket.socket = environ["werkzeug.socket"]
    size = len(message) if interval_seconds == 0 else 1
    with suppress(OSError):
        connection.sendall(message[:at_once])
        for start in range(at_once, len(message), size):
            connection.sendall(message[start : start + size])
            time.sleep(interval_seconds)
