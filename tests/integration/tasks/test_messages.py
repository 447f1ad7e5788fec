import os
import signal
import time
from functools import partial
from typing import Any

import pytest
from pymongo.database import Database

from tasks.errors import OutcomeUnknown
from tests.support.cms import seed_payment
from tests.support.raw_message import push, raw_message
from tests.support.sandbox import Sandbox
from tests.support.system import System, report
from tests.support.waiting import eventually

#: From the payer's Pay to `paid` in the CMS's document, with nothing in the way.
PAID_WITHIN_SECONDS = 10.0


class TestWholeFlow:
    """From enqueue to paid, every part a real process: worker, beat, receiver, broker, database, sandbox."""

    def test_enqueue_to_paid(
        self, system: System, documents: Database[dict[str, Any]], sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A page is made, the payer pays, the signed callback is confirmed by a query, and the CMS reads `paid`."""
        payment = seed_payment(documents)
        before = documents["payments"].find_one({"_id": payment.payment}) or {}
        began = time.monotonic()
        view = system.run("payments.create_page", payment_id=payment.payment_id)
        made = time.monotonic() - began
        began = time.monotonic()
        sandbox.pay(view["tran_ref"], "4111111111111111")
        after = eventually(
            lambda: documents["payments"].find_one({"_id": payment.payment, "status": "paid"}),
            every_seconds=0.005,
            what="paid",
        )
        paid = time.monotonic() - began
        assert after is not None
        assert after["transR"] == view["tran_ref"]
        changed = {name for name in after if after[name] != before.get(name)}
        assert changed == {"status", "transR", "gateway", "updatedAt"}
        assert [one["status"] for one in sandbox.notifications(tran_ref=view["tran_ref"])] == [200]
        asked = sandbox.requests("/payment/query")
        # Others of this module are polled meanwhile, and on a busy machine this one too.
        assert view["tran_ref"] in {one["body"].get("tran_ref") for one in asked}
        assert paid < PAID_WITHIN_SECONDS
        report(capsys, f"page made in {made:.2f} s; from Pay to paid {paid:.2f} s")

    def test_nothing_left_behind(self, system: System) -> None:
        """Beat's ticks leave no results; no process of the system has written an error."""
        ticks = system.lines(event="task_succeeded", task_name="maintenance.sweep_inbox")
        assert ticks
        assert {system.asked(one["task_id"]).meta["status"] for one in ticks} == {"PENDING"}
        for name in ("worker-money", "beat", "receiver"):
            assert [line for line in system.lines(name) if line["level"] in ("error", "critical")] == []


def pushed(system: System, message: dict[str, Any]) -> Any:
    """Put a hand-written message into the broker and return its result."""
    assert system.settings.redis_url is not None
    return system.asked(push(system.settings.redis_url, message)).get()


class TestRawMessage:
    """A message that no Celery has written is as good as any other."""

    def test_page_and_correlation(self, system: System, documents: Database[dict[str, Any]], sandbox: Sandbox) -> None:
        """It makes a page; its id is on the log lines, in every event and in what PayTabs received, nowhere else."""
        payment, mine = seed_payment(documents), "order-4711/from-node"
        message = raw_message(
            "payments.create_page", {"payment_id": payment.payment_id}, queue="payments", correlation_id=mine
        )
        view = pushed(system, message)
        task_id = message["headers"]["id"]
        assert view["state"] == "AWAITING_PAYER"
        assert view["redirect_url"].startswith(sandbox.url)
        events = documents["payment_events"].find({"payment_id": payment.payment}).sort("version", 1)
        assert [(one["type"], one["correlation_id"]) for one in events] == [
            ("PaymentCreated", mine),
            ("AttemptStarted", mine),
            ("PageOpened", mine),
        ]
        received = [one["headers"] for one in sandbox.requests() if one["path"] == "/payment/request"]
        assert [{name.lower(): value for name, value in one.items()}["x-correlation-id"] for one in received] == [
            mine.replace("/", "%2F")
        ]
        eventually(lambda: [1 for line in system.lines(task_id=task_id) if " succeeded in " in line["event"]])
        lines = system.lines(task_id=task_id)
        assert lines[0]["event"] == "task_started"
        assert {(line["correlation_id"], line["payment_id"]) for line in lines} == {(mine, payment.payment_id)}
        self.later_task_is_free_of_it(system, mine, payment.payment_id)

    def later_task_is_free_of_it(self, system: System, earlier: str, payment_id: str) -> None:
        """A task without the header goes under its own id, in every child of the pool."""
        later = [system.enqueue("payments.get", payment_id=payment_id) for _ in range(12)]
        for one in later:
            one.get()
        ids = {one.id for one in later}
        eventually(lambda: ids <= {line["task_id"] for line in system.lines(event="task_succeeded")})
        lines = [line for line in system.lines() if line.get("task_id") in ids]
        assert all(line["correlation_id"] == line["task_id"] for line in lines)
        ours = {line["task_id"] for line in system.lines(correlation_id=earlier)}
        assert not ours & ids
        assert not [line for line in system.lines() if "task_id" not in line and "correlation_id" in line]

    @pytest.mark.parametrize(
        "headers",
        [{"x_correlation_id": "spelt-otherwise"}, {"X-Correlation-Id": "spelt-otherwise"}],
        ids=["underscores", "capitals"],
    )
    def test_other_spellings(
        self, system: System, documents: Database[dict[str, Any]], sandbox: Sandbox, headers: dict[str, str]
    ) -> None:
        """The header is found in the spelling of any language."""
        payment = seed_payment(documents)
        message = raw_message("payments.create_page", {"payment_id": payment.payment_id}, queue="payments")
        message["headers"].update(headers)
        assert pushed(system, message)["redirect_url"].startswith(sandbox.url)
        ids = documents["payment_events"].distinct("correlation_id", {"payment_id": payment.payment})
        assert ids == ["spelt-otherwise"]

    @pytest.mark.parametrize("unusable", [5, "", "a\nb", "x" * 129, {"a": 1}], ids=lambda one: type(one).__name__)
    def test_unusable_id(self, system: System, documents: Database[dict[str, Any]], unusable: Any) -> None:
        """A header that is no plain short text is as good as none: the task's own id takes its place."""
        payment = seed_payment(documents)
        message = raw_message("payments.get", {"payment_id": payment.payment_id}, queue="payments")
        message["headers"]["x-correlation-id"] = unusable
        pushed(system, message)
        task_id = message["headers"]["id"]
        eventually(lambda: system.lines(task_id=task_id, correlation_id=task_id, event="task_succeeded"))


class TestLostChild:
    """A child of the pool that is killed over a task takes only so many others with it."""

    def test_three_tries(self, system: System, documents: Database[dict[str, Any]], sandbox: Sandbox) -> None:
        """The task is run three times, under its own correlation id each time, then no more; the worker lives."""
        payment = seed_payment(documents)
        tran_ref = system.run("payments.create_page", payment_id=payment.payment_id)["tran_ref"]
        sandbox.fault("/payment/query", "slow", times=0, seconds=30, before=True, match={"tran_ref": tran_ref})
        asked = system.enqueue("payments.verify", payment_id=payment.payment_id, correlation_id="killed-often")
        for run in range(3):
            look = partial(system.lines, task_id=asked.id, event="task_started", retries=run)
            os.kill(eventually(look, what=f"run {run}")[0]["pid"], signal.SIGKILL)
        with pytest.raises(OutcomeUnknown, match="outcome unknown: ask again"):
            asked.get()
        runs = system.lines(task_id=asked.id, event="task_started")
        assert [(one["retries"], one["correlation_id"]) for one in runs] == [(n, "killed-often") for n in range(3)]
        sandbox.clear_faults()
        assert system.run("payments.verify", payment_id=payment.payment_id)["state"] == "AWAITING_PAYER"
