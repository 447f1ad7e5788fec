import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
import redis
from celery import Celery, _state, states
from celery.app.trace import build_tracer
from pymongo import MongoClient

from config.settings import Settings
from observability.database_refusals import ALERT
from tasks import database_alerts, events, payments, webhooks
from tasks.database_alerts import KEPT, carry
from tasks.results import keep_results
from tasks.wiring import World, build_world, ensure_indexes, use_world
from tests.support.cms import seed_payment
from tests.support.guarded_mongo import GuardedMongo
from tests.support.sandbox import Sandbox
from tests.support.system import serving
from workers.cli_errors import ServerSilent
from workers.cli_world import opened_world
from workers.wsgi import build as build_receiver

#: Imported, so that the application has their tasks.
TASKS = (payments, webhooks, events)

#: Celery's own way of storing a result.
pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated setex")

Json = dict[str, Any]

#: A user with these may read and write; with the others only read.
WRITES, READS = "readWriteAnyDatabase", "readAnyDatabase"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedMongo]:
    """A database that asks who one is."""
    server = GuardedMongo(tmp_path_factory.mktemp("guarded")).start()
    yield server
    server.stop(immediately=True)


class Worker:
    """A worker's child, whose user in the database may be changed under it."""

    def __init__(self, app: Celery, settings: Settings, server: GuardedMongo, broker: redis.Redis) -> None:
        self.app, self.broker = app, broker
        self._settings, self._server = settings, server
        self.admin: MongoClient[Json] = server.admin()
        self.shut_out: Settings | None = None

    def user(self, password: str, role: str = WRITES) -> Settings:
        """Have a worker's user with a password and a role, whatever it had before, and give settings that know it."""
        known = self.admin.admin.command("usersInfo", "worker")["users"]
        self.admin.admin.command("updateUser" if known else "createUser", "worker", pwd=password, roles=[role])
        return self._settings.model_copy(update={"mongo_uri": self._server.as_user("worker", password)})

    def begin(self, settings: Settings) -> World:
        """Begin anew, as after a restart with these settings."""
        database_alerts._told_at.clear()
        built = build_world(settings)
        use_world(built)
        return built

    def run(self, task: str, headers: Json | None = None, **arguments: Any) -> Json:
        """Run a task as a child does, and return what its caller reads.

        A child that is shut out begins anew each time: its old client would wait for its next look at the server.
        """
        if self.shut_out:
            self.begin(self.shut_out)
        task_id = f"{task}-{uuid4()}"
        request = {
            "id": task_id, "task": task, "retries": 0, "delivery_info": {"routing_key": "payments"},
            "headers": headers or {},
        }  # fmt: skip
        build_tracer(task, self.app.tasks[task], app=self.app)(task_id, [], arguments, request)
        return dict(self.app.backend.get_task_meta(task_id, cache=False))

    def waiting(self) -> list[tuple[str, int]]:
        """Take the messages out of the callers' queue: each one's task and how many attempts it counts."""
        envelopes = [json.loads(raw) for raw in self.broker.lrange("payments", 0, -1)]
        self.broker.delete("payments")
        return [(one["headers"]["task"], one["headers"]["retries"]) for one in envelopes]


@pytest.fixture
def worker(settings: Settings, guarded: GuardedMongo, sandbox: Sandbox) -> Iterator[Worker]:
    """A worker in front of the guarded database and the sandbox."""
    own = settings.model_copy(update={"paytabs_base_url": sandbox.url, "server_selection_timeout_ms": 500})
    with serving(own) as app, redis.Redis.from_url(str(own.redis_url), decode_responses=True) as broker:
        keep_results(app)
        made = Worker(app, own, guarded, broker)
        state: Any = _state  # the stubs do not know all of it
        state._set_task_join_will_block(blocks=True)  # as in a pool's child: what is put back is not listened for
        yield made
        state._set_task_join_will_block(blocks=False)
        use_world(None)
        made.admin.drop_database(own.mongo_database)
        made.admin.close()


@pytest.fixture(params=["credentials", "rights"])
def refused(request: pytest.FixtureRequest, worker: Worker, sandbox: Sandbox) -> Iterator[tuple[str, Json, Settings]]:
    """A payment that is paid, and a worker whose password was rotated, or whose role was narrowed, since.

    Gives the reason, the payment, and settings with which it works again.
    """
    right = worker.user("the-first")
    world = worker.begin(right)
    ensure_indexes(world)
    seeded = seed_payment(world.db)
    page = worker.run("payments.create_page", payment_id=seeded.payment_id)["result"]
    sandbox.pay(page["tran_ref"], "authorised")
    assert worker.run("payments.verify", payment_id=seeded.payment_id)["result"]["state"] == "PAID"
    if request.param == "credentials":
        worker.user("the-second")
        worker.shut_out = right
    else:
        worker.user("the-first", READS)
    worker.begin(right)
    yield request.param, {"payment_id": seeded.payment_id}, worker._settings
    use_world(None)


