from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo.database import Database

from observability.dead_letters import DeadLetters, Kind, Letter
from tests.integration.cli.conftest import Command

AT = datetime(2026, 11, 27, 3, 0, tzinfo=UTC)
CLOSED = ("dead-letters", "close", "feed", "--by", "omar", "--reason", "asked again under another id")


@pytest.fixture
def letters(database: Database[dict[str, Any]]) -> DeadLetters:
    """Two letters, one of them about an operation that was never sent."""
    kept = DeadLetters(database, clock=lambda: AT)
    for letter_id, kind in (("feed000000000000", Kind.NEVER_SENT), ("beef000000000000", Kind.FAILED)):
        kept.keep(
            Letter(
                letter_id=letter_id, kind=kind, at=AT, error="NeverSent", text="never sent", task="payments.refund"
            )
        )  # fmt: skip
    return kept


class TestClose:
    """Saying that nothing more is to be done about a letter."""

    def test_closed(self, command: Command, servers: dict[str, str], letters: DeadLetters) -> None:
        """It is not listed any more, and says who closed it and why; so does the audit trail."""
        done = command(*CLOSED, **servers)
        assert done.exit_code == 0, done.stderr
        assert [row["_id"] for row in letters.newest()] == ["beef000000000000"]
        (row,) = letters.find("feed")
        assert (row["status"], row["closed"]["by"], row["closed"]["at"] > AT) == ("closed", "omar", True)
        assert "omar: asked again under another id" in command("dead-letters", "show", "feed", **servers).stdout
        assert "2026-11-27T03:00:00Z" in command("dead-letters", "show", "feed", "--json", **servers).stdout
        assert "closed" in command("dead-letters", "list", "--all", **servers).stdout
        _, ended = letters.rows.database["audit_entries"].find().sort("_id", 1)
        assert (ended["command"], ended["reason"]) == ("dead-letters close", "asked again under another id")

    def test_twice(self, command: Command, servers: dict[str, str], letters: DeadLetters) -> None:
        """One that does not wait is refused, and nothing is written into the trail; given up again it waits again."""
        command(*CLOSED, **servers)
        again = command(*CLOSED, **servers)
        assert again.exit_code == 1
        assert "it is closed" in again.stderr
        assert letters.rows.database["audit_entries"].count_documents({}) == 2
        letters.keep(
            Letter(letter_id="feed000000000000", kind=Kind.FAILED, at=datetime.now(UTC), error="KeyError", text="again")
        )
        (row,) = letters.find("feed")
        assert (row["status"], row.get("closed")) == ("waiting", None)
