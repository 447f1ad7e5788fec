"""What a caller asks for at a later time waits in MongoDB, once, and runs under its own id."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import redis
from celery import Celery
from celery.exceptions import TaskRevokedError
from kombu import Connection
from kombu.message import Message
from pymongo.database import Database

import tasks.payments
import tasks.tokens  # noqa: F401 - the tasks that are asked for
from config.settings import Settings
from payments.errors import InvalidArgument
from tasks import base, later
from tasks.base import longest_countdown_seconds
from tasks.errors import InvalidArguments
from tasks.later_messages import unpacked
from tasks.later_rows import LONGEST
from tasks.wiring import World, build_world, ensure_indexes
from tests.integration.payments.stage import SetClock
from tests.support.raw_message import raw_message
from tests.support.system import Asked, System, serving
from tests.support.waiting import eventually
from workers.later import prepare
from workers.messages import body_bytes, set_delivery

Json = dict[str, Any]

PAYMENT_ID = "65f0c0ffee65f0c0ffee65f0"

#: Celery stores results by a command that redis-py calls old.
pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning")


class Waiting:
    """A worker's intake, its tasks and the broker, with a clock that tests set."""

    def __init__(self, app: Celery, world: World, clock: SetClock) -> None:
        self.app, self.world, self.clock = app, world, clock
        self._channel: Any = Connection("memory://").channel()
        self.revoked: set[str] = set()

    def message(self, task: str = "payments.get", arguments: Json | None = None, **headers: Any) -> Message:
        """Make a message as a caller sends it; times are seconds from now."""
        given = {"payment_id": PAYMENT_ID} if arguments is None else arguments
        envelope = raw_message(task, given, queue="payments", correlation_id="order-4711", task_id=str(uuid4()))
        for name in ("eta", "expires"):
            if name in headers:
                headers[name] = (self.clock.now + timedelta(seconds=headers[name])).isoformat()
        envelope["headers"] |= headers
        set_delivery(envelope, "payments")
        made: Message = self._channel.Message(envelope, channel=self._channel)
        return made

    def takes(self, message: Message) -> Json:
        """Prepare a message as a worker does, and do what becomes of it when it is to be kept; return its headers."""
        prepare(message, self.app, self.revoked, self.clock.now)
        if message.headers["task"] == "later.keep":
            _, kwargs, _ = message.payload
            later.keep(**kwargs)
        return dict(message.headers)

    def sent(self) -> list[Json]:
        """Take what was put back into the queue, oldest first, with its arguments."""
        with redis.Redis.from_url(str(self.app.conf.broker_url)) as broker:
            found = [json.loads(raw) for raw in reversed(broker.lrange("payments", 0, -1))]
            broker.delete("payments")
        return [{**one["headers"], "kwargs": json.loads(body_bytes(one))[1]} for one in found]

    def row(self, message: Message) -> Json | None:
        """Return what is kept of a message by its own id."""
        whole: Any = message
        found: Json | None = self.world.db["later_tasks"].find_one({"_id": whole._raw["headers"]["id"]})
        return found

    def result(self, message: Message) -> str:
        """Return how a task's result stands."""
        whole: Any = message
        return str(self.app.AsyncResult(whole._raw["headers"]["id"]).status)


@pytest.fixture
def waiting(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Waiting]:
    """An intake on real servers."""
    clock = SetClock()
    with serving(settings) as app:
        app.finalize()
        world = build_world(settings, clock=clock, database_clock=clock)
        monkeypatch.setattr(base, "world", lambda: world)
        ensure_indexes(world)
        yield Waiting(app, world, clock)
        world.client.drop_database(world.db.name)
        world.close()


