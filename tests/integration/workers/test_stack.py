from pathlib import Path
from threading import Thread
from typing import Any

import psutil
import pytest
import redis
from pymongo import MongoClient

from config.settings import Settings
from tests.support.processes import alive, descendants
from tests.support.waiting import eventually
from workers.errors import ServerUnreachable
from workers.stack import EmbeddedMongo, EmbeddedValkey, LocalServers, local_servers
from workers.stack_restarts import KeptServers


class TestEmbeddedValkey:
    """A broker that comes and goes without losing what it took."""

    def test_kill_keeps_data_and_port(self, tmp_path: Path) -> None:
        """After a crash the same address holds the same data."""
        with EmbeddedValkey(tmp_path) as valkey:
            url = valkey.url
            with redis.Redis.from_url(url, decode_responses=True) as client:
                client.rpush("queue", "one", "two")
                client.execute_command("WAITAOF", 1, 0, 2000)
            valkey.kill()
            assert not valkey.server.running
            valkey.start()
            assert valkey.url == url
            with redis.Redis.from_url(url, decode_responses=True) as client:
                assert client.lrange("queue", 0, -1) == ["one", "two"]

    def test_pause(self, tmp_path: Path) -> None:
        """A paused server is connected to but silent, and answers again when resumed."""
        with EmbeddedValkey(tmp_path) as valkey:
            valkey.pause()
            with (
                redis.Redis.from_url(valkey.url, socket_timeout=0.2) as client,
                pytest.raises(redis.exceptions.TimeoutError),
            ):
                client.ping()
            valkey.resume()
            with redis.Redis.from_url(valkey.url, socket_timeout=5) as client:
                assert client.ping() is True

    def test_stop_while_paused(self, tmp_path: Path) -> None:
        """A frozen server is stopped like any other."""
        valkey = EmbeddedValkey(tmp_path).start()
        process = psutil.Process(valkey.server.process.pid) if valkey.server.process else None
        valkey.pause()
        valkey.stop()
        assert process is not None
        assert not process.is_running()

    def test_outlives_starting_thread(self, tmp_path: Path) -> None:
        """A server started by a thread lives on when that thread ends."""
        valkey = EmbeddedValkey(tmp_path)
        thread = Thread(target=valkey.start)
        thread.start()
        thread.join()
        try:
            with redis.Redis.from_url(valkey.url) as client:
                assert client.ping() is True
        finally:
            valkey.stop()

    def test_only_loopback(self, tmp_path: Path) -> None:
        """Nobody outside this machine can reach it."""
        with EmbeddedValkey(tmp_path) as valkey:
            process = valkey.server.process
            assert process is not None
            listening = psutil.Process(process.pid).net_connections(kind="tcp")
            assert {one.laddr.ip for one in listening if one.status == psutil.CONN_LISTEN} == {"127.0.0.1"}


class TestEmbeddedMongo:
    """A replica set of one node, for a desk."""

    def test_data_survives_another_port(self, tmp_path: Path) -> None:
        """A second run finds the first one's data even where its port is taken meanwhile."""
        with EmbeddedMongo(tmp_path) as first:
            with MongoClient[dict[str, Any]](first.uri) as client:
                client["shop"]["things"].insert_one({"_id": 1})
            taken = first.ports[0]
        with EmbeddedValkey(tmp_path / "squatter", port=taken), EmbeddedMongo(tmp_path) as second:
            assert second.ports[0] != taken
            with MongoClient[dict[str, Any]](second.uri) as client:
                assert client["shop"]["things"].find_one() == {"_id": 1}

    def test_same_port_again(self, tmp_path: Path) -> None:
        """Where the port is still free, a second run has the same address."""
        with EmbeddedMongo(tmp_path) as first:
            uri = first.uri
        with EmbeddedMongo(tmp_path) as second:
            assert second.uri == uri

    def test_stop_leaves_no_process(self, tmp_path: Path) -> None:
        """After the block neither the server nor its guard is there."""
        with EmbeddedMongo(tmp_path) as mongo:
            process = mongo.servers[0].process
            assert process is not None
            started = [psutil.Process(process.guard_pid), *descendants(process.guard_pid)]
            assert len(started) == 2
        assert alive(started) == []

    def test_exception_leaves_no_process(self, tmp_path: Path) -> None:
        """A crash of the code that uses the server ends the server too."""
        mongo = EmbeddedMongo(tmp_path)
        started: list[psutil.Process] = []

        def use() -> None:
            with mongo:
                process = mongo.servers[0].process
                assert process is not None
                started.append(psutil.Process(process.pid))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            use()
        assert started
        assert alive(started) == []


