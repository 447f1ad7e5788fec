import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database

from payments.card_vault import CardVault, new_key
from payments.stored_cards import CardState, CardStore, StoredCard, card_id_of
from tests.integration.cli.conftest import Command
from tests.support.sandbox import PROFILE_ID, Sandbox
from tests.support.stored_cards import CARD_KEY, OLD_CARD_KEY
from workers.desk_key import FILE

Documents = Database[dict[str, Any]]

CLIENT = str(ObjectId())


@pytest.fixture
def kept(database: Documents, sandbox: Sandbox) -> str:
    """A card of a client that PayTabs knows too, encrypted under the key of before; gives its id."""
    made = sandbox._desk("POST", "token", {"card": "authorised"})
    card_id = card_id_of(PROFILE_ID, made["token"])
    card = StoredCard(
        card_id=card_id, client_id=CLIENT, payment_id=str(ObjectId()), tran_ref=made["tran_ref"], scheme="Visa",
        masked="4111 11## #### 1111", expires="2039-12", kept=CardState.ACTIVE, created_at=datetime.now(UTC),
        locked=CardVault([OLD_CARD_KEY]).lock(made["token"]),
    )  # fmt: skip
    with database.client.start_session() as session:
        CardStore(database).keep(card, datetime.now(UTC), session)
    return card_id


class TestCards:
    """What operators do about stored cards."""

    def test_list(self, command: Command, servers: dict[str, str], kept: str) -> None:
        """A client's cards, masked."""
        (card,) = json.loads(command("cards", "list", CLIENT, "--json", **servers).stdout)["cards"]
        assert (card["card_id"], card["masked"], card["state"]) == (kept, "4111 11## #### 1111", "active")
        assert "4111 11## #### 1111" in command("cards", "list", CLIENT, **servers).stdout
        assert "No card" in command("cards", "list", str(ObjectId()), **servers).stdout

    def test_forget_client(
        self, command: Command, servers: dict[str, str], database: Documents, kept: str, sandbox: Sandbox
    ) -> None:
        """All cards of a client are forgotten, there and here; who wanted it and why stands in the audit trail."""
        paytabs = {"PAYTABS_BASE_URL": sandbox.url, "CARD_KEYS": OLD_CARD_KEY}
        asked = ("cards", "forget", "--client", CLIENT, "--by", "omar", "--reason", "asked by the client")
        for _ in range(2):
            done = command(*asked, **servers, **paytabs)
            assert done.exit_code == 0, done.stderr
        assert len(sandbox.requests("/payment/token/delete")) == 1
        assert "locked" not in (database["payment_cards"].find_one({"_id": kept}) or {})
        _, ended = database["audit_entries"].find({"command": "cards.forget"}).sort("_id", 1)
        assert (ended["by"], ended["reason"], ended["outcome"]) == ("omar", "asked by the client", "forgotten")

    def test_forget_what(self, command: Command, servers: dict[str, str]) -> None:
        """Either a card or a client is named, and one that there is not is refused."""
        assert command("cards", "forget", "--reason", "x", **servers).exit_code == 2
        done = command("cards", "forget", str(ObjectId()), "--reason", "x", PAYTABS_BASE_URL="http://127.0.0.1:9",
                       **servers)  # fmt: skip
        assert (done.exit_code, "there is none with it" in done.stderr) == (1, True)

    def test_reencrypt(self, command: Command, servers: dict[str, str], database: Documents, kept: str) -> None:
        """Tokens are encrypted anew under the first key; what no key opens is counted, and asked for only if wanted."""
        asked = ("cards", "reencrypt", "--reason", "rotation")
        done = command(*asked, **servers, CARD_KEYS=f"{CARD_KEY},{OLD_CARD_KEY}")
        assert (done.exit_code, "Encrypted 1 tokens anew; 0" in done.stdout) == (0, True), done.stderr
        row = database["payment_cards"].find_one({"_id": kept}) or {}
        assert CardVault([CARD_KEY]).unlock(bytes(row["locked"])) is not None
        lost = command(*asked, **servers, CARD_KEYS=OLD_CARD_KEY)
        assert (lost.exit_code, "1 are opened by none" in lost.stdout) == (1, True)
        fetched = command(*asked, "--fetch", **servers, CARD_KEYS=OLD_CARD_KEY)
        assert fetched.exit_code == 0
        assert (database["payment_cards"].find_one({"_id": kept}) or {})["kept"] == "waiting"

    def test_new_key(self, command: Command, servers: dict[str, str]) -> None:
        """A fresh key each time, which the settings take."""
        first, second = (command("cards", "new-key", **servers).stdout.strip() for _ in range(2))
        assert first != second
        assert command("cards", "list", CLIENT, **servers, CARD_KEYS=f"{first},{second}").exit_code == 0
        assert command("cards", "list", CLIENT, **servers, CARD_KEYS=first[:-2]).exit_code == 2

    def test_desk(self, command: Command, servers: dict[str, str], kept: str, tmp_path: Path) -> None:
        """Without keys in the settings a command takes those of the desk in whose folder it is typed."""
        assert kept
        (tmp_path / "local").mkdir(exist_ok=True)
        (tmp_path / "local" / FILE).write_text(f"{new_key()},{OLD_CARD_KEY}")
        done = command("cards", "reencrypt", "--reason", "x", **servers)
        assert (done.exit_code, "Encrypted 1 tokens anew; 0" in done.stdout) == (0, True), done.stderr
