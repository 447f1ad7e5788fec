#!/usr/bin/env python3
"""What do reads cost with one member of three dead: how many are answered, how long they take, beside a healthy set?

Three nodes on this machine, CMS-shaped payments; threads of one process read `payments_summary` by its pipeline, where
such reads belong. The healthy set is measured before and after each death, and is the baseline. What a read met in the
seconds of the death itself stands apart: the longest of them.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Lock

from pymongo import WriteConcern

sys.path.insert(0, str(Path(__file__).parents[1]))

from aggregations.parameters import SpanParameters
from aggregations.routed import RoutedReader
from aggregations.runner import AggregationRunner
from bench.parts.circumstances import ROOT, circumstances
from bench.parts.figures import milliseconds, summary, table
from bench.parts.view_data import fill
from config.settings import Settings
from tasks.publishing import leave_to_sweeps
from tasks.wiring import World, build_world
from tests.support.sandbox import PROFILE_ID, SERVER_KEY
from workers.stack import EmbeddedMongo
from workers.stack_binaries import find_binary

#: Where the figures go.
RESULT = ROOT / "bench" / "results" / "replicas.txt"

#: How many read at once: fewer than the cores can serve would measure nothing but one read after the other.
READERS = 4

#: How long after a death reads are not yet what they are with one member dead, in seconds.
SETTLES_SECONDS = 8.0

#: A read in the seconds of a death may take so long: one try of three seconds, a sign of life, and another elsewhere.
LONGEST_SECONDS = 5.0


@dataclass
class Reads:
    """Threads that read again and again; how long each read took, in seconds, and the errors."""

    runner: AggregationRunner
    took: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def keep_on(self, ended: Event) -> None:
        """Read until the end."""
        while not ended.is_set():
            began = time.perf_counter()
            try:
                self.runner.run("payments_summary", SpanParameters())
            except Exception as error:  # noqa: BLE001 - whatever it is, it is a read without an answer
                self.errors.append(type(error).__name__)
                continue
            with self._lock:
                self.took.append(time.perf_counter() - began)

    def taken(self) -> list[float]:
        """Return what the reads since the last call took."""
        with self._lock:
            taken, self.took = self.took, []
        return taken


@dataclass(frozen=True)
class Row:
    """One state of the set: reads a second, how long they take, and how both compare with the healthy set around it."""

    name: str
    seconds: float
    took: list[float]
    healthy: list[float]
    longest: float
    errors: int

    @property
    def ratio(self) -> float:
        """Return how many reads are answered for each that the healthy set answers."""
        return len(self.took) / len(self.healthy)

    def cells(self) -> list[str]:
        """Return it as cells of a table."""
        half, p95, _ = summary(self.took)
        figures = [f"{len(self.took) / self.seconds:.1f}/s", milliseconds(half), milliseconds(p95), f"{self.ratio:.2f}"]
        return [self.name, *figures, f"{self.longest:.2f} s", str(self.errors)]


def main() -> int:
    """Measure, and say by the exit code whether no read failed and none took longer than it may."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=0.1, help="1 is 500,000 payments")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--output", type=Path, default=RESULT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nestcms-bench-", ignore_cleanup_errors=True) as home:
        rows = list(measured(Path(home), options.scale, options.seconds))
    head = [
        "payments_summary by its pipeline",
        "reads",
        "median",
        "p95",
        "of healthy",
        "longest at the death",
        "errors",
    ]
    lines = [
        f"# Reads with one member of three dead, {READERS} readers, scale {options.scale:g}",
        "",
        *table(head, [row.cells() for row in rows]),
        "",
        "`of healthy`: reads answered for each that the whole set answers in the same time, measured before and after.",
        "Two secondaries share the reads of a healthy set; the primary takes part in none of them.",
        f"Target: no error, and no read longer than {LONGEST_SECONDS:g} s in the seconds of the death.",
        "",
        *circumstances([find_binary("mongod")]),
    ]
    options.output.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))  # noqa: T201 - the figures are what this is for
    return 0 if all(row.longest <= LONGEST_SECONDS and not row.errors for row in rows) else 1


def measured(home: Path, scale: float, seconds: float) -> Iterator[Row]:
    """Measure one death after the other."""
    with EmbeddedMongo(home / "mongo", members=3) as mongo, world_on(mongo) as world:
        fill(world.db, scale)
        world.db["payments"].with_options(write_concern=WriteConcern("majority")).insert_one({"amount": "1.00"})
        reader = RoutedReader(world.db, world.replicas)
        reads = Reads(AggregationRunner(world.db, clock=lambda: datetime.now(UTC), readers=lambda _row: reader))
        with reading(reads):
            time.sleep(SETTLES_SECONDS)
            for name, act in deaths(mongo):
                yield death(mongo, reads, name, act, seconds)


def death(mongo: EmbeddedMongo, reads: Reads, name: str, act: Callable[[], int], seconds: float) -> Row:
    """Let one member die amid reads, and bring it back."""
    before = during(reads, seconds)
    reads.errors.clear()
    member = act()
    longest = max(during(reads, SETTLES_SECONDS))
    took = during(reads, seconds)
    errors = len(reads.errors)
    mongo.thaw(member)
    mongo.start()
    time.sleep(SETTLES_SECONDS)
    after = during(reads, seconds)
    healthy = max(before, after, key=len)
    return Row(name, seconds, took, healthy, longest, errors)


def during(reads: Reads, seconds: float) -> list[float]:
    """Return what the reads of so many seconds took."""
    reads.taken()
    time.sleep(seconds)
    return reads.taken()


def deaths(mongo: EmbeddedMongo) -> list[tuple[str, Callable[[], int]]]:
    """List the deaths; each says which member it hit."""

    def secondary() -> int:
        primary = mongo.wait_for_primary()
        return next(member for member in range(3) if member != primary)

    def hit(choose: Callable[[], int], act: Callable[[int], None]) -> Callable[[], int]:
        def done() -> int:
            member = choose()
            act(member)
            return member

        return done

    return [
        ("a secondary killed", hit(secondary, mongo.kill)),
        ("a secondary frozen", hit(secondary, mongo.freeze)),
        ("the primary killed", hit(mongo.wait_for_primary, mongo.kill)),
    ]


@contextmanager
def reading(reads: Reads) -> Iterator[None]:
    """Have readers at work in this block."""
    ended = Event()
    with ThreadPoolExecutor(READERS) as pool:
        running = [pool.submit(reads.keep_on, ended) for _ in range(READERS)]
        try:
            yield
        finally:
            ended.set()
        for one in running:
            one.result()


@contextmanager
def world_on(mongo: EmbeddedMongo) -> Iterator[World]:
    """Give a world on these nodes whose messages nobody gets."""
    settings = Settings(
        _env_file=None,
        mongo_uri=mongo.uri,
        mongo_database="bench",
        mongo_election_timeout_ms=2_000,
        server_selection_timeout_ms=5_000,
        paytabs_profile=PROFILE_ID,
        paytabs_serverk=SERVER_KEY,
        paytabs_region="SAU",
    )
    with closing(build_world(settings, send=leave_to_sweeps)) as world:
        yield world


if __name__ == "__main__":
    sys.exit(main())