class TestLocalServers:
    """Configured servers are used, missing ones are embedded."""

    def test_embeds_what_is_not_set(self, settings: Settings, tmp_path: Path) -> None:
        """Without MONGO_URI a replica set is started, while the Valkey of REDIS_URL is used."""
        unset = settings.model_copy(update={"mongo_uri": None, "local_dir": tmp_path})
        with local_servers(unset) as servers:
            assert servers.valkey is None
            assert servers.redis_url == settings.redis_url
            with MongoClient[dict[str, Any]](servers.mongo_uri) as client:
                assert client.admin.command("hello")["isWritablePrimary"] is True
            assert servers.mongo is not None
            process = servers.mongo.servers[0].process
        assert process is not None
        assert not psutil.pid_exists(process.guard_pid)

    def test_uses_what_is_set(self, settings: Settings, tmp_path: Path) -> None:
        """With both addresses set nothing is started and nothing stopped."""
        with local_servers(settings, directory=tmp_path) as servers:
            assert (servers.mongo_uri, servers.redis_url) == (settings.mongo_uri, settings.redis_url)
            assert (servers.mongo, servers.valkey) == (None, None)
        assert list(tmp_path.iterdir()) == []

    def test_silent_redis(self, settings: Settings, free_port: int) -> None:
        """A Redis address without a server gives one sentence with the way out and without the password."""
        wrong = settings.model_copy(update={"redis_url": f"redis://user:secret-word@127.0.0.1:{free_port}/0"})
        with pytest.raises(ServerUnreachable) as caught, local_servers(wrong):
            pass
        assert f"REDIS_URL names 127.0.0.1:{free_port}, which does not answer" in str(caught.value)
        assert "unset REDIS_URL" in str(caught.value)
        assert "secret-word" not in str(caught.value)

    def test_silent_mongo(self, settings: Settings, free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """A MongoDB address without a server gives one sentence with the way out and without the password."""
        monkeypatch.setattr("workers.stack.PING_SECONDS", 0.5)
        wrong = settings.model_copy(update={"mongo_uri": f"mongodb://user:secret-word@127.0.0.1:{free_port}/shop"})
        with pytest.raises(ServerUnreachable, match=r"MONGO_URI names 127\.0\.0\.1:") as caught, local_servers(wrong):
            pass
        assert "secret-word" not in str(caught.value)


class TestKept:
    """A run's own servers are started again when they end by themselves, as their containers would be."""

    def test_started_again(self, tmp_path: Path) -> None:
        """A Valkey that was killed from outside is back with its data on its port, and each step is said."""
        with EmbeddedValkey(tmp_path) as valkey:
            kept = KeptServers(LocalServers("", valkey.url, None, valkey))
            assert list(kept()) == []
            with redis.Redis.from_url(valkey.url) as client:
                client.set("any", "thing")
                client.execute_command("WAITAOF", 1, 0, 2000)
            assert valkey.server.process is not None
            psutil.Process(valkey.server.process.pid).kill()
            said: list[str] = []

            def enough() -> bool:
                said.extend(kept())
                return len(said) > 1

            eventually(enough, what="the server again")
            assert said == [
                "valkey-server has ended; it is started again in 0.1 s (restart 1)",
                "valkey-server is started again",
            ]
            with redis.Redis.from_url(valkey.url) as client:
                assert client.get("any") == b"thing"

    def test_others(self) -> None:
        """Servers of the settings are their operator's."""
        assert list(KeptServers(LocalServers("mongodb://h", "redis://h/0", None, None))()) == []
