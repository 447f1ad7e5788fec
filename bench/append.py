#!/usr/bin/env python3
"""How much does an event cost with its projection, in one transaction, beside a bare durable insert?

Eight threads, each with payments of its own, on one node. The baseline inserts a document of about 1.5 KB into a
collection with one more unique index, acknowledged by a majority's journal. An append is `PaymentStore.change` as the
system is wired, companions and hashing included: the event, the CMS's fields, and whatever else belongs to them. Both
are taken in turn. Beside them stand whole lives of payments, whose changes also bring milestones and what is owed for
them.
"""

import argparse
import gc
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from operator import truediv
from pathlib import Path

from bson import ObjectId

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.parts.circumstances import ROOT, circumstances
from bench.parts.database import one_node
from bench.parts.figures import table
from payments.events import broken_link
from payments.facts import TransactionObserved
from tasks.wiring import World
from tests.support.histories import LONG_AGO, Telling, tellings, told
from tests.support.replays import live, record, replay
from workers.stack_binaries import find_binary

#: The least share of the rate of bare inserts that appends keep.
TARGET = 0.35

#: Where the figures go.
RESULT = ROOT / "bench" / "results" / "append.txt"

#: How many threads write at the same time.
THREADS = 8

#: How many events are appended to one payment.
APPENDS = 4

#: What fills a bare document to about 1.5 KB.
FILLING = "x" * 1_450

#: What the rows are called.
BARE = "bare insert (baseline)"
APPEND = "append of an event with its projection"
LIFE = "change in a payment's whole life"

#: What one thread has to do, one durable write after the other.
Work = Sequence[Callable[[], object]]


@dataclass
class Bench:
    """What is written where; payments are never used twice."""

    world: World
    stories: Iterator[Telling] = field(default_factory=tellings)

    def bare(self, writes: int) -> Work:
        """Insert documents of about 1.5 KB under a unique key."""
        return [self._insert for _ in range(writes)]

    def appends(self, writes: int) -> Work:
        """Append one event at a time to payments that were just paid: PayTabs says again what is known, a little later.

        As between the steps of an operation, this process has just written to their streams.
        """
        work: list[Callable[[], object]] = []
        while len(work) < writes:
            telling, said = next(paid for paid in map(paid_at_once, self.stories) if paid)
            payment_id = self._unpaid(telling)
            live(self.world.store, payment_id, telling.groups)
            for second in range(APPENDS):
                again = replace(said, occurred_at=f"2026-03-01T08:01:{second:02d}.000Z")
                work.append(partial(record, self.world.store, payment_id, [again]))
        return work

    def lives(self, writes: int) -> Work:
        """Have payments live, change by change, from their creation to whatever comes of them."""
        work: list[Callable[[], object]] = []
        while len(work) < writes:
            telling = next(self.stories)
            payment_id = self._unpaid(telling)
            work += [partial(record, self.world.store, payment_id, group) for group in telling.groups]
        return work

    def check(self) -> None:
        """See that every chain is whole and that every document is what its events come to."""
        counts = replay(self.world.replayer, dry_run=True)["counts"]
        if counts.keys() - {"payments", "events"}:
            raise SystemExit(f"documents are not what their events come to: {counts}")
        for payment_id in self.world.store.events.distinct("payment_id"):
            if broken := broken_link(self.world.store.load(str(payment_id))):
                raise SystemExit(f"the chain is broken at {broken.event_id}")

    def _insert(self) -> None:
        self.world.db["bare"].insert_one({"key": ObjectId(), "filling": FILLING})

    def _unpaid(self, telling: Telling) -> str:
        """Store a payment to which nothing has happened yet."""
        history = told([], LONG_AGO, telling.number)
        self.world.db["payments"].insert_one({"_id": history.payment_id, "amount": "115.00", "currency": "SAR"})
        return str(history.payment_id)


def paid_at_once(telling: Telling) -> tuple[Telling, TransactionObserved] | None:
    """Return a telling with its last fact, when that says that the payment is paid and nothing else came between."""
    last = telling.groups[-1][0]
    paid = len(telling.groups) == 4 and isinstance(last, TransactionObserved)  # noqa: PLR2004 - created, sent, opened
    return (telling, last) if paid and isinstance(last, TransactionObserved) else None


def rate(shares: Sequence[Work]) -> float:
    """Have each thread do its share, all from the same moment on; return how many writes a second they make."""
    gate, errors = threading.Barrier(len(shares) + 1), list[BaseException]()

    def run(share: Work) -> None:
        gate.wait()
        try:
            for write in share:
                write()
        except BaseException as error:  # noqa: BLE001 - told below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(share,)) for share in shares]
    for thread in threads:
        thread.start()
    # What was prepared for the measurement is not looked through again and again by Python's collector.
    gc.collect()
    gc.freeze()
    gate.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    if errors:
        raise SystemExit(f"a write failed: {errors[0]!r}")
    return sum(map(len, shares)) / took


def report(rates: dict[str, list[float]], events_per_change: float, writes: int) -> tuple[str, float]:
    """Write the figures with what is needed to judge them; return the ratio of appends as well."""
    base = rates[BARE]
    ratios = {name: statistics.median(map(truediv, some, base)) for name, some in rates.items()}
    rows = [
        [name, f"{statistics.median(some):,.0f}", f"{min(some):,.0f}", f"{max(some):,.0f}", f"{ratios[name]:.2f}"]
        for name, some in rates.items()
    ]
    ratio = ratios[APPEND]
    verdict = "met" if ratio >= TARGET else "MISSED"
    lines = [
        "# Appending events with their projection, beside bare inserts",
        "",
        *circumstances([find_binary("mongod")]),
        f"- one node, {THREADS} threads in one process; {len(base)} rounds, in each {writes} writes of each thread for",
        "  each row in turn; each write waits for a majority's journal; a ratio is the median of the rounds' ratios",
        "",
        *table(["writes a second", "median", "min", "max", "ratio"], rows),
        "",
        f"Target: the ratio of appends is at least {TARGET}: {verdict} ({ratio:.2f}).",
        f"A change in a payment's life brings {events_per_change:.2f} events: counted in events, its ratio is",
        f"{ratios[LIFE] * events_per_change:.2f}. All chains were whole and all documents what their events come to.",
    ]
    return "\n".join(lines) + "\n", ratio


def main() -> int:
    """Measure and write; 1 when the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--writes", type=int, default=100, help="each thread's in a round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=11, help="how many rounds (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULT, help="the file for the figures (default: %(default)s)")
    options = parser.parse_args()
    rates: dict[str, list[float]] = {BARE: [], APPEND: [], LIFE: []}
    with one_node() as world:
        world.db["bare"].create_index("key", unique=True)
        bench = Bench(world)
        kinds = {BARE: bench.bare, APPEND: bench.appends, LIFE: bench.lives}
        for make in kinds.values():
            rate([make(20) for _ in range(THREADS)])
        changes = events = 0
        for number in range(1, options.rounds + 1):
            for name, make in kinds.items():
                shares = [make(options.writes) for _ in range(THREADS)]
                before = world.store.events.count_documents({})
                rates[name].append(rate(shares))
                if name == LIFE:
                    changes += sum(map(len, shares))
                    events += world.store.events.count_documents({}) - before
            told_now = ", ".join(f"{some[-1]:,.0f}" for some in rates.values())
            sys.stderr.write(f"round {number}: {told_now} writes/s\n")
        bench.check()
    text, ratio = report(rates, events / changes, options.writes)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(text)
    sys.stdout.write(text)
    return 0 if ratio >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
