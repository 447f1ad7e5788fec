"""Views on this test's own database."""

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from aggregations import watching
from config.connections import streaming_client
from config.settings import Settings
from tests.support.views import Views


@pytest.fixture(autouse=True)
def talkative(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watcher says after each step how far it is, so that no test waits for it."""
    monkeypatch.setattr(watching, "SAY_SECONDS", 0.0)


@pytest.fixture
def streaming(settings: Settings) -> Iterator[MongoClient[dict[str, Any]]]:
    """A client for change streams."""
    with streaming_client(settings) as client:
        yield client


@pytest.fixture
def views(database: Database[dict[str, Any]], streaming: MongoClient[dict[str, Any]]) -> Views:
    """The views of an empty database, nothing followed yet."""
    return Views(database, streaming)
