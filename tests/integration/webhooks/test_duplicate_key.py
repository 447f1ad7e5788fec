from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.write_concern import WriteConcern

from config.connections import mongo_client
from config.settings import Settings
from payments.errors import InboxUnavailable
from payments.inbox import Inbox
from tests.support.notices import notice
from workers.stack import EmbeddedMongo

#: What the inbox's client waits for one whole write.
LIMIT_SECONDS = 3.0

DUPLICATE_KEY = 11000


class TestAnotherRow:
    """MongoDB's "duplicate key" says that something is in the way, not that this delivery is stored."""

    def test_not_stored(self, rows: Collection[dict[str, Any]]) -> None:
        """Whatever index refuses the row: a delivery that is in no collection is not reported as stored."""
        rows.create_index("correlation_id", unique=True)
        inbox = Inbox(rows)
        first, second = notice(), notice(cart_id="C-2")
        assert inbox.record(first, {}, correlation_id="c-1").is_new
        with pytest.raises(InboxUnavailable):
            inbox.record(second, {}, correlation_id="c-1")
        assert [row["body"] for row in rows.find()] == [first]


@pytest.fixture
def three(servers_directory: Path) -> Iterator[EmbeddedMongo]:
    """Three nodes that can be told to fail, whose primary outlives the loss of its majority."""
    directory = servers_directory / f"mongo-told-{uuid4().hex}"
    arguments = ("--setParameter", "enableTestCommands=1")
    with EmbeddedMongo(directory, members=3, extra_arguments=arguments) as started:
        with MongoClient[dict[str, Any]](started.uri) as client:
            config = client.admin.command("replSetGetConfig")["config"]
            config["settings"]["electionTimeoutMillis"] = 30_000
            client.admin.command("replSetReconfig", {**config, "version": config["version"] + 1})
        yield started


class TestOnlyOnThePrimary:
    """Nor does it say that a majority has the row that was in the way."""

    def test_not_acknowledged(self, three: EmbeddedMongo, settings: Settings) -> None:
        """A row that only the primary has is not reported as stored, though the upsert ran into it; later it is."""
        assert settings.redis_url is not None
        on_three = settings.with_servers(mongo_uri=three.uri, redis_url=settings.redis_url)
        with mongo_client(on_three, timeout_seconds=LIMIT_SECONDS) as client:
            rows = client[settings.mongo_database]["webhook_inbox"]
            inbox, body = Inbox(rows), notice()
            inbox.ensure_indexes()
            fresh = inbox._fresh_row(body, {}, "c-1")
            primary = three.wait_for_primary()
            secondaries = [member for member in range(3) if member != primary]
            for member in secondaries:
                three.freeze(member)
            try:
                rows.with_options(write_concern=WriteConcern(1)).insert_one({**fresh, "seen": 1})
                next_update_fails(three, primary)
                with pytest.raises(InboxUnavailable):
                    inbox.record(body, {}, correlation_id="c-2")
                next_update_fails(three, primary)
                with pytest.raises(InboxUnavailable):
                    inbox.record_rejected(body, {}, reason="unreadable", correlation_id="c-2")
            finally:
                for member in secondaries:
                    three.thaw(member)
            three.wait_for_primary()
            assert not inbox.record(body, {}, correlation_id="c-3").is_new
            stored = rows.find_one({"_id": fresh["_id"]})
        # Once by hand, once by the second try of each of the two in between, once by the last: the first tries failed.
        assert stored is not None
        assert (stored["seen"], stored["correlation_id"]) == (4, "c-1")


def next_update_fails(three: EmbeddedMongo, primary: int) -> None:
    """Let the next update of ours end as one does that loses a race for a key."""
    failure = {
        "failCommands": ["update"],
        "appName": "nestcms-workers",
        "errorCode": DUPLICATE_KEY,
        "errorExtraInfo": {"keyPattern": {"_id": 1}, "keyValue": {"_id": "of the row in the way"}},
    }
    with MongoClient[dict[str, Any]](three.member_uri(primary)) as client:
        client.admin.command("configureFailPoint", "failCommand", mode={"times": 1}, data=failure)
