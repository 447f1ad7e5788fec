import re
from pathlib import Path
from typing import Any

from celery import Celery
from hypothesis import given
from hypothesis import strategies as st

from config.celeryconfig import celery_config
from config.queues import CLASSES, LANES, QUEUES, class_in, door_of, lane_of, queue_of, with_lanes
from tests.unit.config.conftest import Load
from workers.cli_enqueue import known_tasks

ROOT = Path(__file__).parents[3]

#: The commands of every version before there were lanes.
COMMANDS_BEFORE = (["payments", "webhooks", "reconcile"], ["events"], ["aggregations", "maintenance"])

#: The tasks of the version before there were lanes, whose workers read the doors.
TASKS_BEFORE = {
    "aggregations.client_payments", "aggregations.contract_balance", "aggregations.contract_employees",
    "aggregations.earnings_compound", "aggregations.gateway_performance", "aggregations.invalidate",
    "aggregations.org_earnings", "aggregations.payments_summary", "aggregations.project_designs",
    "aggregations.project_notes", "aggregations.project_overview", "aggregations.project_steps",
    "aggregations.receivables_ageing", "aggregations.refresh", "aggregations.refresh_hot", "aggregations.run",
    "aggregations.user_permissions", "aggregations.user_projects", "cards.forget", "cards.list", "events.dispatch",
    "events.handle", "events.replay", "indexes.sync", "invoices.cancel", "invoices.create", "invoices.mark_paid",
    "invoices.send_sms", "invoices.status", "maintenance.rebuild_views", "maintenance.redact",
    "maintenance.seal_events", "maintenance.sweep_documents", "maintenance.sweep_inbox",
    "maintenance.sweep_operations", "maintenance.sweep_quarantine", "maintenance.tend_alerts", "payments.capture",
    "payments.charge_card", "payments.charge_token", "payments.create_page", "payments.get", "payments.history",
    "payments.managed_form", "payments.poll", "payments.refund", "payments.release", "payments.verify",
    "payments.void", "tokens.delete", "tokens.query", "views.refresh", "webhooks.process",
}  # fmt: skip

#: The lanes of what is fanned out by ourselves.
FANNED_OUT = ("reconcile.polls", "events.reactions", "aggregations.refreshes")

#: Whatever may stand in a header.
ANYTHING = st.none() | st.integers() | st.text(max_size=8) | st.sampled_from(["payer", "staff", "bulk", " Bulk "])


class TestClasses:
    """The class of callers' work is told by its task and by a header; other work has none."""

    def test_told(self) -> None:
        """Pages are a payer's, follow-ups staff's, and the header says otherwise, in any spelling; nonsense is none."""
        table: list[tuple[str, dict[str, Any], str]] = [
            ("payments.create_page", {}, "payments"),
            ("payments.create_page", {"x-class": "bulk"}, "payments.bulk"),
            ("payments.create_page", {"X_Class": " Bulk "}, "payments.bulk"),
            ("payments.create_page", {"x-class": "urgent"}, "payments"),
            ("payments.create_page", {"x-class": ["bulk"]}, "payments"),
            ("payments.refund", {}, "payments.staff"),
            ("payments.refund", {"x-class": "payer"}, "payments"),
            ("payments.refund", {"x-class": "bulk"}, "payments.bulk"),
            ("invoices.create", {"x-class": "staff"}, "payments.staff"),
            ("aggregations.run", {"x-class": "staff"}, "aggregations"),
            ("aggregations.org_earnings", {"x-class": "bulk"}, "aggregations.bulk"),
            ("aggregations.invalidate", {"x-class": "bulk"}, "aggregations.first"),
            ("payments.poll", {"x-class": "bulk"}, "reconcile.polls"),
            ("webhooks.process", {"x-class": "bulk"}, "webhooks"),
            ("maintenance.sweep_inbox", {"x-class": "payer"}, "reconcile"),
        ]
        found = [(task, headers, queue_of(task, class_in(headers))) for task, headers, _ in table]
        assert found == table

    def test_celery(self, load: Load) -> None:
        """Celery's router goes by it, and a queue that the caller names wins."""
        app = Celery("lanes", set_as_current=False)
        app.conf.update(celery_config(load(REDIS_URL="redis://127.0.0.1:6379/0")))
        route = app.amqp.router.route
        assert route({"headers": {"x-class": "bulk"}}, "payments.get")["queue"].name == "payments.bulk"
        assert route({}, "payments.void")["queue"].name == "payments.staff"
        assert route({"queue": "payments", "headers": None}, "payments.void")["queue"].name == "payments"
        app.close()


class TestDoors:
    """Who reads or writes the queues of the version before needs to know no other."""

    def test_commands_before(self) -> None:
        """The workers' commands of the version before read every queue, each its own group, and none twice."""
        read = [with_lanes(names) for names in COMMANDS_BEFORE]
        assert sorted(queue for names in read for queue in names) == sorted(QUEUES)
        assert with_lanes(["payments.bulk"]) == ["payments.bulk"]
        assert with_lanes([]) == []

    def test_workers_before(self) -> None:
        """No task that they do not have is sent where workers of the version before look: they would refuse it."""
        at_doors = {task for task in known_tasks() if queue_of(task) == door_of(queue_of(task))}
        assert at_doors <= TASKS_BEFORE

    @given(task=st.sampled_from([*known_tasks(), "unheard.of"]), told=ANYTHING, queue=st.sampled_from(QUEUES))
    def test_put_once(self, task: str, told: Any, queue: str) -> None:
        """What is put into a lane came by its door, belongs there, and is never put anywhere again."""
        headers = {"x-class": told}
        lane = lane_of(task, headers, queue)
        assert lane == lane_of(task, headers, lane)
        if lane != queue:
            assert (queue, lane) == (door_of(lane), queue_of(task, class_in(headers)))


class TestShares:
    """Nobody is left out, and what we fan out has no larger share than any caller's work in its worker."""

    def test_below_callers(self) -> None:
        """Every lane has a share; those of our own fan-outs are the least of their workers'."""
        shares = {lane.name: lane.share for lane in LANES}
        assert min(shares.values()) > 0
        callers = {queue for classes in CLASSES.values() for queue in classes.values()} | {"events"}
        for names in map(with_lanes, COMMANDS_BEFORE):
            ours = [shares[name] for name in names if name in FANNED_OUT]
            assert max(ours) <= min(shares[name] for name in names if name in callers)

    def test_documented(self) -> None:
        """The docs name each queue with its share and what travels on it, in this order."""
        text = (ROOT / "docs" / "operations.md").read_text()
        rows = re.findall(r"^\| `([a-z.]+)` \| ([\d,]+) \| (.+?) \|", text, re.MULTILINE)
        assert rows == [(lane.name, f"{lane.share:,}", lane.about) for lane in LANES]
