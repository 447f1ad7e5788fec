import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import redis
from pymongo.database import Database

from config.fingerprints import KEY, Fingerprint, fingerprint_of
from config.settings import Settings
from tasks.alert_tending import tend
from tasks.publishing import leave_to_sweeps
from tasks.wiring import build_world
from tests.integration.cli.conftest import Command


@pytest.fixture
def own(database: Database[dict[str, Any]]) -> Fingerprint:
    """This system's fingerprint, under the profile of the command line's tests."""
    return fingerprint_of(database, 987654)


@pytest.fixture
def broker(settings: Settings, own: Fingerprint) -> Iterator[redis.Redis]:
    """A broker, and a cache beside it, of another system."""
    with redis.Redis.from_url(str(settings.redis_url), decode_responses=True) as client:
        client.set(KEY, replace(own, database="another").to_json())
        yield client


class TestServers:
    """`nestcms-workers servers` shows whose they are, and hands them over."""

    def test_show(self, command: Command, servers: dict[str, str], broker: redis.Redis, own: Fingerprint) -> None:
        """Both fingerprints are shown, here and in `status`; another's is not well."""
        done = command("servers", "show", "--json", **servers)
        assert done.exit_code == 1, done.output
        rows = json.loads(done.stdout)
        theirs = str(Fingerprint.read(str(broker.get(KEY))))
        assert [(row["server"], row["carries"], row["ok"]) for row in rows] == [
            ("broker", theirs, False),
            ("cache", "nobody's yet", True),
        ]
        assert {row["this_system"] for row in rows} == {str(own)}
        assert json.loads(command("status", "--json", **servers).stdout)["servers"] == rows

    def test_refused(self, command: Command, servers: dict[str, str], broker: redis.Redis) -> None:
        """Nothing is enqueued on another's broker; the sentence names both and the command that hands it over."""
        done = command("enqueue", "payments.get", "payment_id=65f0c0ffee65f0c0ffee65f0", "--no-wait", **servers)
        assert done.exit_code == 2
        assert "broker is another system's" in done.stderr
        assert "nestcms-workers servers hand-over" in done.stderr
        assert broker.llen("payments") == 0

    def test_hand_over(
        self, command: Command, servers: dict[str, str], broker: redis.Redis, settings: Settings,
        database: Database[dict[str, Any]],
    ) -> None:  # fmt: skip
        """With messages in it only when told that they are ours; it is in the audit trail, and the alert closes."""
        own = fingerprint_of(database, 987654)
        broker.lpush("payments", "a message")
        broker.lpush("payments\x06\x163", "one with a priority")
        done = command("servers", "hand-over", "--reason", "restored", "--by", "omar", **servers)
        assert done.exit_code != 0
        assert "2 messages wait in the broker" in done.stderr
        assert Fingerprint.read(str(broker.get(KEY))) != own
        world = build_world(settings.model_copy(update={"paytabs_profile": 987654}), send=leave_to_sweeps)
        try:
            world.alerts.raise_alert("foreign_server", "broker", "it is another's")
            assert tend(world, ["foreign_server"])["closed"] == 0
            words = ("servers", "hand-over", "--with-messages", "--reason", "restored", "--by", "omar")
            done = command(*words, **servers)
            assert done.exit_code == 0, done.output
            assert f"Now {own}; the broker was set nestcms, database another" in done.stdout
            assert Fingerprint.read(str(broker.get(KEY))) == own
            assert tend(world, ["foreign_server"])["closed"] == 1
        finally:
            world.close()
        acts = [row for row in database["audit_entries"].find() if row.get("command") == "servers hand-over"]
        assert [(act["phase"], act["by"]) for act in acts][-2:] == [("begun", "omar"), ("ended", "omar")]
        assert command("servers", "show", **servers).exit_code == 0
