"""Mail servers as they are on a bad day, addresses that are none, and errors that nobody foresaw."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from typing import Any

import pytest

from payments import mail
from payments.errors import NotDelivered
from payments.mail import MailServer
from payments.outbox import COLLECTION
from tests.integration.payments.stage import Stage
from tests.support.cms import SeededPayment

#: What a server says to each line of a client's, in this order.
Script = list[bytes]

#: A whole conversation that takes one mail, up to the goodbye.
TAKEN: Script = [b"220 here", b"250 hello", b"250 from", b"250 to", b"354 go on", b"250 taken"]

HOUR = 3_600


def converse(server: socket.socket, script: Script, pause_seconds: float) -> None:
    """Take one client and say to it what is to be said, byte by byte, with a pause after each."""
    connection, _ = server.accept()
    with connection, connection.makefile("rb") as said:
        for position, answer in enumerate(script):
            for byte in answer + b"\r\n":
                time.sleep(pause_seconds)
                connection.sendall(bytes([byte]))
            if position < len(script) - 1:
                while (line := said.readline()) and answer[:3] == b"354" and line != b".\r\n":
                    pass


@pytest.fixture
def speaking() -> Iterator[Callable[[Script, float], MailServer]]:
    """Starts a mail server that says what it is told to say."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def start(script: Script, pause_seconds: float = 0.0) -> MailServer:
            arguments = (server, script, pause_seconds)
            threading.Thread(target=_quietly, args=arguments, daemon=True).start()
            return MailServer("127.0.0.1", server.getsockname()[1], "shop@example.com", security="none")

        yield start


def _quietly(server: socket.socket, script: Script, pause_seconds: float) -> None:
    try:
        converse(server, script, pause_seconds)
    except OSError:
        return  # the client has had enough


def message() -> EmailMessage:
    """Return a mail."""
    made = EmailMessage()
    made["From"], made["To"] = "shop@example.com", "client@example.com"
    made.set_content("Thank you.")
    return made


class TestServer:
    """A conversation has an end, and a mail that was taken is not sent again."""

    def test_dribbling(self, speaking: Callable[[Script, float], MailServer], monkeypatch: pytest.MonkeyPatch) -> None:
        """A server that never pauses for long and never comes to an end is left in time."""
        monkeypatch.setattr(mail, "CONVERSATION_SECONDS", 0.5)
        began = time.monotonic()
        with pytest.raises(NotDelivered):
            speaking([b"220 " + b"h" * 600], 0.1).send(message())
        assert time.monotonic() - began < 20

    def test_within_lease(self, stage: Stage) -> None:
        """It ends before the lease does, or another worker would send the mail at the same time."""
        assert stage.settings.lease_seconds > mail.SMTP_SECONDS + mail.CONVERSATION_SECONDS

    @pytest.mark.parametrize("goodbye", [b"421 too busy", b"554 no", b"250 what"])
    def test_odd_goodbye(self, speaking: Callable[[Script, float], MailServer], goodbye: bytes) -> None:
        """Once the mail is taken, nothing that the server says makes it untaken."""
        speaking([*TAKEN, goodbye], 0.0).send(message())


class TestClient:
    """What the CMS knows of a client may be anything."""

    @pytest.mark.parametrize("address", ["omar", "@", "omar@", "شركة@[", " "])
    def test_no_address(self, stage: Stage, seeded: SeededPayment, address: str) -> None:
        """What is no address is told to operators once, and not tried again."""
        set_up(stage, seeded, address)
        row = confirmed(stage)
        assert (row["status"], row["due_at"]) == ("given_up", None)
        assert "is no e-mail address" in row["error"]
        assert stage.state(seeded) == "PAID"


class TestUnforeseen:
    """What nobody foresaw is a failure like any other: tried later, given up in the end."""

    def test_given_up(self, stage: Stage, seeded: SeededPayment, monkeypatch: pytest.MonkeyPatch) -> None:
        """It does not come back every minute for ever, and its text, which may be about people, is not kept."""

        def broken(*_: object) -> str:
            raise RuntimeError("client@example.com")

        monkeypatch.setattr(mail, "in_format_of", broken)
        set_up(stage, seeded, "client@example.com")
        row = confirmed(stage)
        assert (row["status"], row["error"]) == ("waiting", "RuntimeError: not foreseen")
        for _ in range(30):
            stage.clock.advance(HOUR)
            stage.world.reactor.handle(row["event_id"], "email_client")
        assert emails(stage)["status"] == "given_up"
        letter = stage.database["dead_letters"].find_one({"task": "events.handle"})
        assert letter is not None
        assert "client@" not in str(letter)


def set_up(stage: Stage, seeded: SeededPayment, address: str) -> None:
    """Have a mail server set, and a client with this address."""
    stage.world = stage.another_world(smtp_host="127.0.0.1", smtp_port=9, smtp_security="none", mail_from="a@b.example")
    stage.database["users"].update_one({"_id": seeded.client}, {"$set": {"email": address}}, upsert=True)
    stage.paid(seeded)


def confirmed(stage: Stage) -> dict[str, Any]:
    """Let a worker send the confirmation, and return what became of it."""
    stage.world.reactor.handle(str(emails(stage)["event_id"]), "email_client")
    return emails(stage)


def emails(stage: Stage) -> dict[str, Any]:
    """Return the confirmation's row in the outbox."""
    found = stage.database[COLLECTION].find_one({"handler": "email_client"})
    assert found is not None
    return found
