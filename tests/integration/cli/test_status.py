import json
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo.database import Database

from config.queues import QUEUES
from observability.alerts import Alerts
from tests.integration.cli.conftest import Command


@pytest.mark.usefixtures("database")
class TestStatus:
    """`nestcms-workers status` shows the system's health in one look."""

    def test_well(self, command: Command, servers: dict[str, str]) -> None:
        """Where nothing is wrong, the exit code is 0, and a one-node set has its primary without any lag."""
        done = command("status", "--json", **servers)
        assert done.exit_code == 0, done.output
        found = json.loads(done.stdout)
        assert [(one["role"], one["lag_seconds"]) for one in found["members"]] == [("primary", 0.0)]
        assert [(one["queue"], one["waiting"]) for one in found["queues"]] == [(queue, 0) for queue in QUEUES]
        assert found["breaker"][0]["state"] == "closed"
        assert {one["work"] for one in found["due_work"]} == {"operations", "deliveries", "reactions"}
        assert found["schedule"] == found["alerts"] == []
        assert "Members" in command("status", **servers).stdout

    def test_unwell(self, command: Command, servers: dict[str, str], database: Database[dict[str, Any]]) -> None:
        """Old work, an overdue entry and an open alert are shown, and the exit code is 1."""
        long_ago = datetime(2026, 1, 1, tzinfo=UTC)
        database["payment_operations"].insert_one({"_id": "op-1", "open": True, "due_at": long_ago})
        database["schedule_slots"].insert_one({"entry": "sweep-inbox", "due": None, "done_at": long_ago})
        Alerts(database, clock=lambda: long_ago).raise_alert("unknown_payment", "TST1", "nobody asked for it")
        done = command("status", "--json", **servers)
        assert done.exit_code == 1
        found = json.loads(done.stdout)
        work = {one["work"]: one["oldest_due_seconds"] for one in found["due_work"]}
        assert work["operations"] > 86_400
        assert work["deliveries"] is work["reactions"] is None
        assert [one["entry"] for one in found["schedule"]] == ["sweep-inbox"]
        assert [(one["alert"], one["about"]) for one in found["alerts"]] == [("unknown_payment", "TST1")]

    def test_part_missing(self, command: Command, servers: dict[str, str], silent_port: int) -> None:
        """A broker that is gone hides nothing else."""
        done = command("status", "--json", **servers | {"REDIS_URL": f"redis://127.0.0.1:{silent_port}/0"})
        assert done.exit_code == 1
        found = json.loads(done.stdout)
        assert found["queues"] == found["cache"] == [{"unknown": "not answered: ConnectionError", "ok": False}]
        assert found["members"][0]["role"] == "primary"
