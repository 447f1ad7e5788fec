import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil
import pytest

from payments.events import Context
from payments.service import PageTerms
from tasks.wiring import World, build_world, ensure_indexes
from tests.chaos.stage import GOOD_CARD, HEALS_WITHIN_SECONDS, Stage
from tests.support.cms import SeededPayment, seed_payment
from tests.support.system import Json
from tests.support.waiting import eventually
from workers.processes import PROJECT_ROOT, environment

#: Places after which PayTabs has had the request, or the worker can tell that it has not.
FOUND = ("before_row", "after_row", "after_write", "before_booking", "after_booking")

#: Places after which nobody can tell whether the request left: only a human may have it sent again.
IN_DOUBT = ("after_sending", "before_write")


@contextmanager
def at_the_desk(stage: Stage) -> Iterator[World]:
    """Act as a process of its own that nobody kills."""
    world = build_world(stage.system.settings)
    ensure_indexes(world)  # as every process of ours does when it starts
    try:
        yield world
    finally:
        world.close()


def authorised(stage: Stage) -> SeededPayment:
    """Have a payment authorised without the worker, which is about to die at its first request."""
    payment = seed_payment(stage.database)
    seen_by = Context(correlation_id="desk", source="tests")
    with at_the_desk(stage) as world:
        page = world.service.create_page(payment.payment_id, PageTerms(transaction="auth"), seen_by)
        stage.sandbox.pay(str(page.tran_ref), GOOD_CARD)
        assert world.service.verify(payment.payment_id, seen_by).state == "AUTHORISED"
    return payment


def faulty(stage: Stage, directory: Path, point: str) -> Path:
    """Run the worker with a place at which the first of its processes to arrive dies, and return the mark it leaves.

    No payment of the test exists yet: MongoDB holds what a killed client had locked for up to a minute.
    """
    mark = directory / point
    with patch.dict(os.environ, FAULT_POINT=point, FAULT_ONCE=str(mark)):
        stage.system.kill("worker-money")
        stage.system.restart("worker-money")
    return mark


def capture(payment: SeededPayment, number: int = 1) -> Json:
    """Give the arguments of a capture of all that is authorised."""
    return {"payment_id": payment.payment_id, "operation_id": f"capture-{payment.payment_id}-{number}"}


def stands(stage: Stage, asked: Json, status: str) -> bool:
    """Tell whether an operation has come to a status."""
    found = stage.database["payment_operations"].find_one({"_id": asked["operation_id"]})
    return found is not None and found["status"] == status


def a_day_later(stage: Stage, asked: Json) -> bool:
    """Let the ladder of an operation in doubt reach its end, as if it had been sent yesterday; tell whether it has."""
    yesterday = datetime.now(UTC) - timedelta(days=1, minutes=5)
    moved = {"sends.0.sent_at": yesterday, "poll_from": yesterday, "due_at": yesterday}
    stage.database["payment_operations"].update_one(
        {"_id": asked["operation_id"], "status": "unknown"}, {"$set": moved}
    )
    return stands(stage, asked, "review")


def operator_says_no(stage: Stage, asked: Json) -> None:
    """Declare the operation not to have happened, as an operator who has looked into the dashboard."""
    seen_by = Context(correlation_id="desk", source="review", requested_by="omar")
    with at_the_desk(stage) as world:
        world.review.settle_operation(asked["operation_id"], "not in the dashboard", seen_by)


def assert_captured_once(stage: Stage, payment: SeededPayment) -> None:
    """Check that PayTabs and we agree on one capture of the whole."""
    captures = [one for one in stage.sandbox.ledger() if one["tran_type"] == "Capture"]
    assert [(one["status"], one["amount"]) for one in captures] == [("A", "115.00")]
    view = stage.system.run("payments.get", payment_id=payment.payment_id)
    assert (view["state"], view["captured"], view["review"]) == ("PAID", "115.00", [])
    document = stage.database["payments"].find_one({"_id": payment.payment})
    assert document is not None
    assert document["status"] == "paid"


