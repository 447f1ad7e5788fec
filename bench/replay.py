#!/usr/bin/env python3
"""How fast is a projection computed again from 100,000 events, beside merely reading the same events?

The baseline reads every event as a dictionary, 1,000 at a time, in the order of payment and version. A replay reads the
same events in the same order, folds and judges every payment, and compares what comes of it with the CMS's documents,
with as many processes as the command line uses unasked. Both are taken in turn, and a replay by one process as well, as
a worker makes it. At the end every twentieth document is damaged and mended, and all are compared byte for byte.
"""

import argparse
import gc
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from operator import truediv
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.parts.circumstances import ROOT, circumstances
from bench.parts.database import one_node
from bench.parts.figures import table
from payments.replay_pieces import ReplayParts
from payments.replay_scan import BATCH, ORDER, sliced
from payments.replaying import Replayer
from tasks.wiring import World
from tests.support.histories import histories
from tests.support.replays import damage, no_way_out, ours, projected, replay, theirs
from workers.cli_replay import MOST_PROCESSES
from workers.stack_binaries import find_binary

#: The least share of the rate of reading that a replay keeps.
TARGET = 0.4

#: How many processes fold and compare: what the command line uses unasked.
PROCESSES = min(os.cpu_count() or 1, MOST_PROCESSES)

#: What the rows are called.
SCAN = "scan as dictionaries (baseline)"
REPLAY = f"replay of cms_payments, {PROCESSES} processes"
ALONE = "replay of cms_payments, one process"

#: Where the figures go.
RESULT = ROOT / "bench" / "results" / "replay.txt"

#: How many payments are under way at the same time when their events are written.
UNDER_WAY = 200

#: How many documents are written at once.
WRITTEN_AT_ONCE = 5_000


@dataclass(frozen=True)
class Stored:
    """How much was stored."""

    events: int
    payments: int


def fill(world: World, least_events: int) -> Stored:
    """Write the events of many payments, mixed as they come in life, and the CMS's documents."""
    events = payments = 0
    for some in sliced(histories(least_events), UNDER_WAY):
        in_turn = (event for turn in zip_longest(*(one.events for one in some)) for event in turn if event)
        documents = [event.to_document() for event in in_turn]
        events, payments = events + len(documents), payments + len(some)
        world.store.events.insert_many(documents)
        world.db["payments"].insert_many(projected(one) for one in some)
    return Stored(events, payments)


def scan(world: World) -> int:
    """Read every event as a dictionary."""
    return sum(1 for _ in world.store.events.find().sort(ORDER).batch_size(BATCH))


def compare(world: World) -> int:
    """Replay without mending; nothing differs."""
    return _compared(world.replayer)


def compare_alone(world: World) -> int:
    """Do the same in this process."""
    return _compared(Replayer(ReplayParts(world.db, world.ledger, world.clock)))


def _compared(replayer: Replayer) -> int:
    counts = replay(replayer, dry_run=True)["counts"]
    if counts.keys() - {"payments", "events"}:
        raise SystemExit(f"something differs that should not: {counts}")
    return int(counts["events"])


def rate(work: Callable[[World], int], world: World, events: int) -> float:
    """Return how many events a second some work goes through."""
    gc.collect()
    began = time.perf_counter()
    if (done := work(world)) != events:
        raise SystemExit(f"{work.__name__} went through {done} events instead of {events}")
    return events / (time.perf_counter() - began)


def mend(world: World) -> tuple[int, float]:
    """Damage every twentieth document and mend all; return how many, and how many a second."""
    before = ours(world.db), theirs(world.db)
    hurt = [one["_id"] for one in world.db["payments"].find({}, {"_id": 1}).sort("_id", 1)][::20]
    damage(world.db, hurt)
    with pytest.MonkeyPatch.context() as patch:
        tried = no_way_out(patch, world.db)
        began = time.perf_counter()
        mended = replay(world.replayer)["counts"]["mended"]
        took = time.perf_counter() - began
    if mended != len(hurt) or (ours(world.db), theirs(world.db)) != before:
        raise SystemExit("not every document is byte for byte what it was")
    if tried or world.db["event_deliveries"].count_documents({}):
        raise SystemExit("a replay reached somebody")
    return mended, mended / took


def report(stored: Stored, rates: dict[str, list[float]], mended: tuple[int, float]) -> tuple[str, float]:
    """Write the figures with what is needed to judge them; return the ratio as well."""
    ratios = {name: list(map(truediv, some, rates[SCAN])) for name, some in rates.items()}
    ratio = statistics.median(ratios[REPLAY])
    rows = [
        [
            name, f"{statistics.median(some):,.0f}", f"{min(some):,.0f}", f"{max(some):,.0f}",
            f"{statistics.median(ratios[name]):.2f}",
        ]
        for name, some in rates.items()
    ]  # fmt: skip
    each = ", ".join(f"{one:.2f}" for one in ratios[REPLAY])
    verdict = "met" if ratio >= TARGET else "MISSED"
    lines = [
        "# Replaying events, beside reading them",
        "",
        *circumstances([find_binary("mongod")]),
        f"- {stored.events:,} events of {stored.payments:,} payments; batches of {BATCH:,}, by payment and version;",
        f"  {len(rates[SCAN])} rounds, in each one of every row in turn; a ratio is the median of the rounds' ratios",
        "",
        *table(["events a second", "median", "min", "max", "ratio"], rows),
        "",
        f"Ratios of replays by {PROCESSES} processes, round by round: {each}.",
        f"Target: the median ratio is at least {TARGET}: {verdict} ({ratio:.2f}).",
        f"Afterwards {mended[0]:,} damaged documents were mended in one replay ({mended[1]:,.0f} a second, each in a",
        "transaction of its own); then all documents were byte for byte what they had been, no delivery row had been",
        "written, and no connection had been opened but to the database.",
    ]
    return "\n".join(lines) + "\n", ratio


def main() -> int:
    """Measure and write; 1 when the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000, help="how many events at least (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=9, help="how many rounds (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULT, help="the file for the figures (default: %(default)s)")
    options = parser.parse_args()
    rates: dict[str, list[float]] = {SCAN: [], REPLAY: [], ALONE: []}
    works = {SCAN: scan, REPLAY: compare, ALONE: compare_alone}
    with one_node(helpers=PROCESSES) as world:
        stored = fill(world, options.events)
        for work in works.values():
            rate(work, world, stored.events)
        for number in range(1, options.rounds + 1):
            for name, work in works.items():
                rates[name].append(rate(work, world, stored.events))
            told = ", ".join(f"{some[-1]:,.0f}" for some in rates.values())
            sys.stderr.write(f"round {number}: {told} events/s\n")
        mended = mend(world)
    text, ratio = report(stored, rates, mended)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(text)
    sys.stdout.write(text)
    return 0 if ratio >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
