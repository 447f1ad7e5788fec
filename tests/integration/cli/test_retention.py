import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from payments.inbox import Inbox
from tests.integration.cli.conftest import Command


@pytest.fixture
def kept(database: Database[dict[str, Any]]) -> Database[dict[str, Any]]:
    """A delivery of 100 days ago and one of 10 days ago, neither of which could be read."""
    for days in (100, 10):
        then = datetime.now(UTC) - timedelta(days=days)
        inbox = Inbox(database["webhook_inbox"], clock=lambda then=then: then)  # type: ignore[misc] # bound at once
        inbox.record_rejected(b"<Huda of %d days>" % days, {}, reason="body", correlation_id="c")
    return database


class TestRetention:
    """What is kept about people, and forgetting it by hand."""

    def test_status(self, command: Command, servers: dict[str, str], kept: Database[dict[str, Any]]) -> None:
        """Each collection, its age, and how much has come of age."""
        assert kept["webhook_inbox"].count_documents({}) == 2
        rows = json.loads(command("retention", "status", "--json", **servers).stdout)
        assert [(row["collection"], row["age_days"], row["due"], row["redacted"]) for row in rows] == [
            ("webhook_inbox", 90, 1, 0), ("payment_operations", 90, 0, 0), ("dead_letters", 90, 0, 0),
        ]  # fmt: skip
        told = command("retention", "status", INBOX_RETENTION_DAYS="7", **servers).stdout
        assert "webhook_inbox" in told
        assert (datetime.now(UTC) - timedelta(days=100)).strftime("%Y-%m-%d") in told

    def test_run(self, command: Command, servers: dict[str, str], kept: Database[dict[str, Any]]) -> None:
        """What has come of age is forgotten; who wanted that, and why, stands in the audit trail."""
        done = command("retention", "run", "--by", "omar", "--reason", "asked by a client", "--json", **servers)
        assert done.exit_code == 0, done.stderr
        answer = json.loads(done.stdout)
        assert (answer["redacted"]["webhook_inbox"], answer["held"], answer["finished"]) == (1, 0, True)
        _, ended = kept["audit_entries"].find().sort("_id", 1)
        assert (ended["by"], ended["reason"]) == ("omar", "asked by a client")
        assert "'webhook_inbox': 1" in ended["outcome"]
        bodies = [bytes(row["body"]) for row in kept["webhook_inbox"].find().sort("received_at", 1)]
        assert bodies == [b"{}", b"<Huda of 10 days>"]
        again = command("retention", "run", "--reason", "once more", **servers)
        assert "Redacted 0 in webhook_inbox" in again.stdout

    def test_no_reason(self, command: Command, servers: dict[str, str], kept: Database[dict[str, Any]]) -> None:
        """Without a reason nothing is done."""
        done = command("retention", "run", **servers)
        assert done.exit_code == 2
        assert "--reason" in done.stderr
        assert kept["webhook_inbox"].count_documents({"redacted_at": {"$exists": True}}) == 0

    def test_too_short(self, command: Command, servers: dict[str, str]) -> None:
        """An age under a week is refused, naming the setting."""
        done = command("retention", "status", INBOX_RETENTION_DAYS="6", **servers)
        assert done.exit_code == 2
        assert "INBOX_RETENTION_DAYS" in done.stderr
        assert "at least 7" in done.stderr
