"""The confirmation that a client gets of a completed payment: plain text and HTML, under an id that never changes.

Who the client is stands in the CMS alone and is read when the mail is written; nothing of it is kept. A mail that was
sent twice, because a worker died between sending and noting it, has the same Message-ID and is shown once.
"""

import re
import smtplib
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from html import escape
from typing import Any

from babel.core import Locale, UnknownLocaleError
from babel.numbers import format_currency
from bson import ObjectId
from pymongo.database import Database

from payments.errors import NeverAgain, NotDelivered
from payments.reactions import Occasion

Document = dict[str, Any]

#: The currency format of clients whose country is not known.
DEFAULT_LOCALE = "en"

#: Seconds to connect to the mail server, and for each pause within what it says.
SMTP_SECONDS = 10.0

#: Seconds for the whole conversation once connected: both together end before the reaction's lease does, or another
#: worker would send the mail as well.
CONVERSATION_SECONDS = 15.0

#: What Python's parser of addresses raises over what is none.
_NO_ADDRESS = (ValueError, LookupError, AttributeError, MessageError)

#: From here on an SMTP answer is final.
_PERMANENT = 500


class Conversation(smtplib.SMTP):
    """A conversation that is broken off when its time is over, however slowly the server goes on talking."""

    _end: threading.Timer | None = None

    def getreply(self) -> tuple[int, bytes]:
        """Wait for an answer; the time begins with the first one, the server's greeting."""
        if self._end is None:
            self._end = threading.Timer(CONVERSATION_SECONDS, self._break_off)
            self._end.daemon = True
            self._end.start()
        return super().getreply()

    def close(self) -> None:
        """Close the connection, and count no more."""
        if self._end is not None:
            self._end.cancel()
        super().close()

    def _break_off(self) -> None:
        """Let whoever waits for the server wait no more: the connection is his to close."""
        if self.sock is not None:
            with suppress(OSError):
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)


class TlsConversation(Conversation, smtplib.SMTP_SSL):
    """The same, under TLS from the first byte."""


@dataclass(frozen=True)
class MailServer:
    """Where mails are handed in, and from whom they are.

    Attributes:
        host: The server.
        port: Its port.
        sender: The address in From.
        security: `starttls`, `tls` from the first byte, or `none` on a trusted line.
        username: For servers that ask for one.
        password: Its password.
    """

    host: str
    port: int
    sender: str
    security: str = "starttls"
    username: str | None = None
    password: str | None = None

    def send(self, message: EmailMessage) -> None:
        """Hand a mail in.

        Raises:
            NeverAgain: the server refuses this mail for good.
            NotDelivered: it could not be handed in; later it may.
        """
        try:
            self._hand_in(message)
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            raise _refused(min(codes), "recipient") from error
        except smtplib.SMTPResponseException as error:
            raise _refused(error.smtp_code, type(error).__name__) from error
        except (smtplib.SMTPException, OSError) as error:
            raise NotDelivered(f"the mail server: {type(error).__name__}") from error

    def _hand_in(self, message: EmailMessage) -> None:
        server = self._connected()
        try:
            server.send_message(message)
            # The mail is taken: how the server says goodbye makes no difference, and must not have it sent again.
            with suppress(smtplib.SMTPException, OSError):
                server.quit()
        finally:
            server.close()

    def _connected(self) -> Conversation:
        context = ssl.create_default_context()
        server: Conversation
        if self.security == "tls":
            server = TlsConversation(self.host, self.port, timeout=SMTP_SECONDS, context=context)
        else:
            server = Conversation(self.host, self.port, timeout=SMTP_SECONDS)
        try:
            if self.security == "starttls":
                server.starttls(context=context)
            if self.username:
                server.login(self.username, self.password or "")
        except BaseException:
            server.close()
            raise
        return server


@dataclass(frozen=True)
class ConfirmToClient:
    """Sends the confirmation; without a mail server there is none."""

    database: Database[Document]
    server: MailServer | None
    send: Callable[[EmailMessage], None] | None = None

    def __call__(self, occasion: Occasion) -> str | None:
        """Write and send it, once per payment.

        Raises:
            NeverAgain: the mail is refused for good.
            NotDelivered: it could not be sent now.
        """
        if self.server is None:
            return "no mail server is set"
        if _completed_before(occasion):
            return "the payment was completed and confirmed before"
        client = self._client(occasion)
        if not client.get("email"):
            return "the client has no address"
        message = confirmation(occasion, client, self.server.sender)
        (self.send or self.server.send)(message)
        return None

    def _client(self, occasion: Occasion) -> Document:
        terms = occasion.payment.snapshot
        if terms is None or terms.client_id is None:
            return {}
        fields = {"fullName": 1, "email": 1, "address.country": 1}
        return self.database["users"].find_one({"_id": ObjectId(terms.client_id)}, fields) or {}


def confirmation(occasion: Occasion, client: Document, sender: str) -> EmailMessage:
    """Write the mail.

    Args:
        occasion: The completed payment.
        client: The CMS's user: `fullName`, `email`, `address.country`.
        sender: The address in From.

    Raises:
        NeverAgain: the client's address is none.
    """
    data = occasion.event.fact.to_data()
    amount = in_format_of(client, Decimal(data["amount"]), data["currency"])
    name = str(client.get("fullName") or "").strip() or "client"
    message = EmailMessage()
    try:
        message["To"] = Address(display_name=name, addr_spec=str(client["email"]).strip())
    except _NO_ADDRESS as error:
        raise NeverAgain("the client's address is no e-mail address") from error
    message["From"] = sender
    message["Subject"] = f"Your payment of {amount}"
    message["Date"] = format_datetime(occasion.event.recorded_at)
    message["Message-ID"] = message_id(occasion, sender)
    message["Auto-Submitted"] = "auto-generated"
    reference = data.get("tran_ref") or occasion.event.payment_id
    lines = [f"Dear {name},", f"we have received your payment of {amount}.", f"Reference: {reference}", "Thank you."]
    message.set_content("\n\n".join(lines) + "\n")
    message.add_alternative("".join(f"<p>{escape(line)}</p>\n" for line in lines), subtype="html")
    return message


def message_id(occasion: Occasion, sender: str) -> str:
    """Return the id under which every copy of this mail is sent."""
    domain = sender.rpartition("@")[2].strip("<> ") or "localhost"
    return f"<payment-{occasion.event.payment_id}.completed@{domain}>"


def in_format_of(client: Document, amount: Decimal, currency: str) -> str:
    """Write an amount as it is written in the client's country, with the currency's own decimals."""
    address = client.get("address")
    country = address.get("country") if isinstance(address, dict) else None
    written = str(format_currency(amount, currency, locale=_locale(country)))
    # A currency written in letters stands apart from the digits, by a space that a header can carry.
    return re.sub(r"(?<=[A-Za-z])\s?(?=\d)", " ", written)


def _locale(country: object) -> Locale:
    """Return English as written in a country; Western digits, since the mail is in English."""
    try:
        return Locale.parse(f"{DEFAULT_LOCALE}_{str(country).strip().upper()}")
    except (UnknownLocaleError, ValueError):
        return Locale.parse(DEFAULT_LOCALE)


def _completed_before(occasion: Occasion) -> bool:
    earlier = (event for event in occasion.history if event.version < occasion.event.version)
    return any(event.type == occasion.event.type for event in earlier)


def _refused(code: int, what: str) -> NeverAgain | NotDelivered:
    text = f"the mail server refuses: {what} {code}"
    return NeverAgain(text) if code >= _PERMANENT else NotDelivered(text)
