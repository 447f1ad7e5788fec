"""A stage, and one payment of the CMS on it."""

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo.database import Database

from config.settings import Settings
from tests.integration.payments.stage import Stage
from tests.support.cms import SeededPayment, seed_payment
from tests.support.sandbox import Sandbox


@pytest.fixture
def stage(settings: Settings, database: Database[dict[str, Any]], sandbox: Sandbox) -> Iterator[Stage]:
    """A world on real servers whose clock the test moves."""
    built = Stage(settings, database, sandbox)
    yield built
    built.close()


@pytest.fixture
def seeded(database: Database[dict[str, Any]]) -> SeededPayment:
    """A payment of 115.00 SAR with its client, contract and the contract's employee."""
    return seed_payment(database)
