from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
import redis
from billiard.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded
from celery import Celery, states
from celery.app.task import Context as Request
from celery.app.trace import build_tracer
from celery.exceptions import Reject
from kombu.exceptions import OperationalError
from pymongo.database import Database

from config.settings import Settings
from observability.dead_letters import WAITING_LIST
from payments.errors import InvalidArgument
from payments.events import Context
from tasks.arguments import Arguments
from tasks.base import domain_task
from tasks.errors import ASK_AGAIN, OutcomeUnknown
from tasks.outcomes import note_returned
from tasks.results import keep_results, store_owed
from tasks.wiring import World, build_world, use_world
from tests.support.system import serving
from workers.stack import EmbeddedValkey
from workers.stack_ports import free_port

#: Celery's own way of storing a result.
pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated setex")

Json = dict[str, Any]

#: What the tasks below do before they end.
_happening: list[Callable[[], object]] = []

ANSWER = {"status": "succeeded", "amount": "115.00"}


@domain_task("tests.returns", Arguments)
def returns(world: World, asked: Arguments, context: Context) -> Json:
    """Let something happen, and return."""
    del world, asked, context
    for happens in _happening:
        happens()
    return ANSWER


@domain_task("tests.refuses", Arguments)
def refuses(world: World, asked: Arguments, context: Context) -> Json:
    """Let something happen, and refuse."""
    del world, asked, context
    for happens in _happening:
        happens()
    raise InvalidArgument("amount", "less")


@pytest.fixture
def world(settings: Settings, database: Database[Json]) -> Iterator[World]:
    """The world of a worker's process."""
    assert database.name == settings.mongo_database
    built = build_world(settings)
    use_world(built)
    yield built
    use_world(None)
    _happening.clear()


@pytest.fixture
def app(settings: Settings, world: World) -> Iterator[Celery]:
    """A worker's application, whose result store has little time."""
    assert world.settings is settings
    with serving(settings) as made:
        made.conf.update(redis_socket_timeout=0.2, redis_socket_connect_timeout=0.2)
        keep_results(made)
        yield made


def run(app: Celery, task: str, task_id: str, **request: Any) -> Any:
    """Run a task as a worker's child does, and return what Celery holds for its failure: None."""
    tracer = build_tracer(task, app.tasks[task], app=app)
    told = {"id": task_id, "task": task, "retries": 0, "delivery_info": {"routing_key": "payments"}, **request}
    return tracer(task_id, [], {}, told).info


def meta(app: Celery, task_id: str) -> Json:
    """Return what a caller reads."""
    return dict(app.backend.get_task_meta(task_id, cache=False))


class Store:
    """The result store, and what may happen to it; each way is mended by its second half."""

    def __init__(self, server: EmbeddedValkey) -> None:
        self.server = server

    def say(self, *words: str) -> Callable[[], object]:
        """Have it told something."""
        client: Any = redis.Redis(port=self.server.port)
        return lambda: client.execute_command(*words)

    @property
    def ways(self) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
        """List how it may fail, and how that is mended."""
        alone, dead = self.say("REPLICAOF", "NO", "ONE"), str(free_port())
        return {
            "killed": (self.server.kill, self.server.start),
            "frozen": (self.server.pause, self.server.resume),
            "full (OOM)": (self.say("CONFIG", "SET", "maxmemory", "1"), self.say("CONFIG", "SET", "maxmemory", "0")),
            "demoted (READONLY)": (self.say("REPLICAOF", "127.0.0.1", dead), alone),
            "without its master (MASTERDOWN)": (
                lambda: (
                    self.say("CONFIG", "SET", "replica-serve-stale-data", "no")(),
                    self.say("REPLICAOF", "127.0.0.1", dead)(),
                ),
                alone,
            ),
            "without replicas (NOREPLICAS)": (
                self.say("CONFIG", "SET", "min-replicas-to-write", "1"),
                self.say("CONFIG", "SET", "min-replicas-to-write", "0"),
            ),
            "without the right (NOPERM)": (
                self.say("ACL", "SETUSER", "default", "-setex"), self.say("ACL", "SETUSER", "default", "+@all"),
            ),
        }  # fmt: skip


