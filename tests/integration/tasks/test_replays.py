from collections.abc import Iterator
from typing import Any

import pytest
from pymongo.database import Database

from config.queues import CORRELATION_HEADER
from config.settings import Settings
from payments.replaying import COLLECTION
from tasks import events
from tasks.errors import InvalidArguments
from tasks.wiring import World, build_world, ensure_indexes, use_world
from tests.support.broker import Broker
from tests.support.histories import LONG_AGO
from tests.support.replays import damage, ours, stored
from tests.support.system import serving

Documents = Database[dict[str, Any]]


@pytest.fixture
def world(settings: Settings, database: Documents) -> Iterator[World]:
    """This process's world, on a real broker that nobody serves."""
    assert database.name == settings.mongo_database
    with serving(settings):
        built = build_world(settings)
        ensure_indexes(built)
        use_world(built)
        yield built
        use_world(None)


@pytest.fixture
def broker(settings: Settings) -> Broker:
    """The broker's queues."""
    assert settings.redis_url is not None
    return Broker(settings.redis_url)


def run(**arguments: Any) -> dict[str, Any]:
    """Run `events.replay` here and now, as a worker would."""
    headers = {CORRELATION_HEADER: "replay-1"}
    return dict(events.replay.apply(kwargs=arguments, headers=headers, throw=True).get())


class TestReplay:
    """`events.replay`: a projection by name, over a range, in chunks that end in time."""

    def test_whole(self, world: World, database: Documents) -> None:
        """A small one is done in one run; the answer tells what was found, by whom and why."""
        made = stored(database, 200)
        before = ours(database)
        damage(database, [made[3].payment_id])
        answer = run(projection="cms_payments", requested_by="ops", reason="a restored backup")
        assert answer["phase"] == "done"
        assert answer["counts"]["mended"] == 1
        assert (answer["by"], answer["reason"], answer["dry_run"]) == ("ops", "a restored backup", False)
        assert answer["samples"][0]["fields"]["gateway.captured"]["found"] == "1.00"
        assert ours(database) == before
        assert world.replayer.row(answer["replay_id"])["counts"] == answer["counts"]

    def test_chunks(self, world: World, broker: Broker, database: Documents, monkeypatch: pytest.MonkeyPatch) -> None:
        """When its time is up it enqueues itself with its position; each message does the next chunk."""
        monkeypatch.setattr("payments.replay_scan.STRETCH", 100)
        monkeypatch.setattr(events, "CHUNK_SECONDS", 0.0)
        made = stored(database, 500)
        before = ours(database)
        damage(database, [one.payment_id for one in made[::10]])
        answer = run(projection="cms_payments", requested_by="ops", reason="a restored backup")
        chunks = 1
        while answer["phase"] != "done":
            message = broker.messages("events")[0]
            assert message[CORRELATION_HEADER] == "replay-1"
            assert message["kwargs"] == {"replay_id": answer["replay_id"], "requested_by": "ops"}
            answer = run(**message["kwargs"])
            chunks += 1
        assert chunks > 5
        assert len(broker.messages("events")) == chunks - 1
        assert ours(database) == before
        assert database[COLLECTION].count_documents({}) == 1
        assert run(**message["kwargs"])["counts"] == answer["counts"]
        assert world.replayer.row(answer["replay_id"])["counts"]["mended"] == len(made[::10])

    def test_range(self, world: World, database: Documents) -> None:
        """The range is in ISO-8601; outside it nothing is looked at."""
        assert world.db.name == database.name
        made = stored(database, 100)
        damage(database, [made[0].payment_id, made[-1].payment_id])
        until = LONG_AGO.replace(second=5).isoformat()
        answer = run(projection="cms_payments", range={"to": until}, dry_run=True)
        assert answer["counts"]["differing"] == 1
        assert (answer["from"], answer["to"]) == (None, "2026-03-01T08:00:05.000Z")

    def test_begun_again(self, world: World, database: Documents) -> None:
        """A message that comes again goes on with what its first run began."""
        stored(database, 20)
        again: dict[str, Any] = {
            "kwargs": {"projection": "cms_payments", "reason": "drill"},
            "task_id": "11111111-2222",
            "throw": True,
        }
        first, second = (events.replay.apply(**again).get() for _ in range(2))
        assert first["replay_id"] == second["replay_id"] == "replay-11111111-2222"
        assert world.replayer.rows.count_documents({}) == 1

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ({"projection": "cms_payments", "replay_id": "replay-1"}, "exactly one of"),
            ({}, "exactly one of"),
            ({"projection": "imagined"}, "projection: expected one of cms_payments, contracts"),
            ({"projection": "cms_payments"}, "reason: expected a word about why"),
            ({"projection": "cms_payments", "reason": "  "}, "reason: expected a word about why"),
            ({"projection": "cms_payments", "range": {"from": "yesterday"}}, "range.from"),
            ({"projection": "cms_payments", "range": {"from": "2026-08-06T10:00:00"}}, "with its zone"),
            ({"projection": "cms_payments", "range": {"since": "2026-08-06T10:00:00Z"}}, "range.since"),
            ({"replay_id": "replay-1"}, "replay_id: expected the id of a replay"),
        ],
    )
    def test_wrong(self, world: World, arguments: dict[str, Any], words: str) -> None:
        """A bad argument fails at once and is named."""
        with pytest.raises((InvalidArguments, ValueError), match=words):
            run(**arguments)
        assert world.replayer.rows.count_documents({}) == 0
