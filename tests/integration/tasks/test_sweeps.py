from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from pymongo.database import Database

from config.queues import CORRELATION_HEADER
from config.settings import Settings
from payments.delivery import Delivery
from payments.errors import StreamContended
from payments.events import Context
from payments.inbox import Inbox
from payments.retention import CHUNK
from payments.service import PageTerms
from payments.unexplained import ALERT as UNEXPLAINED
from paytabs.resilience import PARKED_WORK
from tasks import maintenance, once, webhooks
from tasks.wiring import World, build_world, ensure_indexes, use_world
from tests.support.broker import Broker
from tests.support.cms import seed_payment
from tests.support.notices import notice
from tests.support.sandbox import Sandbox
from tests.support.system import serving
from workers.stack_ports import free_port


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC).replace(microsecond=0)

    def __call__(self) -> datetime:
        """Tell the time."""
        return self.now

    def forward(self, seconds: float) -> None:
        """Move it."""
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
def app(settings: Settings) -> Iterator[Celery]:
    """A Celery application on the real broker, which nobody serves."""
    with serving(settings) as made:
        yield made


@pytest.fixture
def world(
    settings: Settings, app: Celery, clock: Clock, sandbox: Sandbox, database: Database[dict[str, Any]]
) -> Iterator[World]:
    """A world on real servers whose clock the test moves."""
    assert app.conf.result_backend
    assert database.name == settings.mongo_database
    built = build_world(settings.model_copy(update={"paytabs_base_url": sandbox.url}), clock=clock)
    ensure_indexes(built)
    use_world(built)
    yield built
    use_world(None)


@pytest.fixture
def broker(settings: Settings) -> Broker:
    """The broker's queues."""
    assert settings.redis_url is not None
    return Broker(settings.redis_url)


def run(task: Any, **arguments: Any) -> Any:
    """Run a task here and now, as a worker with this world would."""
    return task.apply(kwargs=arguments, headers={CORRELATION_HEADER: "sweep-1"}, throw=True).get()


