"""A shelf with a thing on it, and the same for whoever needs it made differently."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pymongo.database import Database

from tests.integration.aggregations.shelf import Shelf

MakeShelf = Callable[..., Shelf]


@pytest.fixture
def make_shelf(database: Database[dict[str, Any]], redis_url: str) -> Iterator[MakeShelf]:
    """Makes shelves in this test's database and the emptied cache; each has a thing that is worth 1."""
    made: list[Shelf] = []

    def make(**parts: Any) -> Shelf:
        made.append(Shelf(database, redis_url, **parts))
        made[-1].put(1)
        return made[-1]

    yield make
    for shelf in made:
        shelf.close()


@pytest.fixture
def shelf(make_shelf: MakeShelf) -> Shelf:
    """A shelf as it comes."""
    return make_shelf()
