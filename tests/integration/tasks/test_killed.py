import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil
import pytest
from pymongo.database import Database

from config.addresses import other_database
from config.connections import mongo_client
from tests.support.cms import SeededPayment, seed_payment
from tests.support.processes import alive
from tests.support.sandbox import Sandbox
from tests.support.system import SHORT_TIMES, System, system_settings
from tests.support.waiting import eventually
from workers.stack import EmbeddedMongo, EmbeddedValkey

Documents = Database[dict[str, Any]]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedValkey]:
    """A result store of its own, so that it can be away while the broker is there."""
    with EmbeddedValkey(tmp_path_factory.mktemp("results")) as server:
        yield server


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedValkey]:
    """The broker."""
    with EmbeddedValkey(tmp_path_factory.mktemp("broker")) as server:
        yield server


@pytest.fixture(scope="module")
def system(
    tmp_path_factory: pytest.TempPathFactory, mongo: EmbeddedMongo, running_sandbox: Sandbox, results: EmbeddedValkey,
    broker: EmbeddedValkey,
) -> Iterator[System]:  # fmt: skip
    """The money worker and beat."""
    settings = system_settings(
        mongo_uri=mongo.uri, redis_url=broker.url, sandbox_url=running_sandbox.url,
        directory=tmp_path_factory.mktemp("killed"), **SHORT_TIMES,
    )  # fmt: skip
    settings = settings.model_copy(update={"result_url": other_database(results.url, 1)})
    with System(settings, ("worker-money", "beat")) as running:
        yield running


@pytest.fixture
def documents(system: System) -> Iterator[Documents]:
    """The system's database, as the CMS sees it."""
    with mongo_client(system.settings) as client:
        yield client[system.settings.mongo_database]


def paid(system: System, documents: Documents, sandbox: Sandbox) -> SeededPayment:
    """Have a payment paid."""
    payment = seed_payment(documents)
    page = system.run("payments.create_page", payment_id=payment.payment_id)
    sandbox.pay(page["tran_ref"], "4111111111111111")
    assert system.run("payments.verify", payment_id=payment.payment_id)["state"] == "PAID"
    return payment


def refunds(sandbox: Sandbox) -> list[str]:
    """List the sandbox's refunds by their amounts."""
    return [one["amount"] for one in sandbox.ledger() if one["tran_type"] == "Refund"]


class TestMoneyMoved:
    """Whatever befalls a refund after it has moved money, its caller reads that it succeeded, and no one else hears."""

    def test_store_killed(
        self, system: System, documents: Documents, sandbox: Sandbox, results: EmbeddedValkey
    ) -> None:
        """The result store is killed while PayTabs answers, and comes back later."""
        payment = paid(system, documents, sandbox)
        sandbox.fault("/payment/request", "slow", seconds=1.5)
        asked = system.enqueue("payments.refund", payment_id=payment.payment_id, operation_id="refund-1")
        eventually(lambda: refunds(sandbox), what="the refund at PayTabs")
        results.kill()
        eventually(lambda: system.lines(event="result_kept", result_of=asked.id), within_seconds=20.0)
        results.start()
        self.succeeded(system, documents, sandbox, asked.get())

    def test_hard_limit(self, system: System, documents: Documents, sandbox: Sandbox, tmp_path: Path) -> None:
        """The process hangs when its row is written, and is ended by the hard time limit."""
        payment = paid(system, documents, sandbox)
        fault = {"FAULT_POINT": "after_booking", "FAULT_SIGNAL": "SIGSTOP", "FAULT_ONCE": str(tmp_path / "frozen")}
        with patch.dict(os.environ, fault):
            system.kill("worker-money")
            system.restart("worker-money")
        asked = system.enqueue("payments.refund", payment_id=payment.payment_id, operation_id="refund-2")
        self.succeeded(system, documents, sandbox, asked.get())
        assert (tmp_path / "frozen").exists()

    def succeeded(self, system: System, documents: Documents, sandbox: Sandbox, answer: Any) -> None:
        """It is told, the money moved once, and there is no letter and no retry."""
        assert (answer["status"], answer["state"]) == ("succeeded", "REFUNDED")
        assert refunds(sandbox) == ["115.00"]
        assert system.lines(event="dead_letter") == system.lines(event="task_retried") == []
        assert documents["dead_letters"].count_documents({}) == 0


class TestStopped:
    """A worker that is told to stop is gone within its grace, whatever it is doing."""

    def test_broker_frozen(
        self, system: System, documents: Documents, sandbox: Sandbox, broker: EmbeddedValkey
    ) -> None:
        """Its broker answers nobody, and it has a task under way: it ends all the same, children included."""
        payment = seed_payment(documents)
        tran_ref = system.run("payments.create_page", payment_id=payment.payment_id)["tran_ref"]
        sandbox.fault("/payment/query", "slow", times=0, seconds=30, before=True, match={"tran_ref": tran_ref})
        asked = system.enqueue("payments.verify", payment_id=payment.payment_id)
        eventually(lambda: system.lines(task_id=asked.id, event="task_started"))
        parent = psutil.Process(system.pids()["worker-money"])
        of_it = [parent, *parent.children(recursive=True)]
        broker.pause()
        try:
            parent.send_signal(signal.SIGTERM)
            eventually(lambda: not alive(of_it), within_seconds=30.0, what="its end")
        finally:
            broker.resume()
            system.restart("worker-money")
