import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId, Timestamp
from pymongo import MongoClient
from pymongo.database import Database

from aggregations.errors import ReplicaBehind
from aggregations.readers import DatabaseReader, Reader, operation_time
from tests.integration.aggregations.shelf import Shelf
from tests.support.waiting import eventually
from workers.stack import EmbeddedMongo

Json = dict[str, Any]

#: How far the secondary is behind, in seconds: longer than the tests.
BEHIND_SECONDS = 600


@dataclass
class Set:
    """A shelf on the primary, whose reads are done by `reader`: the secondary that is behind, until changed."""

    shelf: Shelf
    reader: Reader
    primary: Database[Json]


@pytest.fixture
def lagging(mongo_three: EmbeddedMongo, database_name: str, redis_url: str) -> Iterator[Set]:
    """A thing that is worth 1 on all nodes and 2 on the primary, since one secondary is told to stay behind."""
    member = 2 if mongo_three.primary_index() != 2 else 1
    with (
        MongoClient[Json](mongo_three.uri, w="majority", tz_aware=True) as client,
        MongoClient[Json](mongo_three.member_uri(member), tz_aware=True) as node,
    ):
        primary, there = client[database_name], node[database_name]
        chosen = Set(
            Shelf(primary, redis_url, changes={"budget_ms": 400}, ticks=True), DatabaseReader(there, "replica"), primary
        )
        chosen.shelf.runner._reader_of = lambda _row: chosen.reader
        keep_up(client, member, 0)
        chosen.shelf.put(1)
        eventually(lambda: there["things"].find_one({"_id": ObjectId(chosen.shelf.thing)}))
        keep_up(client, member, BEHIND_SECONDS)
        chosen.shelf.put(2)
        yield chosen
        chosen.shelf.close()


def keep_up(client: MongoClient[Json], member: int, behind_seconds: int) -> None:
    """Tell a secondary how far it has to stay behind."""
    config = client.admin.command("replSetGetConfig")["config"]
    config["version"] += 1
    config["members"][member] |= {"priority": 0, "secondaryDelaySecs": behind_seconds}
    client.admin.command("replSetReconfig", config)


def later(database: Database[Json]) -> Timestamp:
    """Give the primary's time, after what has been written."""
    found = operation_time(database)
    assert found is not None
    return found


class TestLaggingSecondary:
    """What a secondary has not heard of yet is not answered from before it."""

    def test_really_behind(self, lagging: Set) -> None:
        """A read that knows of no change gets the old worth there, and says how old it is."""
        asked = datetime.now(UTC)
        time.sleep(1.1)
        answer = lagging.shelf.ask()
        assert (answer["data"], answer["source"]) == (1, "replica")
        assert datetime.fromisoformat(answer["as_of"]) < asked

    def test_too_old(self, lagging: Set) -> None:
        """A caller who wants it younger than the secondary is does not get it from there."""
        time.sleep(1.1)
        with pytest.raises(ReplicaBehind, match=r"^worth: the replica is at 20"):
            lagging.shelf.ask(1.0)

    def test_change_not_missed(self, lagging: Set) -> None:
        """Once the change was invalidated with its time, the secondary does not answer, and nothing is remembered."""
        shelf = lagging.shelf
        shelf.ask()
        shelf.invalidator.invalidate([f"thing:{shelf.thing}"], at=later(lagging.primary))
        for _ in range(2):
            with pytest.raises(ReplicaBehind):
                shelf.ask()
        lagging.reader = DatabaseReader(lagging.primary)
        assert shelf.told() == (2, "primary")
        assert shelf.told() == (2, "cache")

    def test_other_changes(self, lagging: Set) -> None:
        """A change of something else, and one from before what the secondary has, do not keep it from answering."""
        shelf = lagging.shelf
        shelf.invalidator.invalidate(["thing:another"], at=later(lagging.primary))
        shelf.invalidator.invalidate([f"thing:{shelf.thing}"], at=Timestamp(1, 1))
        assert shelf.told() == (1, "replica")
