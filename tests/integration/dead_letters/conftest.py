"""A whole system on servers of its own, and the command line against it."""

import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from click.testing import CliRunner, Result
from pymongo.database import Database

from config.connections import mongo_client
from config.settings import Settings
from tests.support.sandbox import Sandbox
from tests.support.system import SHORT_TIMES, System, system_settings
from workers.cli import cli
from workers.stack import EmbeddedMongo, EmbeddedValkey

#: Runs `nestcms-workers` with some words.
Command = Callable[..., Result]

#: Everything but the dashboard.
PROCESSES = ("worker-money", "worker-reads", "beat", "receiver")


@pytest.fixture(scope="package")
def own_mongo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedMongo]:
    """A database that a test may take away."""
    with EmbeddedMongo(tmp_path_factory.mktemp("letters-mongo")) as server:
        yield server


@pytest.fixture(scope="package")
def running_system(
    tmp_path_factory: pytest.TempPathFactory, own_mongo: EmbeddedMongo, running_sandbox: Sandbox
) -> Iterator[System]:
    """The system, for all tests of this folder."""
    directory = tmp_path_factory.mktemp("letters")
    with EmbeddedValkey(directory / "valkey") as valkey:
        settings = system_settings(
            mongo_uri=own_mongo.uri,
            redis_url=valkey.url,
            sandbox_url=running_sandbox.url,
            directory=directory,
            **SHORT_TIMES,
        )
        with System(settings, PROCESSES) as running:
            yield running


@pytest.fixture
def system(running_system: System, sandbox: Sandbox) -> System:
    """The system, whole, with a sandbox that has forgotten the test before."""
    assert str(sandbox.url) in str(running_system.settings.paytabs_base_url)
    running_system.revive()
    return running_system


@pytest.fixture
def broker(system: System) -> Iterator[redis.Redis]:
    """The broker."""
    with redis.Redis.from_url(str(system.settings.redis_url), decode_responses=True) as client:
        yield client


@pytest.fixture
def documents(system: System) -> Iterator[Database[dict[str, Any]]]:
    """The system's database."""
    with mongo_client(system.settings) as client:
        yield client[system.settings.mongo_database]


@pytest.fixture
def command(system: System) -> Command:
    """Run the command line in this process, with the system's servers and nothing else set."""
    unset = dict.fromkeys((name.upper() for name in Settings.model_fields), None)
    servers = {
        "MONGO_URI": system.settings.mongo_uri,
        "MONGO_DATABASE": system.settings.mongo_database,
        "REDIS_URL": system.settings.redis_url,
    }

    def run(*words: str, **variables: str) -> Result:
        env = {**os.environ, **unset, **servers, "COLUMNS": "160", **variables}
        return CliRunner(env=env).invoke(cli, words, prog_name="nestcms-workers")

    return run


def told(result: Result) -> Any:
    """Read what a command has printed as JSON."""
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)
