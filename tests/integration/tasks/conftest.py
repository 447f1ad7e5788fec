"""A real money worker on servers of its own, and CMS documents in its database."""

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo.database import Database

from config.connections import mongo_client
from tests.support.sandbox import Sandbox
from tests.support.system import SHORT_TIMES, System, system_settings
from workers.stack import EmbeddedMongo, EmbeddedValkey


@pytest.fixture(scope="module")
def system(
    tmp_path_factory: pytest.TempPathFactory, mongo: EmbeddedMongo, running_sandbox: Sandbox
) -> Iterator[System]:
    """The money worker, beat and the receiver, for the tests of one module."""
    directory = tmp_path_factory.mktemp("system")
    with EmbeddedValkey(directory / "valkey") as valkey:
        settings = system_settings(
            mongo_uri=mongo.uri,
            redis_url=valkey.url,
            sandbox_url=running_sandbox.url,
            directory=directory,
            **SHORT_TIMES,
        )
        with System(settings) as running:
            yield running


@pytest.fixture
def documents(system: System) -> Iterator[Database[dict[str, Any]]]:
    """The system's database, as the CMS sees it."""
    with mongo_client(system.settings) as client:
        yield client[system.settings.mongo_database]
