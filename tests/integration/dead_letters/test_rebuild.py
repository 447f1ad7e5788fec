import base64
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
import redis
import requests
from pymongo.database import Database

from payments.events import Context
from payments.service import PageTerms
from tasks.wiring import World, build_world
from tests.integration.dead_letters.conftest import Command, told
from tests.support.cms import SeededPayment, seed_payment
from tests.support.notices import sign
from tests.support.sandbox import Sandbox
from tests.support.system import System, report
from tests.support.waiting import eventually

Documents = Database[dict[str, Any]]

#: The promise for what has a row, by sweeps alone.
HEALS_WITHIN_SECONDS = 60.0

#: After the command nothing waits for a sweep.
AT_ONCE_SECONDS = 10.0

#: How many accepted pages, and as many deliveries, lose their messages.
COUNT = 8


#: Why the queues are rebuilt; nobody may without a reason.
WHY = ("--reason", "the broker was lost")


@dataclass
class Open:
    """What was open when the broker lost everything."""

    paid: list[SeededPayment]
    accepted: list[SeededPayment]


def accept(world: World, payment: SeededPayment) -> None:
    """Leave a row as a worker does that dies right after it: accepted, and not sent."""
    terms, context = PageTerms(), Context(correlation_id=f"lost-{payment.payment_id}", source="tests")
    service = world.service
    service._acceptor.accept(world.service._parts.cms.payment(payment.payment_id), terms, None, context)


def lose_everything(system: System, documents: Documents, sandbox: Sandbox, broker: redis.Redis) -> Open:
    """Have pages accepted and deliveries recorded, and flush the broker before any is worked off."""
    paid, accepted = [[seed_payment(documents) for _ in range(COUNT)] for _ in range(2)]
    pages = [system.enqueue("payments.create_page", payment_id=one.payment_id) for one in paid]
    tran_refs = [page.get()["tran_ref"] for page in pages]
    system.kill("worker-money")
    sandbox.fault("notifications", "none", times=0)
    for tran_ref in tran_refs:
        sandbox.pay(tran_ref, "4111111111111111")
    sandbox.clear_faults()
    for tran_ref in tran_refs:
        body = str(sandbox.notify(tran_ref, url="http://127.0.0.1:1/")["body"]).encode()
        address = f"{system.receiver_url}/webhooks/paytabs"
        assert requests.post(address, data=body, headers=sign(body), timeout=15).status_code == 200
    world = build_world(system.settings)
    try:
        for payment in accepted:
            accept(world, payment)
    finally:
        world.close()
    assert broker.llen("webhooks") == COUNT
    broker.flushall()
    system.restart("worker-money")
    return Open(paid, accepted)


def is_done(documents: Documents, open_work: Open) -> bool:
    """Tell whether every delivery is applied, every paid payment paid, and every accepted page open."""
    paid = {"_id": {"$in": [one.payment for one in open_work.paid]}, "status": "paid"}
    pages = {"payment_id": {"$in": [one.payment for one in open_work.accepted]}, "status": "pending"}
    return (
        documents["payments"].count_documents(paid) == COUNT
        and documents["payment_operations"].count_documents(pages) == COUNT
        and documents["webhook_inbox"].count_documents({"status": {"$in": ["received", "processing"]}}) == 0
    )


@pytest.fixture(autouse=True)
def clean(documents: Documents) -> None:
    """Nothing is open from the test before."""
    documents["webhook_inbox"].delete_many({})