class TestSweepInbox:
    """Whatever is recorded and not applied is enqueued again, once in a while and not at every look."""

    def test_lost_message(self, world: World, broker: Broker, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
        """A delivery nobody took is enqueued after ten seconds, and again only when that was lost as well."""
        monkeypatch.setattr(once, "SENDING_SECONDS", 0.0)
        recorded = world.inbox.record(notice(), {}, correlation_id="delivery-1")
        enqueued = []
        for seconds in (0, 10, 1, 10, 9.5):
            clock.forward(seconds)
            enqueued.append(run(maintenance.sweep_inbox)["enqueued"])
        assert enqueued == [0, 1, 0, 0, 1]
        (first,) = broker.messages("webhooks")
        broker.lose("webhooks")
        clock.forward(20)
        assert run(maintenance.sweep_inbox)["enqueued"] == 1
        assert len(broker.messages("webhooks")) == 1
        assert first["kwargs"] == {"delivery_id": recorded.delivery_id}
        assert (first["task"], first[CORRELATION_HEADER]) == ("webhooks.process", "sweep-1")

    def test_lost_worker(self, world: World, clock: Clock) -> None:
        """A delivery whose worker is gone is enqueued when its lease has ended."""
        recorded = world.inbox.record(notice(), {}, correlation_id="delivery-1")
        assert world.inbox.claim(recorded.delivery_id, "a worker that dies")
        clock.forward(world.settings.lease_seconds - 1)
        assert run(maintenance.sweep_inbox)["enqueued"] == 0
        clock.forward(1)
        assert run(maintenance.sweep_inbox)["enqueued"] == 1

    def test_broker_gone(self, world: World, settings: Settings, clock: Clock) -> None:
        """A broker that fails ends the sweep at the first message; the rows are there for a later one."""
        for number in range(3):
            world.inbox.record(notice(cart_id=f"C-{number}"), {}, correlation_id="delivery")
        clock.forward(10)
        assert settings.mongo_uri is not None
        gone = settings.with_servers(mongo_uri=settings.mongo_uri, redis_url=f"redis://127.0.0.1:{free_port()}/0")
        with serving(gone):
            assert run(maintenance.sweep_inbox) == {"enqueued": 0}
        clock.forward(20)
        assert len(world.inbox.due()) == 3


class TestSweepOperations:
    """Whatever is open at PayTabs is asked about when it is due."""

    def test_due(self, world: World, broker: Broker, clock: Clock) -> None:
        """A page is polled five seconds after it was made, under the id it was asked for with."""
        payment = seed_payment(world.db)
        asked = Context(correlation_id="order-1", source="tests")
        operation_id = world.service.create_page(payment.payment_id, PageTerms(), asked).operation_id
        enqueued = []
        for seconds in (0, 4.9, 0.2, 1):
            clock.forward(seconds)
            enqueued.append(run(maintenance.sweep_operations)["enqueued"])
        assert enqueued == [0, 0, 1, 0]
        (message,) = broker.messages("reconcile.polls")
        assert message["kwargs"] == {"operation_id": operation_id}
        assert (message["task"], message[CORRELATION_HEADER]) == ("payments.poll", "order-1")

    def test_takes_back(self, world: World) -> None:
        """What operators were told of refusals that nobody understands is closed once no such operation is left."""
        world.alerts.raise_alert(UNEXPLAINED, "refund", "refund op-1 was answered code 240")
        row = {"_id": "op-1", "kind": "refund", "open": True, "status": "unknown", "unexplained": 240}
        world.ledger.rows.insert_one(row)
        run(maintenance.sweep_operations)
        assert world.alerts.open_keys(UNEXPLAINED) == ["refund"]
        world.ledger.rows.update_one({"_id": "op-1"}, {"$set": {"open": False, "status": "succeeded"}})
        run(maintenance.sweep_operations)
        assert world.alerts.open_keys(UNEXPLAINED) == []


class TestProcess:
    """A delivery that cannot be applied now goes back to the inbox; it is never lost and never blocks a worker."""

    def test_database_trouble(self, world: World, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
        """An error that may pass puts it back with a time, without spending the patience for a lagging query."""
        recorded = world.inbox.record(notice(), {}, correlation_id="delivery-1")

        def contended(*_: Any, **__: Any) -> None:
            raise StreamContended("0" * 24)

        monkeypatch.setattr(type(world.notices), "apply", contended)
        monkeypatch.setattr(type(PARKED_WORK), "delay", lambda *_, **__: 3.0)
        assert run(webhooks.process, delivery_id=recorded.delivery_id)["result"] == "waiting"
        row = world.db["webhook_inbox"].find_one({"_id": recorded.delivery_id}) or {}
        assert (row["status"], row["reason"], row["postponements"]) == ("received", "StreamContended", 0)
        (message,) = broker.messages("webhooks")
        assert message[CORRELATION_HEADER] == "delivery-1"
        assert message["eta"] is not None

    def test_taken_over(self, world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
        """A worker that was too slow says so and changes nothing more."""
        recorded = world.inbox.record(notice(tran_ref="TSTNOBODYS"), {}, correlation_id="delivery-1")
        finish = type(world.inbox).finish

        def slowly(inbox: Inbox, delivery: Delivery, result: Any, **more: Any) -> None:
            clock.forward(world.settings.lease_seconds)
            assert inbox.claim(delivery.delivery_id, "a faster worker")
            finish(inbox, delivery, result, **more)

        monkeypatch.setattr(type(world.inbox), "finish", slowly)
        assert run(webhooks.process, delivery_id=recorded.delivery_id)["result"] == "taken_over"
        row = world.db["webhook_inbox"].find_one({"_id": recorded.delivery_id}) or {}
        assert (row["status"], row["owner"]) == ("processing", "a faster worker")

    def test_error_of_ours(self, world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
        """An error that does not pass fails the task and alerts until the delivery, tried again, is applied."""
        recorded = world.inbox.record(notice(tran_ref="TSTNOBODYS"), {}, correlation_id="delivery-1")

        def broken(*_: Any, **__: Any) -> None:
            raise KeyError("a mistake of ours")

        with monkeypatch.context() as patch:
            patch.setattr(type(world.notices), "apply", broken)
            with pytest.raises(KeyError):
                run(webhooks.process, delivery_id=recorded.delivery_id)
        row = world.db["webhook_inbox"].find_one({"_id": recorded.delivery_id}) or {}
        assert (row["status"], row["reason"]) == ("received", "KeyError")
        assert world.alerts.open_keys("delivery_fails") == ["KeyError"]
        clock.forward(3600)
        assert run(webhooks.process, delivery_id=recorded.delivery_id)["result"] != "waiting"
        assert world.alerts.open_keys("delivery_fails") == []


class TestSealing:
    """The minute's seal as a task."""

    def test_sealed(self, world: World, clock: Clock, tmp_path: Path) -> None:
        """It tells what was sealed; once the copy outside differs it adds nothing, and somebody is told."""
        settings = world.settings.model_copy(update={"audit_seal_file": tmp_path / "seals.jsonl"})
        built = build_world(settings, clock=clock)
        use_world(built)
        assert run(maintenance.seal_events) == {"sealed": 0, "seals": 1, "last": 1}
        clock.forward(60)
        assert run(maintenance.seal_events)["last"] == 2
        built.db["audit_seals"].delete_one({"_id": 2})
        clock.forward(60)
        assert "seal 2" in run(maintenance.seal_events)["stopped"]
        assert built.db["alerts"].count_documents({"name": "seals_differ"}) == 1


class TestRedact:
    """What has come of age is forgotten."""

    def rejected(self, world: World, count: int) -> None:
        """Keep so many deliveries that nobody could read."""
        for number in range(count):
            world.inbox.record_rejected(b"<Huda %d>" % number, {}, reason="body", correlation_id="c")

    def test_in_time(self, world: World, clock: Clock) -> None:
        """Deliveries and letters of the stated age, and none that is younger."""
        self.rejected(world, 2)
        clock.forward(world.settings.inbox_retention_days * 86_400 - 1)
        assert run(maintenance.redact)["redacted"]["webhook_inbox"] == 0
        clock.forward(1)
        assert run(maintenance.redact) == {
            "redacted": {"webhook_inbox": 2, "payment_operations": 0, "dead_letters": 0}, "held": 0, "finished": True,
        }  # fmt: skip

    def test_goes_on(self, world: World, clock: Clock, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
        """What a run that has no more time leaves over is gone on with by the next one, which the schedule ticks."""
        monkeypatch.setattr(maintenance, "REDACT_SECONDS", -1.0)
        self.rejected(world, CHUNK + 1)
        clock.forward(world.settings.inbox_retention_days * 86_400)
        done = [run(maintenance.redact)["redacted"]["webhook_inbox"] for _ in range(3)]
        assert done == [CHUNK, 1, 0]
        assert broker.messages("maintenance") == []
