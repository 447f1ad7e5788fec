"""How a request's body is read: the raw bytes, whole, or not at all."""

from flask import Flask, request
from werkzeug.exceptions import RequestEntityTooLarge

#: The largest body that is read, in bytes: PayTabs' notices have about two thousand.
MAX_BODY_BYTES = 64 * 1024


def limit_bodies(app: Flask) -> None:
    """Let ``app`` read one byte more than a body may have, which is how read_body tells a longer one."""
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES + 1


def read_body() -> bytes:
    """Return the present request's raw body.

    Raises:
        RequestEntityTooLarge: It is longer than allowed, by its Content-Length or without one. Werkzeug alone cuts a
            chunked body off at its limit and says nothing.
    """
    body = request.get_data(cache=False)
    if len(body) > MAX_BODY_BYTES:
        raise RequestEntityTooLarge
    return body