class TestBrokerLost:
    """FLUSHALL loses nothing that was accepted."""

    def test_sweeps(
        self,
        system: System,
        documents: Documents,
        sandbox: Sandbox,
        broker: redis.Redis,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """The sweeps alone finish all of it within a minute, and no page is made twice."""
        open_work = lose_everything(system, documents, sandbox, broker)
        began = time.monotonic()
        eventually(lambda: is_done(documents, open_work), within_seconds=HEALS_WITHIN_SECONDS, every_seconds=0.1)
        report(
            capsys, f"broker flushed: {2 * COUNT} pieces of work done by sweeps after {time.monotonic() - began:.1f} s"
        )
        self.once(documents, sandbox, open_work)

    def test_command(
        self,
        system: System,
        documents: Documents,
        sandbox: Sandbox,
        broker: redis.Redis,
        command: Command,
    ) -> None:
        """One command has all of it done at once, without any sweep; a second and a third change nothing."""
        system.kill("beat")
        open_work = lose_everything(system, documents, sandbox, broker)
        assert not is_done(documents, open_work)
        done = command("rebuild-queues", *WHY)
        assert done.exit_code == 0, done.output
        assert f"{COUNT} deliveries" in done.stdout
        eventually(lambda: is_done(documents, open_work), within_seconds=AT_ONCE_SECONDS, every_seconds=0.1)
        told(command("rebuild-queues", *WHY, "--json"))  # PayTabs is asked about each page, and its answer is a fact
        known = self.idle(documents, broker)
        counts = told(command("rebuild-queues", *WHY, "--json"))["enqueued"]
        assert counts["deliveries"] == 0
        assert counts["operations"] >= COUNT
        assert self.idle(documents, broker) == known
        self.once(documents, sandbox, open_work)
        system.restart("beat")

    def test_asked_again(self, system: System, documents: Documents, sandbox: Sandbox, broker: redis.Redis) -> None:
        """What no worker had taken is enqueued again by its caller under the same operation id, and happens once."""
        payments = [seed_payment(documents) for _ in range(COUNT)]
        pages = [system.enqueue("payments.create_page", payment_id=one.payment_id) for one in payments]
        for page in pages:
            sandbox.pay(page.get()["tran_ref"], "4111111111111111")
        paid = {"_id": {"$in": [one.payment for one in payments]}, "status": "paid"}
        eventually(lambda: documents["payments"].count_documents(paid) == COUNT, within_seconds=HEALS_WITHIN_SECONDS)
        asked = [{"payment_id": one.payment_id, "operation_id": f"refund-{one.payment_id}"} for one in payments]
        system.kill("worker-money")
        for one in asked:
            system.enqueue("payments.refund", **one)
        broker.flushall()
        # Some callers are sure that theirs was lost, some have asked twice all along.
        again = [system.enqueue("payments.refund", **one) for one in (*asked, *asked[:3])]
        system.restart("worker-money")
        assert {one.get(within_seconds=HEALS_WITHIN_SECONDS)["status"] for one in again} == {"succeeded"}
        refunds = [one for one in sandbox.ledger() if one["tran_type"] == "Refund"]
        assert [one["status"] for one in refunds] == ["A"] * COUNT
        assert len({one["previous_tran_ref"] for one in refunds}) == COUNT

    def idle(self, documents: Documents, broker: redis.Redis) -> int:
        """Wait until nothing is queued or in hand, and count all facts."""
        eventually(lambda: not (broker.llen("reconcile.polls") or broker.hlen("unacked")), within_seconds=20)
        return documents["payment_events"].count_documents({})

    def once(self, documents: Documents, sandbox: Sandbox, open_work: Open) -> None:
        """Every payment has one attempt, one page at PayTabs, and a paid one is charged once."""
        asked = [one["body"]["cart_id"] for one in sandbox.requests("/payment/request")]
        assert len(asked) == len(set(asked)) == 2 * COUNT
        everyone = [one.payment for one in (*open_work.paid, *open_work.accepted)]
        assert documents["payment_operations"].count_documents({"payment_id": {"$in": everyone}}) == 2 * COUNT
        assert len([one for one in sandbox.ledger() if one["status"] == "A"]) == COUNT


class TestReactions:
    """What events lead to is open work as well."""

    def test_enqueued(self, system: System, documents: Documents, broker: redis.Redis, command: Command) -> None:
        """Every reaction that is owed is enqueued by its event and name; what is done is not."""
        system.kill("beat")
        documents["event_deliveries"].delete_many({})
        row: dict[str, Any] = {"event_id": f"{'0' * 24}-1", "correlation_id": "corr-9", "done_at": None}
        owed = [
            row | {"_id": name, "handler": name, "due_at": datetime.now(UTC)} for name in ("email_client", "notify_cms")
        ]
        documents["event_deliveries"].insert_many([*owed, row | {"_id": "done", "handler": "done", "due_at": None}])
        assert told(command("rebuild-queues", *WHY, "--json"))["enqueued"]["reactions"] == 2
        envelopes = [json.loads(raw) for raw in broker.lrange("events.reactions", 0, -1)]
        bodies = [json.loads(base64.b64decode(one["body"]))[1] for one in envelopes]
        sent = [one["handler"] for one in bodies if one.get("event_id") == row["event_id"]]
        assert sorted(sent) == ["email_client", "notify_cms"]
        documents["event_deliveries"].delete_many({})
        system.restart("beat")


class TestNothingThere:
    """The command says what is wrong, like every other."""

    def test_dead_broker(self, command: Command, free_port: int) -> None:
        """A broker that does not answer is one sentence and exit code 2."""
        done = command("rebuild-queues", *WHY, REDIS_URL=f"redis://127.0.0.1:{free_port}/0")
        assert done.exit_code == 2
        assert f"the broker at 127.0.0.1:{free_port} does not answer" in done.stderr.replace("The broker", "the broker")
