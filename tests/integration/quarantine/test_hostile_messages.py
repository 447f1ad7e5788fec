import base64
import json
from typing import Any

import pytest
import redis
from pymongo.database import Database

from tests.integration.quarantine.hostile import CARD, KEY, base, messages, with_header
from tests.support.raw_message import push, raw_message
from tests.support.system import System, report
from tests.support.waiting import eventually
from workers.stack import EmbeddedMongo

Documents = Database[dict[str, Any]]

#: How long a letter may take to be carried: two sweeps of a second, and the work.
CARRIED_WITHIN_SECONDS = 15.0


def runs(system: System, queue: str = "payments") -> bool:
    """Tell whether a genuine message behind is run: its error is one that only the task itself gives."""
    message = raw_message("payments.get", {"payment_id": "nobody's"}, queue=queue)
    asked = system.asked(push(str(system.settings.redis_url), message))
    eventually(lambda: asked.meta["status"] == "FAILURE", what="a genuine task behind")
    return "24 lower-case hexadecimal digits" in str(asked.meta["result"])


def quarantined(documents: Documents, **wanted: Any) -> dict[str, Any]:
    """Wait for one row and give it."""
    row = eventually(lambda: documents["dead_letters"].find_one(wanted), within_seconds=CARRIED_WITHIN_SECONDS)
    assert row is not None
    return row


class TestHostile:
    """A message of any kind, pushed straight into the queue, ends in quarantine, once, and nothing else happens."""

    def test_each(
        self, system: System, broker: redis.Redis, documents: Documents, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """One worker outlives them all, a genuine task behind each is run, and each leaves one row with its reason."""
        cases, before = messages(), system._supervisor.pid("worker-money")
        for name, raw, _ in cases:
            broker.lpush("payments", raw)
            assert runs(system), name
        rows: list[dict[str, Any]] = eventually(
            lambda: found if len(found := list(documents["dead_letters"].find().sort("at", 1))) >= len(cases) else [],
            within_seconds=CARRIED_WITHIN_SECONDS,
            what="every message in quarantine",
        )
        assert system._supervisor.pid("worker-money") == before
        for (name, raw, reason), row in zip(cases, rows, strict=True):
            assert reason in row["text"], name
            assert (row["queue"], row["seen"], row["status"]) == ("payments", 1, "waiting"), name
            assert row["kind"] == ("unknown_task" if name == "unknown task" else "malformed")
            assert len(row["raw"]) < 5_000, name
            assert row["kind"] == "unknown_task" or row["size_bytes"] == len(raw), name
        eventually(lambda: not broker.llen("quarantine"), what="all letters carried")
        eventually(lambda: not broker.hlen("unacked"), what="nothing left in hand")
        assert broker.llen("payments") == 0
        assert [line for line in system.lines() if line["level"] == "critical"] == []
        report(capsys, f"{len(cases)} kinds of hostile messages: one worker, one row each")

    def test_broadcast(self, system: System, broker: redis.Redis) -> None:
        """What is published to all workers and cannot be read is dropped: both live and still answer."""
        for message in (b"{}", b"not json", b"[" * 100_000, b'{"body": 1, "properties": [], "headers": 5}'):
            assert broker.publish("/0.celery.pidbox", message) == 2
        assert runs(system)
        assert runs(system, "maintenance")


class TestLetter:
    """What is kept of a message says enough and holds no secret."""

    @pytest.mark.parametrize("form", ["readable", "cut off", "escaped", "unknown task"])
    def test_no_secret(self, system: System, broker: redis.Redis, documents: Documents, form: str) -> None:
        """A card number or a server key is in nothing that is kept, not in base64 either, in whatever form it came."""
        message = base(note=f"card {CARD}", paytabs_serverk=KEY)
        task_id = message["headers"]["id"]
        message["headers"]["timelimit" if form != "unknown task" else "task"] = "payments.rob"
        if form == "escaped":
            escaped = json.dumps([[], {"note": CARD}, None]).replace("4111", "\\u0034111", 1)
            message["body"] = base64.b64encode(escaped.encode()).decode()
        raw = json.dumps(message).encode()
        broker.lpush("payments", raw[:-1] if form == "cut off" else raw)
        assert runs(system)
        row = quarantined(documents, raw={"$regex": task_id})
        kept = json.dumps(row, default=str)
        for secret in (
            CARD,
            CARD.replace(" ", ""),
            KEY,
            base64.b64encode(CARD.encode()).decode()[:16],
            message["body"],
        ):
            assert secret not in kept
            assert secret not in system.log("worker-money")
        assert "[redacted]" in row["raw"]
        assert row["intact"] is False

    def test_long_number_at_the_cut(self, system: System, broker: redis.Redis, documents: Documents) -> None:
        """A card number through which the cut goes leaves nothing behind."""
        marker = base()["headers"]["id"]
        for padding in range(3_920, 3_990, 7):
            broker.lpush("payments", f"{marker} {'x' * padding} {CARD} {'y' * 100}")
        assert runs(system)
        wanted = {"raw": {"$regex": marker}}
        eventually(lambda: documents["dead_letters"].count_documents(wanted) == 10, within_seconds=10)
        assert not [row for row in documents["dead_letters"].find(wanted) if "4111" in row["raw"]]

    def test_twice(self, broker: redis.Redis, documents: Documents) -> None:
        """The same message pushed twice is one row, counted."""
        raw = with_header("timelimit", 5)
        for _ in range(2):
            broker.lpush("payments", raw)
        task_id = json.loads(raw)["headers"]["id"]
        row = quarantined(documents, task_id=task_id, seen=2)
        assert (row["correlation_id"], row["task"]) == (json.loads(raw)["headers"]["x-correlation-id"], "payments.get")
        assert documents["alerts"].count_documents({"name": "dead_letter", "key": "payments.get"}) == 1

    def test_strange_letter(self, broker: redis.Redis, documents: Documents) -> None:
        """What is in the waiting list and is no letter holds nothing up."""
        broker.lpush("quarantine", "no letter", '{"kind": "malformed"}', "[]")
        eventually(lambda: not broker.llen("quarantine"), within_seconds=CARRIED_WITHIN_SECONDS)
        assert documents["dead_letters"].count_documents({"queue": "quarantine"}) == 3


class TestDatabaseAway:
    """A letter is not lost while MongoDB is away."""

    def test_carried_later(
        self, system: System, broker: redis.Redis, documents: Documents, running_mongo: EmbeddedMongo
    ) -> None:
        """A hostile message that comes meanwhile waits in the broker and is in quarantine, once, afterwards."""
        raw = with_header("id", {"a": "while away"})
        running_mongo.freeze(0)
        try:
            broker.lpush("payments", raw)
            eventually(lambda: broker.llen("quarantine") == 1, what="waiting in the broker")
        finally:
            running_mongo.thaw(0)
        correlation_id = json.loads(raw)["headers"]["x-correlation-id"]
        row = quarantined(documents, correlation_id=correlation_id)
        eventually(lambda: not broker.llen("quarantine"), within_seconds=CARRIED_WITHIN_SECONDS)
        assert documents["dead_letters"].count_documents({"correlation_id": correlation_id}) == 1
        assert "id: expected a text" in row["text"]
        assert runs(system)
