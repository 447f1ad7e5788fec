"""Real servers for every test that asks: started once per test run, emptied between tests, gone at the end."""

import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import hypothesis
import pytest
from pymongo import MongoClient
from pymongo.database import Database

# The test folders are no packages: this is what makes `from tests.support...` work from any working directory.
sys.path.insert(0, str(Path(__file__).parents[1]))

from config.connections import mongo_client
from config.settings import Settings
from tests.support.sandbox import PROFILE_ID, SERVER_KEY, Sandbox
from tests.support.stored_cards import CARD_KEY
from workers import stack_ports
from workers.stack import EmbeddedMongo, EmbeddedValkey

# How long an example takes says how busy the machine is; pytest's own limit ends what hangs.
hypothesis.settings.register_profile("nestcms", deadline=None)
hypothesis.settings.load_profile("nestcms")


@pytest.fixture(scope="session")
def servers_directory() -> Iterator[Path]:
    """Where this run's servers keep their data: removed at the end."""
    with tempfile.TemporaryDirectory(prefix="nestcms-tests-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def valkey(servers_directory: Path) -> Iterator[EmbeddedValkey]:
    """One Valkey for the whole run; what it holds is whatever the last test left."""
    server = EmbeddedValkey(servers_directory / "valkey").start()
    yield server
    server.stop(immediately=True)


@pytest.fixture
def redis_url(valkey: EmbeddedValkey) -> str:
    """The address of an empty Valkey that runs, whatever an earlier test did to it."""
    valkey.resume()
    if not valkey.server.running:
        valkey.start()
    valkey.flush()
    return valkey.url


@pytest.fixture(scope="session")
def mongo(servers_directory: Path) -> Iterator[EmbeddedMongo]:
    """One replica set of one node for the whole run."""
    server = EmbeddedMongo(servers_directory / "mongo").start()
    yield server
    server.stop(immediately=True)


@pytest.fixture(scope="module")
def mongo_three(servers_directory: Path) -> Iterator[EmbeddedMongo]:
    """A replica set of three nodes for the tests of one module that ask for it."""
    server = EmbeddedMongo(servers_directory / f"mongo-three-{uuid4().hex}", members=3).start()
    yield server
    server.stop(immediately=True)


@pytest.fixture(scope="session")
def silent_port() -> Iterator[int]:
    """A loopback port that refuses connections for the whole run: it is held, and nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", stack_ports.free_port()))
        yield held.getsockname()[1]


@pytest.fixture
def database_name() -> str:
    """A database name that no other test uses."""
    return f"nestcms_{uuid4().hex}"


@pytest.fixture
def settings(mongo: EmbeddedMongo, redis_url: str, database_name: str, silent_port: int) -> Settings:
    """Complete settings for this test's own database, the emptied Valkey and the sandbox's profile; nobody is told."""
    if not mongo.servers[0].running:
        mongo.start()
    mongo.thaw(0)
    nobody = f"http://127.0.0.1:{silent_port}"
    test_run = Settings(
        _env_file=None,
        mongo_database=database_name,
        paytabs_profile=PROFILE_ID,
        paytabs_serverk=SERVER_KEY,
        paytabs_region="SAU",
        card_keys=CARD_KEY,
        paytabs_callback_url=f"{nobody}/webhooks/paytabs",
        paytabs_return_url=f"{nobody}/payments/return",
        return_allowed_urls=(f"{nobody}/healthz",),
        mongo_election_timeout_ms=2000,
        server_selection_timeout_ms=5000,
    )
    return test_run.with_servers(mongo_uri=mongo.uri, redis_url=redis_url)


@pytest.fixture
def client(settings: Settings) -> Iterator[MongoClient[dict[str, Any]]]:
    """A MongoDB client made as the system makes it, closed after the test."""
    with mongo_client(settings) as connected:
        yield connected


@pytest.fixture
def database(client: MongoClient[dict[str, Any]], database_name: str) -> Iterator[Database[dict[str, Any]]]:
    """A fresh database of the one-node set, dropped after the test."""
    yield client[database_name]
    client.drop_database(database_name)


@pytest.fixture(scope="session")
def running_sandbox(servers_directory: Path) -> Iterator[Sandbox]:
    """One sandbox process for the whole run."""
    process = Sandbox(servers_directory).start()
    yield process
    process.stop()


@pytest.fixture
def sandbox(running_sandbox: Sandbox) -> Sandbox:
    """The sandbox with an empty ledger, no faults and every switch in its first position."""
    running_sandbox.reset()
    return running_sandbox


@pytest.fixture
def free_port() -> int:
    """A loopback port that nobody listens on."""
    return stack_ports.free_port()
