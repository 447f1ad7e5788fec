"""Real workers on a broker of their own, into which anything is pushed."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from pymongo.database import Database

from config.connections import mongo_client
from tests.support.system import SHORT_TIMES, System, system_settings
from workers.stack import EmbeddedMongo, EmbeddedValkey

#: Who reads messages, who carries letters, and who tells them to.
PROCESSES = ("worker-money", "worker-reads", "beat")


@pytest.fixture(scope="module")
def running_mongo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedMongo]:
    """A database that a test may take away."""
    with EmbeddedMongo(tmp_path_factory.mktemp("quarantine-mongo")) as server:
        yield server


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, running_mongo: EmbeddedMongo) -> Iterator[System]:
    """Both workers and beat, for the tests of one module."""
    directory = tmp_path_factory.mktemp("quarantine")
    with EmbeddedValkey(directory / "valkey") as valkey:
        settings = system_settings(
            mongo_uri=running_mongo.uri,
            redis_url=valkey.url,
            sandbox_url="http://127.0.0.1:1",
            directory=directory,
            **SHORT_TIMES,
        )
        with System(settings, PROCESSES) as running:
            yield running


@pytest.fixture
def broker(system: System) -> Iterator[redis.Redis]:
    """The broker, as anybody reaches it who may write to it."""
    with redis.Redis.from_url(str(system.settings.redis_url)) as client:
        yield client


@pytest.fixture
def documents(system: System) -> Iterator[Database[dict[str, Any]]]:
    """The system's database."""
    with mongo_client(system.settings) as client:
        yield client[system.settings.mongo_database]
