import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import Timestamp
from pymongo.database import Database

from aggregations.views import VIEWS
from config.connections import streaming_client
from config.queues import QUEUES
from config.settings import Settings
from observability.alerts import Alerts
from tests.integration.cli.conftest import Command
from tests.support.raw_message import push, raw_message
from tests.support.system import serving
from tests.support.views import Views


@pytest.fixture
def views(database: Database[dict[str, Any]], settings: Settings) -> Iterator[Views]:
    """Views that are built, and a watcher that follows."""
    with streaming_client(settings) as streaming:
        made = Views(database, streaming)
        made.settle()
        yield made


@pytest.mark.usefixtures("views")
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
        assert [one["name"] for one in found["views"]] == ["watcher", *VIEWS]
        assert found["views"][0]["behind_seconds"] < 10
        assert [one["state"] for one in found["views"]] == ["follows", *["built"] * len(VIEWS)]
        assert "Members" in command("status", **servers).stdout

    def test_waiting(self, command: Command, servers: dict[str, str], settings: Settings) -> None:
        """Of each queue it is told how many wait, which is the oldest, and since when, if its sender said so."""
        with serving(settings) as app:
            for task in ("payments.refund", "payments.void"):
                app.send_task(task, kwargs={"payment_id": "0" * 24, "operation_id": "op-1"})
        push(servers["REDIS_URL"], raw_message("payments.get", {"payment_id": "0" * 24}, queue="payments"))
        found = {one["queue"]: one for one in json.loads(command("status", "--json", **servers).stdout)["queues"]}
        staff, payers = found["payments.staff"], found["payments"]
        assert (staff["waiting"], staff["oldest"]) == (2, "payments.refund")
        assert datetime.now(UTC) - datetime.fromisoformat(staff["since"]) < timedelta(minutes=5)
        assert (payers["waiting"], payers["oldest"], payers["since"]) == (1, "payments.get", None)
        assert staff["since"] in command("status", **servers).stdout

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

    def test_many_alerts(self, command: Command, servers: dict[str, str], database: Database[dict[str, Any]]) -> None:
        """Of each name the ten oldest are shown and how many more there are: none hides another."""
        alerts = Alerts(database, clock=lambda: datetime.now(UTC))
        for number in range(60):
            alerts.raise_alert("payment_review", f"{number:024x}", "a case")
        for _ in range(3):
            alerts.raise_alert("watcher_behind", "watcher", "it does not run")
        found = json.loads(command("status", "--json", **servers).stdout)["alerts"]
        assert [one["about"] for one in found[:10]] == [f"{number:024x}" for number in range(10)]
        assert (found[10]["alert"], found[10]["detail"]) == ("payment_review", "50 more")
        assert [(one["alert"], one["times"]) for one in found[11:]] == [("watcher_behind", 3)]
        assert "50 more" in command("status", **servers).stdout

    @pytest.mark.parametrize(
        ("update", "states"),
        [
            (("watcher", {"at": Timestamp(1_700_000_000, 1)}), {"watcher": "is behind"}),
            (("watcher", {"ready": False}), {"watcher": "has made no map"} | dict.fromkeys(VIEWS, "not built")),
            (("mv_receivables", {"built": 0}), {"mv_receivables": "not built"}),
            (("mv_receivables", {"built": 0, "rebuild": {"phase": "mend"}}), {"mv_receivables": "being built"}),
        ],
    )
    def test_views(
        self, command: Command, servers: dict[str, str], views: Views, update: tuple[str, Any], states: dict[str, str]
    ) -> None:
        """A watcher that is behind its bound and a view that is not built are not well."""
        views.db["mv_meta"].update_one({"_id": update[0]}, {"$set": update[1]})
        views.desk.marks.change([("mv_receivables", "undated", Timestamp(1_700_000_000, 1))])
        done = command("status", "--json", **servers)
        assert done.exit_code == 1
        found = {one["name"]: one for one in json.loads(done.stdout)["views"]}
        assert {name: one["state"] for name, one in found.items() if not one["ok"]} == states
        assert found["mv_receivables"]["marks"] == 1

    def test_part_missing(self, command: Command, servers: dict[str, str], silent_port: int) -> None:
        """A broker that is gone hides nothing else."""
        done = command("status", "--json", **servers | {"REDIS_URL": f"redis://127.0.0.1:{silent_port}/0"})
        assert done.exit_code == 1
        found = json.loads(done.stdout)
        assert found["queues"] == found["cache"] == [{"unknown": "not answered: ConnectionError", "ok": False}]
        assert found["members"][0]["role"] == "primary"
