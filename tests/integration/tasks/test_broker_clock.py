import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import redis
from pymongo.database import Database

from config.settings import Settings
from payments.database_clock import primary_time
from tests.support.broker import Broker
from tests.support.clocks import MovedClock
from tests.support.processes import Program
from workers.processes import environment

#: On a machine of its own: what its clock says, what its world says, what it sends, and how it reads a message that is
#: due in five seconds and good for sixty, by the time that it is given.
ELSEWHERE = """
import json, sys
from datetime import datetime, timedelta, UTC
from celery.worker.request import Request
from kombu.message import Message
from tasks.broker_clock import told_here
from tasks.wiring import build_world
from workers.app import app
from config.settings import load_settings
from tasks.requests import DomainRequest

now = datetime.fromisoformat(sys.argv[1])
app.send_task("payments.get", kwargs={"payment_id": "f" * 24}, countdown=5, expires=60)
headers = {"id": "a", "task": "payments.get", "eta": (now + timedelta(seconds=5)).isoformat(),
           "expires": (now + timedelta(seconds=60)).isoformat()}
message = Message(channel=None, headers=headers, properties={}, delivery_info={}, body=[[], {}, {}],
                  content_type="application/json", content_encoding="utf-8")
import tasks.payments
read = DomainRequest(message, app=app, headers=headers, decoded=True, utc=True, task=app.tasks["payments.get"])
own = datetime.now(UTC)
built = build_world(load_settings())
print(json.dumps({
    "own": own.isoformat(), "world": built.clock().isoformat(), "app": app.now().isoformat(),
    "waits": (read.eta - own).total_seconds(), "good": (read.expires - own).total_seconds(),
    "revoked": bool(read.maybe_expire()),
}))
built.close()
"""


class TestMachineOff:
    """A process on a machine whose clock is off by an hour."""

    def test_shared_time(self, settings: Settings, database: Database[Any], tmp_path: Path) -> None:
        """Its rows and messages carry the servers' time, and it reads those of others by it."""
        clock, before = MovedClock(tmp_path / "clock", -3600.0), primary_time(database)
        program = Program(ELSEWHERE, before.isoformat(), environment={**environment(settings), **clock.environment})
        code, output = program.result(60)
        assert code == 0, output
        after = primary_time(database)
        told = json.loads(output.splitlines()[-1])
        sent = Broker(str(settings.redis_url)).messages("payments")[0]
        margin, took = timedelta(seconds=2), (after - before).total_seconds() + 2
        assert not before - margin < datetime.fromisoformat(told["own"]) < after + margin  # it is off
        for name, moment, later in (
            ("world", told["world"], 0),
            ("app", told["app"], 0),
            ("eta", sent["eta"], 5),
            ("expires", sent["expires"], 60),
        ):
            found = datetime.fromisoformat(moment).astimezone(UTC) - timedelta(seconds=later)
            assert before - margin < found < after + margin, name
        assert 5 - took < told["waits"] <= 7
        assert 60 - took < told["good"] <= 62
        assert not told["revoked"]


class TestBroadcast:
    """What the clock costs."""

    def test_one_question(self, settings: Settings) -> None:
        """Many messages cost the broker one question for its time."""
        from tasks.broker_clock import _clock, broker_time  # noqa: PLC0415

        _clock.cache_clear()
        with redis.Redis.from_url(str(settings.redis_url)) as client:
            client.config_resetstat()
            for _ in range(50):
                broker_time(str(settings.redis_url))
            assert client.info("commandstats")["cmdstat_time"]["calls"] == 1