class TestKilled:
    """SIGKILL at each step of a capture ends in exactly one capture, at PayTabs and in our books."""

    @pytest.mark.parametrize("point", FOUND)
    def test_by_itself(self, stage: Stage, tmp_path: Path, point: str) -> None:
        """Where it can be told what happened, the system comes to the end by itself."""
        mark, payment = faulty(stage, tmp_path, point), authorised(stage)
        asked = capture(payment)
        stage.system.enqueue("payments.capture", **asked)
        eventually(mark.exists, what=f"a worker dead at {point}")
        eventually(lambda: stands(stage, asked, "succeeded"), within_seconds=HEALS_WITHIN_SECONDS, what="captured")
        assert_captured_once(stage, payment)

    @pytest.mark.parametrize("point", IN_DOUBT)
    def test_by_a_human(self, stage: Stage, tmp_path: Path, point: str) -> None:
        """Where it cannot, nothing is sent blindly: a human is called, looks, and has it captured."""
        mark, payment = faulty(stage, tmp_path, point), authorised(stage)
        asked = capture(payment)
        stage.system.enqueue("payments.capture", **asked)
        eventually(mark.exists, what=f"a worker dead at {point}")
        eventually(lambda: stands(stage, asked, "unknown"), within_seconds=HEALS_WITHIN_SECONDS, what="in doubt")
        assert [one["body"]["tran_type"] for one in stage.sandbox.requests("/payment/request")] == ["auth"]
        called = partial(a_day_later, stage, asked)
        eventually(called, within_seconds=HEALS_WITHIN_SECONDS, every_seconds=1.0, what="a human called")
        operator_says_no(stage, asked)
        stage.system.run("payments.capture", **capture(payment, 2))
        assert_captured_once(stage, payment)


class TestFrozen:
    """A worker that was frozen between `sending` and the socket writes nothing when it wakes up."""

    def test_fenced(self, stage: Stage, tmp_path: Path) -> None:
        """Its lease and a sweep pass; thawed, it finds its time gone, and the capture is sent anew, once."""
        stage.system.kill("worker-money")
        payment = authorised(stage)
        asked = capture(payment)
        with frozen_worker(stage, tmp_path) as worker:
            stage.system.enqueue("payments.capture", **asked)
            eventually(lambda: worker.status() == psutil.STATUS_STOPPED, within_seconds=30, what="a frozen worker")
            assert stands(stage, asked, "sending")
            stage.system.restart("worker-money")
            eventually(lambda: stands(stage, asked, "unknown"), within_seconds=HEALS_WITHIN_SECONDS, what="in doubt")
            worker.send_signal(signal.SIGCONT)
            eventually(lambda: stands(stage, asked, "succeeded"), within_seconds=HEALS_WITHIN_SECONDS, what="captured")
            assert_captured_once(stage, payment)
            history: Any = stage.system.run("payments.history", payment_id=payment.payment_id)
            told = [one["data"].get("detail") for one in history if one["type"] in ("OutcomeUnknown", "AttemptNotSent")]
            assert told == ["worker_lost", "fence_expired"]


@contextmanager
def frozen_worker(stage: Stage, directory: Path) -> Iterator[psutil.Process]:
    """Run a worker of one process that freezes itself before it calls PayTabs."""
    fault = {"FAULT_POINT": "after_sending", "FAULT_SIGNAL": "SIGSTOP", "FAULT_ONCE": str(directory / "frozen")}
    argv = [sys.executable, "-m", "celery", "-A", "workers.app", "worker", "-n", "frozen@%h", "-P", "solo"]
    with (directory / "frozen.log").open("wb") as log:
        process = subprocess.Popen(
            [*argv, "-Q", "payments"], env={**os.environ, **environment(stage.system.settings), **fault},
            cwd=PROJECT_ROOT, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield psutil.Process(process.pid)
    finally:
        process.kill()
        process.wait()
