import json
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo.database import Database

from observability.alert_table import ALERTS
from observability.alerts import Alerts
from tests.integration.cli.conftest import Command


@pytest.fixture
def alerts(database: Database[dict[str, Any]]) -> Alerts:
    """Two open alerts, one that is closed, and a payment in review."""
    kept = Alerts(database, clock=lambda: datetime.now(UTC))
    for name, key in (("operation_given_up", "op-1"), ("seal_not_posted", "URL:1"), ("late_event", "e-1")):
        kept.raise_alert(name, key, f"what became of {key}")
    kept.resolve("late_event", "e-1")
    kept.raise_alert("payment_review", "65f0c0ffee65f0c0ffee65f0", "paid twice")
    return kept


class TestList:
    """Looking at alerts."""

    def test_open(self, command: Command, servers: dict[str, str], alerts: Alerts) -> None:
        """Only those that are open, with what they say; the closed one on request."""
        assert alerts.open_keys("operation_given_up") == ["op-1"]
        rows = json.loads(command("alerts", "list", "--json", **servers).stdout)
        assert {row["id"] for row in rows} == {
            "operation_given_up:op-1", "seal_not_posted:URL:1", "payment_review:65f0c0ffee65f0c0ffee65f0",
        }  # fmt: skip
        assert all(row["closed_at"] is None and row["count"] == 1 for row in rows)
        told = command("alerts", "list", "--all", **servers).stdout
        assert "late_event:e-1" in told
        assert "what became of op-1" in told

    def test_none(self, command: Command, servers: dict[str, str]) -> None:
        """Without any, it says so."""
        assert command("alerts", "list", **servers).stdout == "No alert is open.\n"

    def test_what_to_do(self, command: Command, servers: dict[str, str], alerts: Alerts) -> None:
        """Each says how often, since when, when it was last seen, when it closes and what to do."""
        for about in ("TST1", "TST2", "TST1"):
            alerts.raise_alert("unknown_payment", "our_profile", f"tran_ref {about}", subject=about)
        alerts.raise_alert("brand_new", "x", "of a later version")
        found = {row["name"]: row for row in json.loads(command("alerts", "list", "--json", **servers).stdout)}
        row, kind = found["unknown_payment"], ALERTS["unknown_payment"]
        assert (row["count"], row["to_do"], row["closes"], row["means"]) == (3, kind.to_do, kind.closes, kind.means)
        assert row["opened_at"] <= row["last_seen_at"]
        assert "later version" in found["brand_new"]["detail"]
        assert "only by a person" in found["brand_new"]["closes"]
        told = command("alerts", "list", **servers).stdout
        assert kind.to_do.split()[0] in told
        (only,) = json.loads(command("alerts", "list", "--name", "unknown_payment", "--json", **servers).stdout)
        assert only == row

    def test_many(self, command: Command, servers: dict[str, str], alerts: Alerts) -> None:
        """When there are more than are listed, it says how many of each."""
        for number in range(30):
            alerts.raise_alert("page_left_open", f"{number:024x}", "words")
        told = command("alerts", "list", "--limit", "5", **servers).stdout
        assert "30 page_left_open" in told
        assert "1 payment_review" in told


class TestShow:
    """All of one alert."""

    def test_all(self, command: Command, servers: dict[str, str], alerts: Alerts) -> None:
        """What it counted last, each with its sentence; in words and as JSON."""
        for about in ("TST1", "TST2"):
            alerts.raise_alert("unknown_payment", "our_profile", f"nobody asked for {about}", subject=about)
        told = command("alerts", "show", "unknown_payment:our_profile", **servers).stdout
        for words in ("nobody asked for TST1", "nobody asked for TST2", "what to do", "it closes"):
            assert words in told
        shown = json.loads(command("alerts", "show", "unknown_payment:our_profile", "--json", **servers).stdout)
        assert [one["about"] for one in shown["latest"]] == ["TST2", "TST1"]

    def test_none(self, command: Command, servers: dict[str, str]) -> None:
        """One that there is not is an error that says so."""
        done = command("alerts", "show", "nothing:at_all", **servers)
        assert done.exit_code == 1
        assert "There is no alert nothing:at_all" in done.stderr


class TestClose:
    """Saying that something was dealt with."""

    def test_closed(
        self, command: Command, servers: dict[str, str], alerts: Alerts, database: Database[dict[str, Any]]
    ) -> None:
        """It is closed, also when its key has a colon, and the audit trail says by whom and why."""
        done = command(
            "alerts", "close", "seal_not_posted:URL:1", "--by", "omar", "--reason", "the host is back", **servers
        )
        assert done.exit_code == 0, done.stderr
        assert alerts.open_keys("seal_not_posted") == []
        assert alerts.open_keys("operation_given_up") == ["op-1"]
        _, ended = database["audit_entries"].find().sort("_id", 1)
        assert (ended["by"], ended["reason"], ended["outcome"]) == ("omar", "the host is back", "closed")
        row = alerts.rows.find_one({"name": "seal_not_posted"}) or {}
        assert (row["closed_by"], row["closed_why"]) == ("omar", "the host is back")
        assert "omar" in command("alerts", "show", "seal_not_posted:URL:1", **servers).stdout

    @pytest.mark.parametrize("alert", ["late_event:e-1", "operation_given_up:op-2", "nothing"])
    def test_not_open(self, command: Command, servers: dict[str, str], alerts: Alerts, alert: str) -> None:
        """What is closed or was never there is refused, and nothing is written into the trail."""
        done = command("alerts", "close", alert, "--reason", "none", **servers)
        assert done.exit_code == 1
        assert f"Alert {alert} cannot be closed: no open alert is called so" in done.stderr
        assert alerts.rows.database["audit_entries"].count_documents({}) == 0

    def test_review(self, command: Command, servers: dict[str, str], alerts: Alerts) -> None:
        """A payment in review stays one until its case is settled."""
        done = command("alerts", "close", "payment_review:65f0c0ffee65f0c0ffee65f0", "--reason", "seen", **servers)
        assert done.exit_code == 1
        assert "review list" in done.stderr
        assert alerts.open_keys("payment_review") == ["65f0c0ffee65f0c0ffee65f0"]