class TestKept:
    """A later time beyond what may wait in the broker."""

    def test_runs_when_due(self, waiting: Waiting) -> None:
        """It is put back when it is due, under its own id with all that it had; delivered twice, it waits once."""
        long_ago = "2020-01-01T00:00:00+00:00"
        told: Json = {"retries": 0, "x-queued-at": long_ago}
        message = waiting.message(eta=3_600, **told)
        own = dict(message.headers)
        assert waiting.takes(message)["task"] == "later.keep"
        again: Any = waiting.message(eta=3_600)
        again._raw["headers"] |= own
        again.headers |= own
        waiting.takes(again)
        waiting.clock.advance(3_599)
        later.sweep()
        assert waiting.sent() == []
        waiting.clock.advance(1)
        later.sweep()
        later.sweep()
        (sent,) = waiting.sent()
        assert sent.pop("x-queued-at") > long_ago == own.pop("x-queued-at")
        assert sent == own | {"eta": None, "kwargs": {"payment_id": PAYMENT_ID}}
        assert waiting.row(message) is None

    def test_broker_keeps_it(self, waiting: Waiting) -> None:
        """What is held in the broker stays as it came, so that a worker that dies before it is kept loses nothing."""
        message: Any = waiting.message(eta=3_600)
        held = json.dumps(message._raw)
        prepare(message, waiting.app, set(), waiting.clock.now)
        assert (message.headers["task"], json.dumps(message._raw)) == ("later.keep", held)
        word = message.payload[1]["message_secret"]
        assert unpacked(word)["headers"]["id"] == message._raw["headers"]["id"]

    def test_bounds(self, waiting: Waiting) -> None:
        """What is due soon stays with the broker, a month is kept, and what is beyond is refused with a sentence."""
        longest = longest_countdown_seconds(float(waiting.app.conf.broker_transport_options["visibility_timeout"]))
        month = LONGEST.total_seconds()
        rows = {
            -10: "payments.get", longest: "payments.get", longest + 1: "later.keep", month: "later.keep",
            month + 61: "refused",
        }  # fmt: skip
        seen = {}
        for seconds in rows:
            headers = waiting.takes(waiting.message(eta=seconds))
            seen[seconds] = "refused" if "x-refused" in headers else headers["task"]
        assert seen == rows

    def test_told_at_once(self, waiting: Waiting) -> None:
        """Bad arguments are the caller's to hear now: it goes back to its queue with a sentence, and fails there."""
        waiting.takes(waiting.message(arguments={"payment_id": "x"}, eta=3_600))
        (sent,) = waiting.sent()
        assert "payment_id" in sent["x-refused"]
        assert sent["eta"] is None
        assert waiting.world.db["later_tasks"].count_documents({}) == 0

    def test_retry_of_another_clock(self, waiting: Waiting) -> None:
        """A retry never waits longer than the policy has it, whatever its sender's clock said."""
        headers = waiting.takes(waiting.message(eta=3_600, retries=2))
        waits = datetime.fromisoformat(headers["eta"]) - waiting.clock.now
        assert (headers["task"], waits.total_seconds() <= base.LONGEST_COUNTDOWN_SECONDS) == ("payments.get", True)

    def test_token(self, waiting: Waiting) -> None:
        """A token that waits is encrypted; without a key it does not wait."""
        token = "2C4656BF67A3E43DC6BE93FE00000001"
        message = waiting.message("tokens.query", {"token": token}, eta=3_600, argsrepr=f"('{token}',)")
        waiting.takes(message)
        row = waiting.row(message) or {}
        assert isinstance(row["message"], bytes)
        assert token not in str(row)
        waiting.clock.advance(3_600)
        later.sweep()
        assert waiting.sent()[0]["kwargs"] == {"token": token}
        object.__setattr__(waiting.world, "settings", waiting.world.settings.model_copy(update={"card_keys": None}))
        waiting.takes(waiting.message("tokens.query", {"token": token}, eta=3_600))
        assert "CARD_KEYS" in waiting.sent()[0]["x-refused"]


