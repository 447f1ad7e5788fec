import time
from collections.abc import Iterator

import pytest

from tests.integration.aggregations.conftest import MakeShelf
from tests.integration.aggregations.crowd import Crowd
from tests.integration.aggregations.shelf import Shelf
from workers.stack import EmbeddedMongo

#: A machine that does other things as well may take so much longer than the figure in bench/results.
PATIENT = 10


@pytest.fixture
def crowd(shelf: Shelf, mongo: EmbeddedMongo) -> Iterator[Crowd]:
    """Four processes."""
    with Crowd(4, shelf, mongo.uri) as members:
        yield members


class TestStampede:
    """Two hundred readers in four processes are one build."""

    def test_cold_then_stale(self, crowd: Crowd) -> None:
        """All want a cold answer that takes half a second: one build. Then it is stale: all have it at once."""
        cold = crowd.all(readers=50, takes=0.5)
        assert len(cold) == 200
        assert {(one.get("data"), one.get("error")) for one in cold} == {(1, None)}
        assert sum(one.get("builds", 0) for one in cold) == 1
        assert sum(one["source"] == "primary" for one in cold) == 1
        stale = crowd.all(readers=50, takes=0.5, late=31)
        assert {(one.get("data"), one.get("source")) for one in stale} == {(1, "cache")}
        assert (sum(one.get("builds", 0) for one in stale), sum(one.get("asked", 0) for one in stale)) == (0, 1)
        seconds = sorted(one["seconds"] for one in stale)
        assert seconds[int(len(seconds) * 0.99) - 1] < 0.02 * PATIENT


class TestKilled:
    """A builder that dies does not keep its turn."""

    def test_killed(self, make_shelf: MakeShelf, mongo: EmbeddedMongo) -> None:
        """After SIGKILL of the builder the next caller has its answer when the lease ends."""
        shelf = make_shelf(changes={"budget_ms": 200})
        with Crowd(1, shelf, mongo.uri, budget_ms=200) as crowd:
            crowd.send(0, readers=1, takes=60)
            assert crowd.answer(0) == "building"
            assert shelf.text.exists(f"{shelf.key}:lock") == 1
            crowd.members[0].kill()
        began = time.monotonic()
        assert shelf.told() == (1, "primary")
        assert time.monotonic() - began < PATIENT * (2.2 + 1)
