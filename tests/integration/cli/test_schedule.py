import json
from datetime import UTC, datetime
from typing import Any

from pymongo.database import Database

from schedules.table import ENTRIES
from tests.integration.cli.conftest import Command


class TestSchedule:
    """`nestcms-workers schedule` tells operators what runs by itself."""

    def test_listed(self, database: Database[dict[str, Any]], command: Command, servers: dict[str, str]) -> None:
        """Every entry with its kind, period, policy, last success, next due and reason; nothing is overdue yet."""
        assert database.name == servers["MONGO_DATABASE"]
        done = command("schedule", "--json", **servers)
        assert done.exit_code == 0, done.output
        rows = json.loads(done.stdout)
        assert [row["entry"] for row in rows] == [entry.name for entry in ENTRIES]
        seal = next(row for row in rows if row["entry"] == "seal-events")
        expected = {"kind": "slot", "missed": "skip", "period_seconds": 60, "last_success": None, "overdue_since": None}
        assert expected.items() <= seal.items()
        assert datetime.fromisoformat(seal["next_due"]).second == 0

    def test_overdue(self, database: Database[dict[str, Any]], command: Command, servers: dict[str, str]) -> None:
        """An entry that is overdue is marked, one that is not says when it last succeeded; the exit code is 1."""
        rows = database["schedule_slots"]
        rows.insert_one({"entry": "sweep-inbox", "due": None, "done_at": datetime(2020, 1, 1, tzinfo=UTC)})
        rows.insert_one({"entry": "redact", "due": None, "done_at": datetime.now(UTC)})
        done = command("schedule", **servers)
        assert done.exit_code == 1
        assert done.stdout.count("overdue since 2020-01-01") == 1
        never = [row for row in json.loads(command("schedule", "--json", **servers).stdout) if not row["last_success"]]
        assert len(never) == len(ENTRIES) - 2
