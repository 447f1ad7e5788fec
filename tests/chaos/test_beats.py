import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

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


class Seen:
    """What the database tells of the entry's slots and runs."""

    def __init__(self, db: Database[dict[str, Any]]) -> None:
        self.db, self.slots, self.runs = db, db["schedule_slots"], db["tests_runs"]

    def rows(self, **more: Any) -> list[dict[str, Any]]:
        """List the slots that were begun, and are such, by their due time."""
        return list(self.slots.find({"entry": ENTRY.name, "due": {"$ne": None}} | more).sort("due", 1))

    def done(self, count: int) -> bool:
        """Tell whether so many slots are done."""
        return len(self.rows(done_at={"$ne": None})) >= count

    def quiet(self) -> bool:
        """Tell whether nothing is under way, and nothing waits, for longer than a slot."""
        before = self.runs.count_documents({})
        time.sleep(1.5 * SLOT_SECONDS)
        return not self.rows(under_way=True) and self.runs.count_documents({}) == before

    def hold(self) -> None:
        """Have no run end from now on."""
        self.db["tests_holds"].insert_one({})

    def held(self) -> bool:
        """Tell whether a run is under way that began after the last slot was done."""
        return bool(self.rows(under_way=True)) and self.runs.count_documents({}) == len(self.rows(attempts={"$gte": 1}))

    def let_go(self) -> None:
        """Have runs end again."""
        self.db["tests_holds"].delete_many({})

    def check(self, *, lost: int) -> None:
        """Expect exactly one run of each slot, all done but those that were lost, and none left out."""
        rows = self.rows(attempts={"$gte": 1})
        assert [row["attempts"] for row in rows] == [1] * len(rows)
        assert self.runs.count_documents({}) == len({row["due"] for row in rows}) == len(rows)
        assert len([row for row in rows if row["done_at"] is None]) == lost
        gaps = [late["due"] - early["due"] for early, late in pairwise(rows)]
        assert len([gap for gap in gaps if gap > timedelta(seconds=3 * SLOT_SECONDS)]) <= lost  # until the lease's end


class TestTwoBeats:
    """Two beats on purpose are harmless, and one of them is enough."""

    def test_killed_and_flushed(self, beats: Beats) -> None:
        """With one beat killed and the broker emptied each slot is done once, and none is missed."""
        with mongo_client(beats.settings) as client:
            seen = Seen(client[beats.settings.mongo_database])
            eventually(lambda: seen.done(2), within_seconds=30, what="two slots with two beats")
            beats.processes.kill("beat-1")
            eventually(lambda: seen.done(3), within_seconds=30, what="a slot with one beat")
            beats.valkey.flush()
            eventually(lambda: seen.done(5), within_seconds=30, what="two slots after the broker was emptied")
            beats.processes.kill("beat-2")
            eventually(seen.quiet, within_seconds=30, what="the end of what is under way")
            seen.check(lost=0)

    def test_worker_killed_in_a_slot(self, beats: Beats) -> None:
        """The slot in which a worker was killed is not begun anew; the next ones are done, once each."""
        with mongo_client(beats.settings) as client:
            seen = Seen(client[beats.settings.mongo_database])
            eventually(lambda: seen.done(1), within_seconds=30, what="a slot")
            seen.hold()
            eventually(seen.held, within_seconds=30, what="a run that does not end")
            beats.processes.kill("worker")
            seen.let_go()
            beats.processes.restart("worker")
            eventually(lambda: seen.done(3), within_seconds=60, what="two slots after the lease's end")
            beats.processes.kill("beat-1")
            beats.processes.kill("beat-2")
            eventually(seen.quiet, within_seconds=30, what="the end of what is under way")
            seen.check(lost=1)
