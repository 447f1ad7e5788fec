from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import PyMongoError
from pymongo.write_concern import WriteConcern

from workers.stack import EmbeddedMongo

MAJORITY = WriteConcern(w="majority", j=True, wtimeout=500)


@pytest.fixture
def healthy(mongo_three: EmbeddedMongo) -> EmbeddedMongo:
    """The three nodes, all up and with a primary."""
    for member in range(3):
        mongo_three.thaw(member)
    return mongo_three.start()


def hello(member: int, mongo: EmbeddedMongo) -> dict[str, Any]:
    """Ask one node what it is."""
    with MongoClient[dict[str, Any]](mongo.member_uri(member)) as client:
        return client.admin.command("hello")


class TestThreeNodes:
    """A replica set whose nodes can be taken away one by one."""

    def test_members(self, healthy: EmbeddedMongo) -> None:
        """It has one primary and two secondaries, and elects within two seconds."""
        with MongoClient[dict[str, Any]](healthy.uri) as client:
            config = client.admin.command("replSetGetConfig")["config"]
        roles = [hello(member, healthy)["secondary"] for member in range(3)]
        assert sorted(roles) == [False, True, True]
        assert config["settings"]["electionTimeoutMillis"] == 2000

    def test_fail_over(self, healthy: EmbeddedMongo) -> None:
        """After the primary's SIGKILL another node leads, an acknowledged write is there, and the dead one returns."""
        first = healthy.wait_for_primary()
        with MongoClient[dict[str, Any]](healthy.uri, w="majority", serverSelectionTimeoutMS=10_000) as client:
            client["shop"]["things"].insert_one({"_id": "before"})
            healthy.kill(first)
            second = healthy.wait_for_primary(other_than=first)
            client["shop"]["things"].insert_one({"_id": "after"})
            assert {row["_id"] for row in client["shop"]["things"].find()} == {"before", "after"}
        assert second != first
        healthy.restart(first)
        assert hello(first, healthy)["secondary"] or healthy.primary_index() == first

    def test_freeze_and_thaw(self, healthy: EmbeddedMongo) -> None:
        """With both secondaries frozen no write reaches a majority; thawed, it does."""
        primary = healthy.wait_for_primary()
        secondaries = [member for member in range(3) if member != primary]
        with MongoClient[dict[str, Any]](healthy.uri, timeoutMS=5_000) as client:
            rows = client["shop"].get_collection("frozen", write_concern=MAJORITY)
            rows.insert_one({"_id": 0})
            for member in secondaries:
                healthy.freeze(member)
            with pytest.raises(PyMongoError):
                rows.insert_one({"_id": 1})
            for member in secondaries:
                healthy.thaw(member)
            healthy.wait_for_primary()
            rows.insert_one({"_id": 2})

    def test_step_up(self, healthy: EmbeddedMongo) -> None:
        """A chosen node can be made primary at once."""
        chosen = (healthy.wait_for_primary() + 1) % 3
        healthy.step_up(chosen)
        assert healthy.wait_for_primary() == chosen
