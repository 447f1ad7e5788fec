import hashlib
import io
import json
import logging
import re
from collections.abc import Iterator

import pytest
import structlog
from pydantic import SecretStr

from config.logs import bind_task, clear_task, configure_logs
from config.redaction import MAX_DEPTH, REDACTED, redact, redact_text

TOKEN = "2C4656BF67A3E43DC6BE93FE00000001"
KEY = "SSANDBOX01-AAAA2222BB-CCCC3333DD"
PAN = "4111111111111111"
CVV = "873"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """A place for the lines, with the process's own logging put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    clear_task()


class TestRedactText:
    """A text loses what must not be written down and keeps the rest."""

    @pytest.mark.parametrize(
        "text",
        [
            f"card {PAN}.",
            "card 4111 1111 1111 1111",
            "card 4111-1111-1111-1111 then more",
            "card 3782 822463 10005",
            "pan=4111+1111+1111+1111&x=1",
            "pan=4111%201111%201111%201111",
            "card 4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
            "4111 1111 1111 1111 12",
            "17 4111 1111 1111 1111",
            '{"x":"5500005555555559"}',
            "card_4111111111111111",
        ],
    )
    def test_card_number(self, text: str) -> None:
        """A card number goes, however it is spaced and whatever stands beside it."""
        cleaned = redact_text(text)
        assert REDACTED in cleaned
        assert "1111" not in cleaned
        assert "5555" not in cleaned
        assert "10005" not in cleaned

    @pytest.mark.parametrize(
        "text",
        [
            "TST2621800000101",
            "2026-08-06T10:15:30.123456Z",
            "at 1786011330123 ms",
            "64b7f0c2a1d2e3f4a5b6c7d8",
            "fb3b31ca074a1eff83ab875b19a06daccc5e7d7106ea64c4f906e05ea9e7931d",
            "4111111111111112",
            "took 300 400 500 ms",
        ],
    )
    def test_other_numbers_stay(self, text: str) -> None:
        """Transaction references, times, ids and hashes stay readable."""
        assert redact_text(text) == text

    @pytest.mark.parametrize(
        "text",
        [
            f"key {KEY} refused",
            f"Authorization: {KEY}",
            f"Authorization: Basic {KEY}",
            f'{{"authorization": "{KEY}"}}',
            "{'Authorization': 'opaque-" + KEY + "'}",
            f"('Authorization', '{KEY}')",
            f"password={KEY}",
            f"redis://:{KEY}@localhost:6379/0",
            f"mongodb://user:{KEY}@a:1,b:2/cms",
        ],
    )
    def test_keys(self, text: str) -> None:
        """A key goes, in a header, an address, JSON or prose."""
        cleaned = redact_text(text)
        assert KEY not in cleaned
        assert "AAAA2222BB" not in cleaned
        assert REDACTED in cleaned

    @pytest.mark.parametrize(
        "text",
        [
            f"{{'payment_id': '65f0', 'token': '{TOKEN}'}}",
            f'{{"payment_token":"{TOKEN}"}}',
            f"cartId=C-1&token={TOKEN}&tranRef=TST1",
            f'{{\\"token\\": \\"{TOKEN}\\"}}',
        ],
    )
    def test_token(self, text: str) -> None:
        """A card's token goes where its name says what it is; a digest of it stays."""
        assert TOKEN not in redact_text(text)
        digest = hashlib.sha256(TOKEN.encode()).hexdigest()
        assert redact_text(f"token_digest: expected {digest}") == f"token_digest: expected {digest}"

    @pytest.mark.parametrize("token", [TOKEN, "AB" * 28, "0" * 27 + "A"])
    @pytest.mark.parametrize("text", ["('65f0', '{}', 'op-1')", '["65f0","{}"]', "Invalid token {}", "{}"])
    def test_token_without_its_name(self, text: str, token: str) -> None:
        """So it does where nothing says what it is: as a positional argument, in a sentence of PayTabs'."""
        assert token not in redact_text(text.format(token))

    def test_foreign_authorization(self) -> None:
        """An Authorization value goes whatever its form."""
        assert "dXNlcjpwYXNz" not in redact_text("Authorization: Basic dXNlcjpwYXNz")

    @pytest.mark.parametrize(
        "text",
        [f"cvv={CVV}", f'"cvv": "{CVV}"', f'{{\\"cvv\\":\\"{CVV}\\"}}', f"cvv {CVV}", f"cvc2: {CVV}", f"CVV is {CVV}"],
    )
    def test_cvv(self, text: str) -> None:
        """Check digits go wherever their name stands before them."""
        assert CVV not in redact_text(text)


