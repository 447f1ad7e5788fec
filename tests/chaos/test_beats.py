import sys
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from config.connections import mongo_client
from tests.support.processes import ROOT
from tests.support.system import SHORT_TIMES, system_settings
from tests.support.ticking_entry import ENTRY, SLOT_SECONDS
from tests.support.waiting import eventually
from workers.processes import WORKER_ENVIRONMENT, environment
from workers.stack import EmbeddedMongo, EmbeddedValkey
from workers.supervisor import Supervisor
from workers.supervisor_spec import ProcessSpec, writes

CELERY = (sys.executable, "-m", "celery", "-q", "-A", "tests.support.ticking")


class Beats:
    """A worker and two beats with files of their own, on one database and one broker."""

    def __init__(self, mongo: EmbeddedMongo, valkey: EmbeddedValkey, directory: Path) -> None:
        self.settings = system_settings(
            mongo_uri=mongo.uri,
            redis_url=valkey.url,
            sandbox_url="http://127.0.0.1:9",
            directory=directory,
            **SHORT_TIMES,
        )
        self.valkey = valkey
        shared = environment(self.settings)
        worker = ("worker", "-n", "reads@%h", "-Q", "maintenance", "--concurrency", "2")
        specs = [ProcessSpec("worker", (*CELERY, *worker), shared | WORKER_ENVIRONMENT, writes("ready"), cwd=ROOT)]
        specs += [
            ProcessSpec(
                name, (*CELERY, "beat", "-s", str(directory / name), "--pidfile="), shared, writes("Starting"), cwd=ROOT
            )
            for name in ("beat-1", "beat-2")
        ]
        self.processes = Supervisor(specs, log_directory=directory / "logs", quiet=True)


@pytest.fixture
def beats(mongo: EmbeddedMongo, tmp_path: Path) -> Iterator[Beats]:
    """Two beats and a worker that run."""
    with EmbeddedValkey(tmp_path / "valkey") as valkey:
        made = Beats(mongo, valkey, tmp_path)
        with made.processes:
            made.processes.start()
            yield made
            for name in ("worker", "beat-1", "beat-2"):
                made.processes.kill(name)


class TestTwoBeats:
    """Two beats on purpose are harmless, and one of them is enough."""

    def test_killed_and_flushed(self, beats: Beats) -> None:
        """With one beat killed and the broker emptied each slot is done at most once, and none is missed."""
        with mongo_client(beats.settings) as client:
            db = client[beats.settings.mongo_database]
            slots = {"entry": ENTRY.name, "done_at": {"$ne": None}, "due": {"$ne": None}}

            def done(count: int) -> bool:
                return db["schedule_slots"].count_documents(slots) >= count

            eventually(lambda: done(2), within_seconds=30, what="two slots with two beats")
            beats.processes.kill("beat-1")
            eventually(lambda: done(3), within_seconds=30, what="a slot with one beat")
            beats.valkey.flush()
            eventually(lambda: done(5), within_seconds=30, what="two slots after the broker was emptied")
            beats.processes.kill("beat-2")
            beats.processes.kill("worker")
            rows = list(db["schedule_slots"].find(slots).sort("due", 1))
            runs = db["tests_runs"].count_documents({})
        assert len({row["due"] for row in rows}) == len(rows)
        assert runs in (len(rows), len(rows) + 1)  # the worker may have been killed between a run and its note
        assert [row["attempts"] for row in rows] == [1] * len(rows)
        assert all(late["due"] - early["due"] <= timedelta(seconds=3 * SLOT_SECONDS) for early, late in pairwise(rows))