class TestTakenBack:
    """`expires` and revoke are honoured while it waits."""

    def test_expires(self, waiting: Waiting) -> None:
        """It ends as revoked at the time at which it expires, and never runs."""
        message = waiting.message(eta=3_600, expires=600)
        waiting.takes(message)
        waiting.clock.advance(599)
        later.sweep()
        assert waiting.result(message) == "PENDING"
        waiting.clock.advance(1)
        later.sweep()
        assert (waiting.result(message), waiting.sent(), waiting.row(message)) == ("REVOKED", [], None)

    def test_expires_after_it(self, waiting: Waiting) -> None:
        """One that expires later runs, and takes its end along."""
        message = waiting.message(eta=3_600, expires=4_000)
        waiting.takes(message)
        waiting.clock.advance(3_600)
        later.sweep()
        (sent,) = waiting.sent()
        assert datetime.fromisoformat(sent["expires"]) == waiting.clock.now + timedelta(seconds=400)

    def test_revoked(self, waiting: Waiting) -> None:
        """Revoked before it is kept or after, it ends as revoked and never runs."""
        before, after = waiting.message(eta=3_600), waiting.message(eta=3_600)
        waiting.takes(after)
        later.revoke(task_ids=[before.headers["id"], (waiting.row(after) or {})["_id"]])
        waiting.takes(before)
        waiting.clock.advance(3_600)
        later.sweep()
        assert (waiting.result(before), waiting.result(after), waiting.sent()) == ("REVOKED", "REVOKED", [])

    def test_known_to_the_worker(self, waiting: Waiting) -> None:
        """One that its worker knows to be revoked, or that has expired, is left to Celery, which discards it."""
        message = waiting.message(eta=3_600)
        waiting.revoked.add(message.headers["id"])
        assert waiting.takes(message)["task"] == "payments.get"
        assert waiting.takes(waiting.message(eta=3_600, expires=-1))["task"] == "payments.get"


class TestTimeLimit:
    """A caller may ask for less time than the chain has, and never for more."""

    def test_capped(self, waiting: Waiting) -> None:
        """Each limit is the caller's or the task's own, whichever is shorter; what is not asked for stays so."""
        task = waiting.app.tasks["payments.get"]
        hard, soft = task.time_limit, task.soft_time_limit
        rows = [
            ([9_999, 9_999], [hard, soft]), ([5, 3], [5, 3]), ([None, 9_999], [None, soft]),
            ([9_999, None], [hard, None]), (None, None),
        ]  # fmt: skip
        seen = [waiting.takes(waiting.message(timelimit=given)).get("timelimit") for given, _ in rows]
        assert seen == [expected for _, expected in rows]


class TestWorker:
    """The same with a worker."""

    def test_end_to_end(self, system: System, documents: Database[Json]) -> None:
        """A later task runs under its id when its row is due; a revoked one is noted; a distant one is refused."""
        rows = documents["later_tasks"]

        def asked(seconds: float) -> Asked:
            given: Json = {"kwargs": {"payment_id": PAYMENT_ID}, "queue": "payments"}
            return system.asked(str(system._sender.send_task("payments.get", countdown=seconds, **given).id))

        due, taken_back, distant = asked(600), asked(600), asked(31 * 86_400)
        with pytest.raises(InvalidArguments, match="within 30 days"):
            distant.get(within_seconds=60)
        system.results.control.revoke(taken_back.id)
        with pytest.raises(TaskRevokedError):
            taken_back.get(within_seconds=60)
        noted = {"_id": taken_back.id, "revoked_at": {"$type": "date"}, "due_at": None}
        eventually(lambda: rows.find_one(noted), within_seconds=60, what="the revoke to be noted")
        eventually(lambda: rows.find_one({"_id": due.id}), within_seconds=60, what="the other one to be kept")
        assert system.lines(task_id=due.id, event="task_started") == []
        rows.update_one({"_id": due.id}, {"$set": {"due_at": datetime.now(UTC)}})
        with pytest.raises(InvalidArgument, match="payment_id"):
            due.get(within_seconds=60)
        assert system.lines(task_id=due.id, event="task_started") != []
