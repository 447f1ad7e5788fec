#!/usr/bin/env python3
"""Do reads, watcher and workers outlive the loss of a member, in full: primary killed, secondary frozen or late?

Three mongods. Prints a table, writes it to bench/results/members_lost.txt, and fails when a promise is broken. About
four minutes on two cores.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any

from pymongo import MongoClient

sys.path.insert(0, str(Path(__file__).parents[2]))

from aggregations.members import named, only_the_chosen
from aggregations.replicas import Place, Replicas
from bench.parts.circumstances import ROOT
from tests.chaos.failover import PROCESSES, kill_primary
from tests.chaos.promises import Line, report, tried
from tests.chaos.stage import staged
from tests.support.sandbox import Sandbox
from tests.support.waiting import eventually
from workers.stack import EmbeddedMongo
from workers.stack_binaries import find_binary

Json = dict[str, Any]

#: How often each death is tried.
RUNS = 3

#: How long reads may fail, and how long a member that is of no use may go on being read, in seconds.
PROMISED_SECONDS = 5.0

#: The longest lag with which a secondary is read, in seconds: the one that is set unless another is.
BOUND_SECONDS = 5.0

#: What reading and telling the time add to an answer's age, in seconds.
SLACK_SECONDS = 0.5

#: Where the table goes.
RESULT = ROOT / "bench" / "results" / "members_lost.txt"


@dataclass
class Clocked:
    """Reads of a document that always tells the time: how old each answer was, and who still may be read."""

    mongo: EmbeddedMongo
    replicas: Replicas
    oldest: float = 0.0
    answers: int = 0
    sources: set[str] = field(default_factory=set)

    def read(self) -> None:
        """Read once."""

        def look(place: Place) -> tuple[str, float]:
            (row,) = place.database["times"].aggregate([{"$match": {"_id": 1}}])
            return place.source, time.monotonic() - row["t"]

        source, age = self.replicas.read(look, intent="replica", timeout_seconds=2.0)
        self.oldest, self.answers = max(self.oldest, age), self.answers + 1
        self.sources.add(source)

    def readable(self, member: int) -> bool:
        """Tell whether a member may be read."""
        return f"127.0.0.1:{self.mongo.ports[member]}" in map(named, self.replicas._members.readable())

    def until(self, member: int, *, readable: bool) -> float:
        """Read on until a member may be read, or may not; return how long that took, in seconds."""
        began = time.monotonic()
        while self.readable(member) is not readable:
            self.read()
            assert time.monotonic() - began < 60, "a member's state did not change within a minute"
            time.sleep(0.02)
        return time.monotonic() - began


def primary_killed(home: Path) -> Iterator[Line]:
    """Kill the primary under reads and writes, a few times."""
    sandbox = Sandbox(home).start()
    try:
        for stage in staged(home, sandbox, 3, processes=PROCESSES):
            found = []
            for _ in range(RUNS):
                sandbox.reset()
                found.append(kill_primary(stage, seconds=4.0, pages=20))
    finally:
        sandbox.stop()
    gaps = {name: [one.tries[name].longest_gap for one in found] for name in found[0].tries}
    reads = {name: seconds for name, seconds in gaps.items() if name != "write"}
    told = "; ".join(f"{name} {', '.join(f'{one:.1f}' for one in seconds)} s" for name, seconds in reads.items())
    elected = ", ".join(f"{one.elected_seconds:.1f}" for one in found)
    yield Line(
        f"the primary killed {RUNS} times under load (another after {elected} s): no kind of read fails for over 5 s",
        told,
        max(map(max, reads.values())) <= PROMISED_SECONDS,
    )
    acknowledged, lost = sum(one.acknowledged for one in found), sum(one.lost for one in found)
    yield Line("no acknowledged write is lost", f"{acknowledged} written, {lost} lost", lost == 0)
    went_on = ", ".join(f"{one.went_on_seconds:.1f}" for one in found)
    yield Line(
        "watcher and workers go on by themselves",
        f"no process ended; every payment stood in the view {went_on} s after the last one",
        all(one.same_processes for one in found),
    )
    pages, requests = sum(one.pages for one in found), sum(one.page_requests for one in found)
    yield Line(
        "half of the pages asked for just after the kill: each is made, each is asked for once at PayTabs",
        f"{pages} pages, {requests} requests",
        pages == requests == 20 * RUNS,
    )


def frozen(clocked: Clocked) -> Line:
    """Freeze a secondary under reads, and let it go on, a few times."""
    took, back = [], []
    for number in range(RUNS):
        member = secondaries(clocked.mongo)[number % 2]
        eventually(partial(clocked.readable, member), within_seconds=60, what="a healthy secondary")
        clocked.oldest = 0.0
        clocked.mongo.freeze(member)
        took.append(clocked.until(member, readable=False))
        clocked.mongo.thaw(member)
        back.append(clocked.until(member, readable=True))
    shown = [", ".join(f"{one:.1f}" for one in seconds) for seconds in (took, back)]
    return Line(
        "a secondary frozen with SIGSTOP is ejected within 5 s, and returns after three healthy probes",
        f"ejected after {shown[0]} s, back after {shown[1]} s; the oldest answer was {clocked.oldest:.1f} s old",
        max(took) <= PROMISED_SECONDS and min(back) > 0.9 and clocked.oldest <= BOUND_SECONDS + SLACK_SECONDS,
    )


def delayed(clocked: Clocked) -> Line:
    """Let a secondary apply nothing more, and let it go on, a few times."""
    took, back = [], []
    for number in range(RUNS):
        member = secondaries(clocked.mongo)[number % 2]
        eventually(partial(clocked.readable, member), within_seconds=60, what="a healthy secondary")
        with MongoClient[Json](clocked.mongo.member_uri(member)) as node:
            node.admin.command("configureFailPoint", "rsSyncApplyStop", mode="alwaysOn")
            clocked.until(member, readable=False)
            # When the node really stopped is told by what it has.
            took.append(time.monotonic() - node["lost"]["times"].find_one({"_id": 1})["t"])  # type: ignore[index]
            node.admin.command("configureFailPoint", "rsSyncApplyStop", mode="off")
        back.append(clocked.until(member, readable=True))
    shown = [", ".join(f"{one:.1f}" for one in seconds) for seconds in (took, back)]
    return Line(
        "a secondary that applies nothing more is ejected within 5 s; the oldest answer is within the bound of 5 s",
        f"ejected after {shown[0]} s, back after {shown[1]} s; of {clocked.answers} answers {clocked.oldest:.1f} s",
        max(took) <= PROMISED_SECONDS + SLACK_SECONDS and clocked.oldest <= BOUND_SECONDS + SLACK_SECONDS,
    )


def secondaries(mongo: EmbeddedMongo) -> list[int]:
    """List the members that are not primary."""
    primary = mongo.wait_for_primary()
    return [member for member in range(3) if member != primary]


@contextmanager
def clocks(home: Path) -> Iterator[Clocked]:
    """Give reads of a clock that is written on and on, on a set whose first member stays primary."""
    arguments = ("--setParameter", "enableTestCommands=1")
    options: Json = {"server_selector": only_the_chosen, "timeoutMS": 10_000}
    with (
        EmbeddedMongo(home / "mongo", members=3, extra_arguments=arguments) as mongo,
        MongoClient[Json](mongo.uri, **options) as client,
    ):
        db, ended = client["lost"], Event()

        def write() -> None:
            while not ended.wait(0.05):
                db["times"].update_one({"_id": 1}, {"$set": {"t": time.monotonic()}}, upsert=True)

        thread = Thread(target=write)
        thread.start()
        replicas = Replicas(db, bound_seconds=BOUND_SECONDS, fallback_at_once=2)
        try:
            eventually(lambda: len(replicas._members.readable()) == 2, within_seconds=60, what="healthy secondaries")
            yield Clocked(mongo, replicas)
        finally:
            ended.set()
            thread.join()
            replicas.close()


def lines() -> Iterator[Line]:
    """Try every promise."""
    with tempfile.TemporaryDirectory(prefix="nestcms-lost-", ignore_cleanup_errors=True) as directory:
        home = Path(directory)
        yield from primary_killed(home)
        scenes: tuple[Callable[[Clocked], Line], ...] = (frozen, delayed)
        with clocks(home / "clocks") as clocked:
            for scene in scenes:
                yield tried(scene, clocked)


def main() -> int:
    """Try everything, write and print the table, and say by the exit code whether all was kept."""
    title = "Members of a replica set of three lost under load"
    return report(title, lines(), [find_binary("valkey-server"), find_binary("mongod")], RESULT)


if __name__ == "__main__":
    sys.exit(main())
