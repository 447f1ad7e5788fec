"""HTTP replies as bytes: what the application answered, and what a fault makes of it."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from http import HTTPStatus

from sandbox.envelopes import compact
from sandbox.faults import ENVELOPES, Fault
from sandbox.identifiers import utc_now


@dataclass(frozen=True)
class Reply:
    """One HTTP reply.

    Attributes:
        status: The code.
        headers: Without `Content-Length`.
        body: All of it.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def status_line(self) -> str:
        """Code and phrase, such as `200 OK`."""
        known = self.status in HTTPStatus.__members__.values()
        return f"{self.status} {HTTPStatus(self.status).phrase if known else 'Unknown'}"

    @property
    def all_headers(self) -> list[tuple[str, str]]:
        """The headers with `Content-Length`."""
        return [*self.headers, ("Content-Length", str(len(self.body)))]

    def head(self) -> bytes:
        """Write everything before the body, as it goes over the wire."""
        lines = [f"HTTP/1.1 {self.status_line}", *(f"{name}: {value}" for name, value in self.all_headers)]
        return "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1")


def html_reply(status: int, *headers: tuple[str, str]) -> Reply:
    """Write the page a proxy in front of the gateway would show.

    Args:
        status: The code.
        headers: Further headers.

    Returns:
        An HTML reply.
    """
    title = Reply(status, (), b"").status_line
    body = f"<html><head><title>{title}</title></head><body><center><h1>{title}</h1></center></body></html>\n"
    return Reply(status, (("Content-Type", "text/html"), *headers), body.encode())


def _envelope(status: int, fault: Fault) -> Reply:
    trace = f"PMNT0402.{int(utc_now().timestamp()):08X}.{secrets.token_hex(4).upper()}"
    body = compact({"code": fault.code, "message": fault.message, "trace": trace})
    return Reply(status, (("Content-Type", "application/json"), *_retry_after(fault)), body)


def _retry_after(fault: Fault) -> tuple[tuple[str, str], ...]:
    return () if fault.retry_after is None else (("Retry-After", str(fault.retry_after)),)


#: What becomes of a reply under each kind of fault that only changes what is said.
REWRITES: dict[str, Callable[[Reply, Fault], Reply]] = {
    "truncated_json": lambda reply, _: replace(reply, body=reply.body[: len(reply.body) // 2]),
    "html_200": lambda _, __: html_reply(200),
    "http_500": lambda _, __: html_reply(500),
    "http_502_html": lambda _, __: html_reply(502),
    "http_500_json_code": lambda _, fault: _envelope(500, fault),
    "http_429": lambda _, fault: html_reply(429, *_retry_after(fault)),
    "redirect": lambda _, fault: html_reply(302, ("Location", fault.location)),
    **dict.fromkeys(("code", *ENVELOPES), lambda _, fault: _envelope(fault.http_status, fault)),
}
