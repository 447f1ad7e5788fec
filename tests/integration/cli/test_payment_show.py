import io
import json
from typing import Any

import pytest
from pymongo.database import Database
from rich.console import Console

from config.settings import Settings
from payments.events import Context
from payments.service import PageTerms
from tasks.wiring import build_world, ensure_indexes
from tests.integration.cli.conftest import Command
from tests.support.cms import SeededPayment, seed_payment
from tests.support.sandbox import Sandbox
from workers.cli_payment import payment_tables


@pytest.fixture
def paid(settings: Settings, database: Database[dict[str, Any]], sandbox: Sandbox) -> SeededPayment:
    """A payment that was paid on the sandbox's page."""
    world = build_world(settings.model_copy(update={"paytabs_base_url": sandbox.url}))
    try:
        ensure_indexes(world)
        seeded = seed_payment(database)
        context = Context(correlation_id="order-4711", source="test")
        view = world.service.create_page(seeded.payment_id, PageTerms(), context)
        assert view.tran_ref is not None
        sandbox.pay(view.tran_ref, "4111111111111111")
        world.service.verify(seeded.payment_id, context)
    finally:
        world.close()
    return seeded


class TestPaymentShow:
    """A payment's state and history on a terminal."""

    def test_tables(self, command: Command, servers: dict[str, str], paid: SeededPayment) -> None:
        """The state and every event are shown, without asking PayTabs and without its credentials."""
        done = command("payment", "show", paid.payment_id, **servers)
        assert done.exit_code == 0, done.stderr
        assert f"Payment {paid.payment_id}" in done.stdout
        for expected in ("PAID", "115.00 SAR", "PaymentCreated", "PageOpened", "PaymentCompleted", "status=A"):
            assert expected in done.stdout

    def test_narrow(self, command: Command, servers: dict[str, str], paid: SeededPayment) -> None:
        """On a narrow screen long values are folded and none is cut off."""
        shown = json.loads(command("payment", "show", paid.payment_id, "--json", **servers).stdout)
        cart_id = next(event["data"]["cart_id"] for event in shown["history"] if event["type"] == "PageOpened")
        console = Console(width=64, file=io.StringIO(), record=True)
        console.print(payment_tables(shown["payment"], shown["history"]))
        lines = console.export_text().splitlines()
        assert max(map(len, lines)) <= 64
        assert cart_id in "".join(line.split("│")[-2].strip() for line in lines if line.count("│") > 3)

    def test_json(self, command: Command, servers: dict[str, str], paid: SeededPayment) -> None:
        """For programs, the same is one JSON object: what `payments.get` and `payments.history` answer."""
        done = command("payment", "show", paid.payment_id, "--json", **servers)
        shown = json.loads(done.stdout)
        assert (shown["payment"]["state"], shown["payment"]["captured"]) == ("PAID", "115.00")
        assert [event["version"] for event in shown["history"]] == list(range(1, len(shown["history"]) + 1))
        assert {event["correlation_id"] for event in shown["history"]} == {"order-4711"}

    def test_untouched(self, command: Command, servers: dict[str, str], database: Database[dict[str, Any]]) -> None:
        """A payment that nobody has asked us for is shown as new."""
        seeded = seed_payment(database, amount="9.50")
        done = command("payment", "show", seeded.payment_id, **servers)
        assert done.exit_code == 0, done.stderr
        assert "NEW" in done.stdout
        assert "9.50 SAR" in done.stdout
        assert "Nothing has happened to it yet." in done.stdout

    def test_unknown(self, command: Command, servers: dict[str, str]) -> None:
        """A payment that is not there is one sentence and exit code 1."""
        done = command("payment", "show", "65f0c0ffee65f0c0ffee65f0", **servers)
        assert done.exit_code == 1
        assert done.stderr.startswith("Error: Payment 65f0c0ffee65f0c0ffee65f0 cannot be shown: ")
        assert done.stderr.count("\n") == 1

    def test_malformed(self, command: Command, servers: dict[str, str]) -> None:
        """An id of another form is refused before anything is asked."""
        done = command("payment", "show", "4711", **servers)
        assert done.exit_code == 2
        assert "24 lower-case hexadecimal digits" in done.stderr

    def test_dead_database(self, command: Command, free_port: int) -> None:
        """A database that does not answer is one sentence that names it."""
        uri = f"mongodb://someone:pa55word@127.0.0.1:{free_port}/nestcms"
        done = command("payment", "show", "65f0c0ffee65f0c0ffee65f0", MONGO_URI=uri)
        assert done.exit_code == 2
        assert f"MongoDB at 127.0.0.1:{free_port} does not answer" in done.stderr
        assert "pa55word" not in done.stderr
