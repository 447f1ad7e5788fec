#!/usr/bin/env python3
"""Does the cache of heavy reads keep its promises, in full: four processes, 200 readers, real servers, agreed times?

Prints a table, writes it to bench/results/cache.txt, and fails when a promise is broken. About a minute.
"""

import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

from pymongo import MongoClient

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.parts.circumstances import ROOT
from tests.chaos.promises import Line, report, tried
from tests.integration.aggregations.crowd import Crowd
from tests.integration.aggregations.load import changes, readers
from tests.integration.aggregations.shelf import Shelf
from tests.support.waiting import eventually
from workers.stack import EmbeddedMongo, EmbeddedValkey
from workers.stack_binaries import find_binary

Json = dict[str, Any]

#: How many processes, and how many readers in each.
PROCESSES, READERS = 4, 50

#: How many processes the worker of reads has.
WORKERS_CHILDREN = 2

#: How often the stampede is tried, and how often the server is killed under load.
RUNS, KILLS = 20, 10

#: How long the build takes in the stampede, in seconds.
BUILD_SECONDS = 0.5

#: Past the soft age, in seconds.
STALE = 31

#: Where the table goes.
RESULT = ROOT / "bench" / "results" / "cache.txt"


@dataclass(frozen=True)
class Stage:
    """The servers."""

    valkey: EmbeddedValkey
    mongo: EmbeddedMongo
    client: MongoClient[Json]

    def shelf(self, **parts: Any) -> Shelf:
        """Make a shelf in a database of its own; its thing is worth 1."""
        made = Shelf(self.client[f"cache_{uuid4().hex}"], self.valkey.url, **parts)
        made.put(1)
        return made


def share(seconds: list[float], part: float) -> float:
    """Give the nearest-rank percentile, in milliseconds."""
    return sorted(seconds)[max(0, int(len(seconds) * part) - 1)] * 1000


def told(seconds: list[float]) -> str:
    """Say how long reads took."""
    p50, p95, p99, longest = (share(seconds, part) for part in (0.5, 0.95, 0.99, 1.0))
    return f"{len(seconds)} reads: median {p50:.2f}, p95 {p95:.2f}, p99 {p99:.2f}, longest {longest:.2f} ms"


def stampede(stage: Stage) -> Line:
    """Let all readers ask for a cold answer at once, again and again."""
    shelf = stage.shelf()
    with Crowd(PROCESSES, shelf, stage.mongo.uri) as crowd:
        runs = []
        for _ in range(RUNS):
            shelf.change(1)
            runs.append(crowd.all(readers=READERS, takes=BUILD_SECONDS))
    builds = [sum(one.get("builds", 0) for one in run) for run in runs]
    right = all(one.get("data") == 1 for run in runs for one in run)
    longest = max(one["seconds"] for run in runs for one in run)
    measured = f"{builds.count(1)} of {RUNS} runs with one build; longest wait {longest * 1000:.0f} ms"
    return Line(
        "200 readers of a cold key, 500 ms build, 4 processes: one build", measured, right and set(builds) == {1}
    )


def stale(stage: Stage) -> Line:
    """Let all readers ask for a stale answer at once, again and again."""
    shelf = stage.shelf()
    with Crowd(PROCESSES, shelf, stage.mongo.uri) as crowd:
        crowd.all(readers=READERS)
        bursts = [crowd.all(readers=READERS, takes=BUILD_SECONDS, late=STALE) for _ in range(RUNS)]
    got = [one for burst in bursts for one in burst]
    same = all((one["data"], one["source"]) == (1, "cache") for one in got)
    each = [share([one["seconds"] for one in burst], 0.99) for burst in bursts]
    measured = f"{told([one['seconds'] for one in got])}; p99 of a burst {min(each):.1f} to {max(each):.1f} ms"
    # What else runs on the machine spoils some bursts; the one in the middle is ours.
    return Line(
        f"200 readers of a stale key at once: p99 under 20 ms, median of {RUNS} bursts {median(each):.1f} ms",
        measured,
        same and median(each) < 20,
    )


def cached(stage: Stage) -> Line:
    """Read a remembered answer of some size again and again in as many processes as the worker of reads has."""
    shelf = stage.shelf()
    shelf.put([{"_id": uuid4().hex, "title": f"note {number}", "amount": "115.00"} for number in range(100)])
    with Crowd(WORKERS_CHILDREN, shelf, stage.mongo.uri) as crowd:
        crowd.all(readers=1)
        got = crowd.all(readers=1, rounds=2_000)
    seconds = [one["seconds"] for one in got]
    kept = all(one["source"] == "cache" for one in got) and share(seconds, 0.95) < 2
    return Line("a remembered answer of 100 rows in a worker: p95 under 2 ms", told(seconds), kept)


def killed_builder(stage: Stage) -> Line:
    """Kill a builder with SIGKILL and ask at once."""
    shelf, waits = stage.shelf(changes={"budget_ms": 2_000}), []
    for _ in range(3):
        shelf.change(1)
        with Crowd(1, shelf, stage.mongo.uri) as crowd:
            crowd.send(0, readers=1, takes=60)
            crowd.answer(0)
            crowd.members[0].kill()
        began = time.monotonic()
        shelf.ask()
        waits.append(time.monotonic() - began)
    measured = f"answered {', '.join(f'{wait:.2f}' for wait in waits)} s after the kill; the lease is 4 s"
    return Line("a builder killed with SIGKILL blocks its key for its lease at most", measured, max(waits) < 4.5)


def server_killed(stage: Stage) -> Line:
    """Kill and restart Valkey under load, with changes all the while."""
    shelf, worth = stage.shelf(during=lambda: time.sleep(0.002)), [1]
    with readers(shelf, worth, 8) as seen:
        for _ in range(KILLS):
            changes(shelf, worth, 20)
            stage.valkey.kill()
            back = threading.Timer(0.3, stage.valkey.start)
            back.start()
            changes(shelf, worth, 20)
            back.join()
            eventually(lambda: shelf.told()[1] == "cache", what="a remembered answer")
    measured = f"{KILLS} kills, {worth[0] - 1} changes, {seen.asked} reads: {len(seen.wrong)} wrong answers or errors"
    return Line("Valkey killed and restarted under load: no wrong answer, no error", measured, not seen.wrong)


SCENES = (stampede, stale, cached, killed_builder, server_killed)


def lines() -> Iterator[Line]:
    """Try every promise."""
    with (
        tempfile.TemporaryDirectory(prefix="nestcms-cache-") as directory,
        EmbeddedValkey(Path(directory) / "valkey") as valkey,
        EmbeddedMongo(Path(directory) / "mongo") as mongo,
        MongoClient[Json](mongo.uri, tz_aware=True) as client,
    ):
        for scene in SCENES:
            yield tried(scene, Stage(valkey, mongo, client))


def main() -> int:
    """Try everything, write and print the table, and say by the exit code whether all was kept."""
    title = "The cache of heavy reads, shared by 4 processes through one Valkey"
    return report(title, lines(), [find_binary("valkey-server"), find_binary("mongod")], RESULT)


if __name__ == "__main__":
    sys.exit(main())