class TestRefused:
    """What an operator will mend is final for nobody."""

    def test_until_it_is_mended(
        self, worker: Worker, refused: tuple[str, Json, Settings], sandbox: Sandbox, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """Messages stay and count nothing, reads name the reason, one alert is kept and raised, and then it goes on."""
        reason, payment, _ = refused
        asked = {**payment, "operation_id": "refund-1", "amount": "15.00"}
        for _ in range(3):
            assert worker.run("payments.refund", **asked)["status"] == states.RETRY
            assert worker.waiting() == [("payments.refund", 0)]
        found_again: list[tuple[str, Json]] = [
            ("webhooks.process", {"delivery_id": "0" * 64}),
            ("events.handle", {"event_id": f"{payment['payment_id']}-1", "handler": "notify_cms"}),
        ]
        if reason == "credentials":
            found_again.append(("payments.poll", {"operation_id": "nobodys"}))
            assert worker.run("payments.verify", **payment)["status"] == states.RETRY
            assert worker.waiting() == [("payments.verify", 0)]
            told = worker.run("payments.get", **payment)
            assert (told["status"], type(told["result"]).__name__) == (states.FAILURE, "DatabaseRefuses")
            assert told["result"].args[0] == "credentials"
        for task, about in found_again:
            told = worker.run(task, **about)
            assert (told["status"], told["result"]) == (states.SUCCESS, {"waits_for": ALERT, "reason": reason}), task
        assert worker.waiting() == []
        assert list(worker.broker.hgetall(KEPT)) == [reason]
        assert "the-first" not in capfd.readouterr().err

        worker.shut_out = None
        mended = worker.begin(worker.user("the-third"))
        assert worker.run("payments.refund", **asked)["result"]["status"] == "succeeded"
        assert worker.run("payments.refund", **asked)["result"]["status"] == "succeeded"
        assert sum(one["tran_type"].lower() == "refund" for one in sandbox.ledger()) == 1
        assert carry(mended.alerts, str(mended.settings.redis_url)) == 1
        assert [(row["name"], row["key"]) for row in mended.db["alerts"].find()] == [(ALERT, reason)]
        assert worker.broker.hgetall(KEPT) == {}

    def test_a_first_look(self, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
        """A child that has no world yet cannot make one: its messages stay as well, and it does not try hotly."""
        wrong = worker._settings.model_copy(update={"mongo_uri": worker._server.as_user("nobody", "nothing")})
        builds: list[Settings] = []

        def build(settings: Settings) -> World:
            builds.append(settings)
            return build_world(settings)

        monkeypatch.setattr("tasks.wiring.load_settings", lambda: wrong)
        monkeypatch.setattr("tasks.wiring.build_world", build)
        monkeypatch.setattr("tasks.wiring.REFUSED_SECONDS", 60.0)
        for _ in range(10):
            assert worker.run("payments.create_page", payment_id="0" * 24)["status"] == states.RETRY
        assert worker.waiting() == [("payments.create_page", 0)] * 10
        assert len(builds) == 1
        monkeypatch.setattr("tasks.wiring.REFUSED_SECONDS", 0.0)
        assert worker.run("payments.create_page", payment_id="0" * 24)["status"] == states.RETRY
        assert len(builds) == 2


class TestReceiver:
    """A delivery that cannot be stored is answered 503, and operators are told why."""

    def test_not_stored(self, worker: Worker) -> None:
        """The reason waits in the broker as a worker's does."""
        database_alerts._told_at.clear()
        worker.user("the-first")
        wrong = worker._settings.model_copy(
            update={"mongo_uri": worker._server.as_user("worker", "another"), "inbox_timeout_seconds": 2.0}
        )
        body = json.dumps({"tran_ref": "TST1", "profile_id": wrong.paytabs_profile, "cart_id": "nw-1"}).encode()
        key = wrong.paytabs_serverk.get_secret_value().encode()
        signature = hmac.new(key, body, hashlib.sha256).hexdigest()
        receiver = build_receiver(wrong, worker.app)
        try:
            told = receiver.test_client().post("/webhooks/paytabs", data=body, headers={"Signature": signature})
        finally:
            receiver.extensions["mongo_client"].close()
        assert told.status_code == 503
        assert list(worker.broker.hgetall(KEPT)) == ["credentials"]


class TestPeople:
    """Who types a command is told the reason."""

    def test_command_line(self, worker: Worker) -> None:
        """And not asked whether the server is running."""
        worker.user("the-first")
        wrong = worker._settings.model_copy(update={"mongo_uri": worker._server.as_user("worker", "another")})
        with pytest.raises(ServerSilent) as told, opened_world(wrong):
            pytest.fail("let in")
        assert "code 18" in str(told.value)
        assert "MONGO_URI" in str(told.value)
        assert "running" not in str(told.value)
        assert "another" not in str(told.value)
