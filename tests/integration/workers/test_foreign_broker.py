"""A broker or cache of another system: nothing is taken from it, nothing put into it, and both are named."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import redis
from kombu import Connection
from pymongo.database import Database

from config.connections import redis_client
from config.fingerprints import KEY, Fingerprint, ForeignServer, hand_over, lent, ours
from config.settings import Settings
from tests.chaos.stage import Stage, staged
from tests.support.cms import seed_payment
from tests.support.notices import notice
from tests.support.sandbox import Sandbox
from tests.support.system import serving
from tests.support.waiting import eventually
from workers.server_guard import FingerprintUnknown, ServerGuard, guard_with

Json = dict[str, Any]


@pytest.fixture
def broker(settings: Settings, database: Database[Json]) -> Iterator[redis.Redis]:
    """The broker, looked at from outside; this process looks at its own connections."""
    assert database is not None
    guard_with(ServerGuard(settings, takes=True))
    with redis.Redis.from_url(str(settings.redis_url), decode_responses=True) as client:
        yield client
        client.config_set("maxmemory", "0")
    guard_with(None)


@pytest.fixture
def connection(settings: Settings) -> Iterator[Connection]:
    """A worker's way to the broker, not yet connected."""
    with serving(settings) as app, app.connection_for_read(transport="workers.channel:Transport") as made:
        yield made


def connect(connection: Connection) -> None:
    """Connect once."""
    whole: Any = connection
    whole.transport.establish_connection()
    whole.transport.close_connection(None)


class TestLooks:
    """Each new connection is looked at."""

    def test_first(self, broker: redis.Redis, connection: Connection, settings: Settings) -> None:
        """Where there is no fingerprint ours is written, on broker and cache; where there is ours, it stays."""
        for _ in range(2):
            connect(connection)
            with redis.Redis.from_url(str(settings.cache_url), decode_responses=True) as cache:
                for server in (broker, cache):
                    assert Fingerprint.read(str(server.get(KEY))) == ours(settings)
        assert str(ours(settings)).startswith(f"set nestcms, database {settings.mongo_database} (")

    def test_others(self, broker: redis.Redis, connection: Connection, settings: Settings) -> None:
        """Another set, id, database or profile, or something unreadable: both are named, and the command."""
        own = ours(settings)
        others = [
            replace(own, set="rs9"),
            replace(own, id="0" * 32),
            replace(own, database="b"),
            replace(own, profile=1),
        ]
        for text in (*(one.to_json() for one in others), "{}", "x", '{"set": 1}'):
            broker.set(KEY, text)
            theirs = str(Fingerprint.read(text) or "something unreadable")
            with pytest.raises(ForeignServer) as caught:
                connect(connection)
            said = str(caught.value)
            assert theirs in said
            assert str(own) in said
            assert "nestcms-workers servers hand-over" in said
            assert broker.get(KEY) == text
        hand_over(broker, own)
        connect(connection)

    def test_cache(self, broker: redis.Redis, connection: Connection, settings: Settings) -> None:
        """The cache is looked at as well, whenever the broker is; a cache that is away is nobody's."""
        assert broker.ping()
        with redis.Redis.from_url(str(settings.cache_url)) as cache:
            cache.set(KEY, replace(ours(settings), database="b").to_json())
            with pytest.raises(ForeignServer, match="the cache is another system's"):
                connect(connection)
        guard_with(ServerGuard(settings.model_copy(update={"cache_url": "redis://127.0.0.1:1/2"}), takes=True))
        connect(connection)

    def test_every_client(self, broker: redis.Redis, settings: Settings) -> None:
        """Clients that are not kombu's look too, once the process knows who it is."""
        broker.set(KEY, replace(ours(settings), database="b").to_json())
        with redis_client(str(settings.redis_url)) as client, pytest.raises(ForeignServer):
            client.set("queued:any", "1")
        assert not broker.exists("queued:any")

    def test_full(self, broker: redis.Redis, connection: Connection) -> None:
        """A full server without a fingerprint is used as it is: consuming is what empties it."""
        broker.config_set("maxmemory", "1")
        connect(connection)
        assert broker.get(KEY) is None

    def test_nobody_knows(
        self, broker: redis.Redis, connection: Connection, settings: Settings, silent_port: int
    ) -> None:
        """While MongoDB does not say whose it is, a worker takes nothing, and who only sends goes on."""
        assert broker.ping()
        away = settings.model_copy(update={"mongo_uri": f"mongodb://127.0.0.1:{silent_port}/?replicaSet=nestcms"})
        guard_with(ServerGuard(away, takes=True))
        with pytest.raises(FingerprintUnknown, match="MongoDB does not say"):
            connect(connection)
        guard_with(ServerGuard(away))
        connect(connection)

    def test_lent(self, broker: redis.Redis, settings: Settings) -> None:
        """A server that is lent carries nobody's fingerprint meanwhile, and its own again afterwards."""
        for before in (ours(settings).to_json(), None):
            if before is None:
                broker.delete(KEY)
            else:
                broker.set(KEY, before)
            with lent([broker]):
                assert broker.get(KEY) is None
                broker.set(KEY, "the demo's")
            assert broker.get(KEY) == before


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, running_sandbox: Sandbox) -> Iterator[Stage]:
    """A money worker, beat and the receiver on servers of their own."""
    running_sandbox.reset()
    yield from staged(tmp_path_factory.mktemp("foreign"), running_sandbox, 1)


class TestProcesses:
    """What a system does whose broker turns out to be another's."""

    def test_takes_nothing(self, running: Stage) -> None:
        """The worker takes nothing, beat and receiver send nothing, notices are stored; handed over, all goes on."""
        settings, system = running.system.settings, running.system
        payment = seed_payment(running.database).payment_id
        system.run("payments.get", payment_id=payment)
        own = ours(settings)
        with redis.Redis.from_url(str(settings.redis_url), decode_responses=True) as broker:
            assert Fingerprint.read(str(broker.get(KEY))) == own
            broker.set(KEY, replace(own, database="another").to_json())
            for kind in ("normal", "pubsub"):
                broker.client_kill_filter(_type=kind, skipme=True)
            eventually(lambda: len(system.lines(event="foreign_server")) > 1, within_seconds=30, what="a refusal")
            eventually(lambda: system.lines("beat", event="foreign_server"), within_seconds=30, what="beat's refusal")
            asked = system.enqueue("payments.get", payment_id=payment)
            before = broker.llen("maintenance"), broker.llen("webhooks")
            answer = running.deliver(notice(tran_ref="TST2600000000777"))
            assert answer.status_code == 200
            eventually(
                lambda: len(system.lines("receiver", event="foreign_server")) > 0, within_seconds=10, what="its refusal"
            )
            refusals = len(system.lines(event="foreign_server"))
            eventually(
                lambda: len(system.lines(event="foreign_server")) > refusals + 2, within_seconds=30, what="more of them"
            )
            assert (broker.llen("maintenance"), broker.llen("webhooks")) == before
            assert [json.loads(raw)["headers"]["id"] for raw in broker.lrange("payments", 0, -1)] == [asked.id]
            (row,) = running.database["webhook_inbox"].find()
            assert row["status"] == "received"
            (alert,) = running.database["alerts"].find({"name": "foreign_server", "closed_at": None})
            assert (alert["key"], "database another" in alert["detail"]) == ("broker", True)
            hand_over(broker, own)
            assert asked.get(within_seconds=30)["payment_id"] == payment