class TestRedact:
    """A structure loses the same, at any depth and by name."""

    def test_nested(self) -> None:
        """Secrets go from dicts, lists, header pairs, bytes, numbers and secret types."""
        cleaned = redact(
            {
                "request": {"headers": [("Authorization", "whatever"), ("Accept", "json")], "body": {"cvv": int(CVV)}},
                "cards": [int(PAN), PAN, {"pan": "12"}],
                "raw": f'{{"pan":"{PAN}"}}'.encode(),
                "key": SecretStr(KEY),
                "paytabs_serverk": "anything",
                "token": "2C4656BF67A3E43DC6BE93FE00000001",
                "tran_ref": "TST2621800000101",
            }
        )
        text = json.dumps(cleaned)
        assert not [secret for secret in (KEY, PAN, CVV, "whatever", "anything", "2C4656BF") if secret in text]
        assert cleaned["tran_ref"] == "TST2621800000101"
        assert cleaned["request"]["headers"][1] == ["Accept", "json"]

    def test_depth(self) -> None:
        """A structure that holds itself comes to an end."""
        endless: dict[str, object] = {}
        endless["again"] = endless
        assert json.dumps(redact(endless)).count("again") == MAX_DEPTH


class TestLines:
    """Every line of a process passes the redaction and is one JSON object."""

    @pytest.mark.parametrize("log_format", ["json", "console"])
    def test_no_secret_escapes(self, stream: io.StringIO, log_format: str) -> None:
        """Fields, messages, exceptions with their causes and the libraries' own lines are redacted."""
        configure_logs(log_format="json" if log_format == "json" else "console", stream=stream)
        log = structlog.get_logger("ours")
        log.info("called", headers={"Authorization": KEY}, card={"n": PAN}, nested=[{"deep": {"cvv": CVV}}])
        try:
            try:
                _ = dict[str, str]()[PAN]  # raises a KeyError that shows the number
            except KeyError as error:
                message = f"Authorization: {KEY} cvv={CVV}"
                raise ValueError(message) from error
        except ValueError:
            log.exception("failed", error_text=f"card 4111 1111 1111 1111 {KEY}")
            logging.getLogger("celery.app.trace").exception("task failed with %s", KEY)
        logging.getLogger("gunicorn.error").warning("bad header Authorization: %s, pan %s", KEY, PAN)
        logging.getLogger("werkzeug").info("cvv=%s", CVV)
        written = re.sub(r"\d\d:\d\d:\d\d\.\d+", "", stream.getvalue())  # a time may hold any three digits
        assert written.count("failed") >= 2
        assert not [secret for secret in (KEY, "AAAA2222BB", PAN, "4111 1111", CVV) if secret in written]

    def test_json(self, stream: io.StringIO) -> None:
        """Ours and a library's line have the same members."""
        configure_logs(log_format="json", stream=stream)
        bind_task(task_id="t-1", task_name="payments.verify", correlation_id="c-1", payment_id="p-1")
        structlog.get_logger("ours").info("payment_verified", state="PAID")
        logging.getLogger("celery.worker").warning("broker is %s", "gone")
        ours, theirs = [json.loads(line) for line in stream.getvalue().splitlines()]
        assert ours.items() >= {"event": "payment_verified", "state": "PAID", "level": "info", "logger": "ours"}.items()
        assert theirs.items() >= {"event": "broker is gone", "level": "warning", "logger": "celery.worker"}.items()
        assert {line["correlation_id"] for line in (ours, theirs)} == {"c-1"}
        assert ours["timestamp"].endswith("Z")

    def test_ids_are_cleared(self, stream: io.StringIO) -> None:
        """A task's ids are on no line after it, nor on another task's."""
        configure_logs(log_format="json", stream=stream)
        bind_task(task_id="t-1", task_name="a", correlation_id="c-1", payment_id="p-1")
        bind_task(task_id="t-2", task_name="b", correlation_id="c-2")
        structlog.get_logger().info("second")
        clear_task()
        structlog.get_logger().info("between")
        second, between = [json.loads(line) for line in stream.getvalue().splitlines()]
        assert "payment_id" not in second
        assert second["task_id"] == "t-2"
        assert not {"task_id", "task_name", "correlation_id"} & between.keys()

    def test_level(self, stream: io.StringIO) -> None:
        """A line under the level is not written."""
        configure_logs(log_format="json", level="warning", stream=stream)
        structlog.get_logger().info("quiet")
        logging.getLogger("celery").info("quiet")
        structlog.get_logger().warning("loud")
        assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["loud"]

    def test_repeated_setup(self, stream: io.StringIO) -> None:
        """Configuring twice, as a forked process does, writes each line once."""
        configure_logs(log_format="json", stream=stream)
        configure_logs(log_format="json", stream=stream)
        logging.getLogger("celery").warning("once")
        assert stream.getvalue().count("once") == 1
