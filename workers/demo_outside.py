"""Whom the system tells, on one desk: a mail server and a CMS that keep what they get, and refuse when asked to."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pydantic import SecretStr
from standardwebhooks import Webhook, WebhookVerificationError

from workers.stack_ports import free_port

#: The secret that the CMS and the system share on a desk; a public test value.
SECRET = "whsec_" + "bmVzdGNtcy10ZXN0LXNlY3JldC1vZi0zMi1ieXRlcyE="

#: What a receiver answers to a webhook that is not signed as agreed.
UNVERIFIED = 401


@dataclass
class Mailbox:
    """A mail server's memory; `answers` are given one by one in place of accepting."""

    port: int
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: ANN401, N802 - aiosmtpd's
        """Keep a mail, or refuse it."""
        del server, session
        if self.answers:
            return self.answers.pop(0)
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        self.recipients += envelope.rcpt_tos
        return "250 OK"


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    """Run a mail server that keeps what it gets."""
    from aiosmtpd.controller import Controller  # noqa: PLC0415 - comes with the extra "local", for desks alone

    box = Mailbox(free_port())
    server = Controller(box, hostname="127.0.0.1", port=box.port)
    server.start()
    try:
        yield box
    finally:
        server.stop()


@dataclass
class CmsInbox:
    """What the CMS got: verified bodies, and every request's headers; `answers` are statuses given one by one."""

    url: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    def take(self, body: bytes, headers: dict[str, str]) -> int:
        """Take a webhook: verified first, as every receiver has to."""
        self.headers.append(headers)
        if self.answers:
            return self.answers.pop(0)
        try:
            self.events.append(dict(Webhook(SECRET).verify(body, headers)))
        except WebhookVerificationError:
            return UNVERIFIED
        return 204


@contextmanager
def cms_inbox() -> Iterator[CmsInbox]:
    """Run a CMS that takes webhooks."""
    inbox = CmsInbox()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(inbox.take(body, {name.lower(): value for name, value in self.headers.items()}))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        inbox.url = f"http://127.0.0.1:{server.server_address[1]}/webhooks/payments"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield inbox
        finally:
            server.shutdown()
            thread.join()


@dataclass(frozen=True)
class Outside:
    """Both of them."""

    mails: Mailbox
    cms: CmsInbox

    def settings(self) -> dict[str, Any]:
        """Give the settings that make the system tell them."""
        return {
            "smtp_host": "127.0.0.1", "smtp_port": self.mails.port, "smtp_security": "none",
            "mail_from": "payments@example.com", "cms_webhook_url": self.cms.url,
            "cms_webhook_secret": SecretStr(SECRET),
        }  # fmt: skip


@contextmanager
def outside() -> Iterator[Outside]:
    """Run both."""
    with mailbox() as mails, cms_inbox() as cms:
        yield Outside(mails, cms)
