"""A stage, and one payment of the CMS on it.

These tests share one database, emptied between them: making collections and indexes anew would take most of their time.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from config.settings import Settings
from tests.integration.payments.stage import Stage
from tests.integration.payments.trail import paid
from tests.support.cms import SeededPayment, seed_payment
from tests.support.sandbox import Sandbox
from workers.stack import EmbeddedMongo


@pytest.fixture(scope="package")
def database_name(mongo: EmbeddedMongo) -> Iterator[str]:
    """The database of this folder's tests, dropped after the last one."""
    yield "nestcms_payments"
    if mongo.servers[0].running:
        with MongoClient[dict[str, Any]](mongo.uri) as client:
            client.drop_database("nestcms_payments")


@pytest.fixture
def database(client: MongoClient[dict[str, Any]], database_name: str) -> Iterator[Database[dict[str, Any]]]:
    """The shared database, emptied after the test."""
    shared = client[database_name]
    yield shared
    for name in shared.list_collection_names():
        shared[name].delete_many({})


@pytest.fixture
def stage(settings: Settings, database: Database[dict[str, Any]], sandbox: Sandbox, tmp_path: Path) -> Iterator[Stage]:
    """A world on real servers whose clock the test moves; the copy of its seals is the test's own."""
    own = settings.model_copy(update={"audit_seal_file": tmp_path / "audit" / "seals.jsonl"})
    built = Stage(own, database, sandbox)
    yield built
    built.close()


@pytest.fixture
def seeded(database: Database[dict[str, Any]]) -> SeededPayment:
    """A payment of 115.00 SAR with its client, contract and the contract's employee."""
    return seed_payment(database)


@pytest.fixture
def others(stage: Stage) -> list[SeededPayment]:
    """Two more payments that are paid, one before and one after the payment under test in the order of their ids."""
    both = [seed_payment(stage.database) for _ in range(2)]
    for one in both:
        paid(stage, one)
    return both