class TestStoreAway:
    """No error of the result store becomes a task's: its result is kept, and stored once the store is back."""

    def test_every_way(self, app: Celery, world: World, valkey: EmbeddedValkey, database: Database[Json]) -> None:
        """Whatever befalls the store between a body's return and its result, the caller reads the answer in the end."""
        seen, ways = {}, Store(valkey).ways
        for way, (breaks, mends) in ways.items():
            _happening[:], task_id = [breaks], str(uuid4())
            try:
                failure = run(app, "tests.returns", task_id)
            finally:
                mends()
            before = meta(app, task_id)["status"]
            stored = store_owed(world, app.backend)["stored"]
            after = meta(app, task_id)
            seen[way] = (failure, before, stored, after["status"], after["result"])
        assert seen == dict.fromkeys(ways, (None, "PENDING", 1, "SUCCESS", ANSWER))
        assert database["results_owed"].count_documents({}) == 0
        with redis.Redis(port=valkey.port) as broker:
            assert broker.llen(WAITING_LIST) == 0

    def test_refusal(self, app: Celery, world: World, valkey: EmbeddedValkey) -> None:
        """A refusal keeps its own reason."""
        _happening[:], task_id = [valkey.kill], str(uuid4())
        run(app, "tests.refuses", task_id)
        valkey.start()
        store_owed(world, app.backend)
        told = meta(app, task_id)
        assert (told["status"], type(told["result"])) == ("FAILURE", InvalidArgument)

    def test_sweep_while_away(
        self, app: Celery, world: World, valkey: EmbeddedValkey, database: Database[Json]
    ) -> None:
        """A sweep that meets the store still away leaves what is owed."""
        _happening[:] = [valkey.kill]
        run(app, "tests.returns", str(uuid4()))
        assert store_owed(world, app.backend) == {"stored": 0}
        assert database["results_owed"].count_documents({}) == 1
        valkey.start()
        assert store_owed(world, app.backend) == {"stored": 1}

    def test_later_word(self, app: Celery, world: World, valkey: EmbeddedValkey) -> None:
        """What a task has told since is not written over by what was kept; a kept success stands above a failure."""
        for stands, told in ((states.SUCCESS, "later"), (states.FAILURE, ANSWER), (states.RETRY, ANSWER)):
            _happening[:], task_id = [valkey.kill], str(uuid4())
            run(app, "tests.returns", task_id)
            valkey.start()
            app.backend.store_result(task_id, told if stands == states.SUCCESS else KeyError("x"), stands)
            store_owed(world, app.backend)
            assert (meta(app, task_id)["status"], meta(app, task_id)["result"]) == ("SUCCESS", told)

    def test_nowhere(self, app: Celery, settings: Settings, valkey: EmbeddedValkey) -> None:
        """With MongoDB away as well the message goes back: neither is it acknowledged nor called a failure."""
        dead = {"mongo_uri": f"mongodb://127.0.0.1:{free_port()}/nestcms", "server_selection_timeout_ms": 5}
        use_world(build_world(settings.model_copy(update=dead)))
        _happening[:], task_id = [valkey.kill], str(uuid4())
        try:
            with pytest.raises(Reject) as rejected:
                run(app, "tests.returns", task_id)
        finally:
            valkey.start()
        assert vars(rejected.value)["requeue"] is True
        assert meta(app, task_id)["status"] == "PENDING"


class TestReturned:
    """A body that has returned never becomes a failure, whatever goes wrong after it."""

    def test_any_error(self, app: Celery) -> None:
        """Whatever Celery calls a failure then is stored as the answer that the body gave."""
        for error in (SoftTimeLimitExceeded(), KeyError("x"), redis.ConnectionError("gone"), OSError("gone")):
            task_id = str(uuid4())
            request = Request({"id": task_id, "task": "tests.returns"})
            note_returned(request, ANSWER)
            app.backend.mark_as_failure(task_id, error, request=request)
            assert (meta(app, task_id)["status"], meta(app, task_id)["result"]) == ("SUCCESS", ANSWER), error

    def test_callbacks(self, app: Celery) -> None:
        """What is to follow cannot be sent: the answer stands, and the message goes back so that it is sent later."""
        away = f"redis://127.0.0.1:{free_port()}/0"
        app.conf.update(broker_url=away, broker_read_url=away, broker_write_url=away)
        app.conf.broker_transport_options = {"max_retries": 0}
        task_id = str(uuid4())
        callback = app.signature("tests.returns", immutable=True, queue="payments")
        with pytest.raises(Reject) as rejected:
            run(app, "tests.returns", task_id, callbacks=[dict(callback)])
        assert vars(rejected.value)["requeue"] is True
        assert (meta(app, task_id)["status"], meta(app, task_id)["result"]) == ("SUCCESS", ANSWER)

    def test_not_returned(self, app: Celery) -> None:
        """A body that was killed has not: its caller is told to ask again; any other error is what it is."""
        task_id, other = str(uuid4()), str(uuid4())
        killed, failed = (Request({"id": one, "task": "tests.returns"}) for one in (task_id, other))
        app.backend.mark_as_failure(task_id, TimeLimitExceeded(5), request=killed)
        told = meta(app, task_id)["result"]
        assert isinstance(told, OutcomeUnknown)
        assert told.args == (None, "time_limit", ASK_AGAIN)
        app.backend.mark_as_failure(other, OperationalError("x"), request=failed)
        assert isinstance(meta(app, other)["result"], OperationalError)
