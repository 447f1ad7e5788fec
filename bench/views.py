#!/usr/bin/env python3
"""What do materialised views save: reading one instead of running its pipeline, and refreshing what has changed?

One node, CMS-shaped contracts and payments (at scale 1 50,000 and 500,000). Reads are taken in turn, once from the view
and once by the pipeline, with equal answers. Then ten groups are marked and refreshed, again and again; what the whole
view took to build stands beside it. Last, how many changes a second the watcher follows.
"""

import argparse
import random
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bson import ObjectId
from pymongo import InsertOne

sys.path.insert(0, str(Path(__file__).parents[1]))

from aggregations.catalogue import find
from aggregations.indexes import INDEXES
from aggregations.parameters import AgeParameters, ContractParameters, Parameters, SpanParameters
from aggregations.view_keys import Group
from aggregations.view_reads import ViewReads
from aggregations.views import VIEWS, View
from aggregations.watching import Outside, Watcher
from bench.parts.circumstances import ROOT, circumstances
from bench.parts.database import one_node
from bench.parts.figures import table
from bench.parts.view_data import fill, payment
from config.connections import database, streaming_client
from tasks.wiring import World
from workers.stack_binaries import find_binary

#: Where the figures go.
RESULT = ROOT / "bench" / "results" / "views.txt"

#: How many times faster `payments_summary` has to be from its view at scale 1, and ten groups than a whole rebuild.
SUMMARY_TARGET, REFRESH_TARGET = 200.0, 50.0

#: How many groups are refreshed at once.
DIRTY = 10

#: Repetitions of reads and of refreshes.
READS, REFRESHES = 15, 7

#: How many payments are inserted while the watcher is measured.
FOLLOWED = 20_000


@dataclass(frozen=True)
class Scene:
    """A database with built views and a watcher beside it."""

    world: World
    watcher: Watcher
    contracts: list[ObjectId]
    built: dict[str, float]

    def follow(self) -> float:
        """Follow everything that has happened; return how many seconds that took."""
        until, began = self.world.db.command("ping")["operationTime"], time.perf_counter()
        while (at := self.world.views.state.position().at) is None or at < until:
            self.watcher.step(50)
        return time.perf_counter() - began

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Have the watcher at work meanwhile, as it always is: what it leaves for minutes the oplog may lose."""
        ended = threading.Event()

        def work() -> None:
            while not ended.is_set():
                self.watcher.step(200)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def build(self, view: View) -> float:
        """Do everything that a view has to have done; return how many seconds that took."""
        began = time.perf_counter()
        while self.world.views.go_on(view, 30.0).left:
            pass
        return time.perf_counter() - began


def main() -> int:
    """Measure, and say by the exit code whether the targets were reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="1 is 500,000 payments; the targets are for 1")
    parser.add_argument("--output", type=Path, default=RESULT)
    options = parser.parse_args()
    with scene(options.scale) as (made, facts):
        reads = [read_row(made, *one) for one in questions(made)]
        refreshes = [refresh_row(made, VIEWS[name], groups) for name, groups in marked(made).items()]
        made.world.db["payments"].bulk_write(
            [InsertOne(payment(random.Random(2), made.contracts)) for _ in range(FOLLOWED)],  # noqa: S311 - as there
            ordered=False,
        )
        facts.append(f"- watcher: {FOLLOWED / made.follow():,.0f} inserts a second followed, marks and map included")
    lines = told(options.scale, facts, reads, refreshes)
    options.output.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))  # noqa: T201 - the figures are what this is for
    reached = reads[0][3] >= SUMMARY_TARGET and all(row[3] >= REFRESH_TARGET for row in refreshes)
    return 0 if reached or options.scale < 1 else 1


@contextmanager
def scene(scale: float) -> Iterator[tuple[Scene, list[str]]]:
    """Give a filled database whose views are built."""
    with one_node() as world, streaming_client(world.settings) as streaming:
        contracts = fill(world.db, scale)
        for index in INDEXES.values():
            world.db[index.collection].create_index([*index.keys], name=index.name)
        outside = Outside(
            invalidate=lambda _tags, _at: None,
            forget=lambda: None,
            outages=(),
            ask_refresh=lambda _name: None,
            alert=world.alerts.raise_alert,
        )
        watcher = Watcher(world.db, database(streaming, world.settings), holder="bench", outside=outside)
        made = Scene(world, watcher, contracts, {})
        seconds = made.follow()
        facts = [f"- map of {world.db['mv_members'].estimated_document_count():,} documents: made in {seconds:.1f} s"]
        with made.watching():
            made.built.update({name: made.build(view) for name, view in VIEWS.items()})
        yield made, facts


def questions(made: Scene) -> list[tuple[str, Parameters]]:
    """List what is asked."""
    contract = str(made.contracts[len(made.contracts) // 2])
    return [
        ("payments_summary", SpanParameters()),
        ("receivables_ageing", AgeParameters()),
        ("contract_balance", ContractParameters(contract_id=contract)),
    ]


def read_row(made: Scene, name: str, parameters: Parameters) -> tuple[str, float, float, float]:
    """Read by pipeline and from the view in turn; return both medians and their ratio.

    What becomes of the documents is the same for both, and not measured; the answers have to be equal.
    """
    row, reads = find(name), ViewReads(made.world.db)

    def pipeline() -> Any:  # noqa: ANN401 - documents
        stages = row.build(parameters, datetime.now(UTC))
        return list(made.world.db[row.collections[0]].aggregate(stages))

    def view() -> Any:  # noqa: ANN401 - an answer
        given = reads.from_view(row, parameters, datetime.now(UTC))
        if given is None:
            raise SystemExit(f"{name}: the view was not read")
        return given.documents

    slow, fast = [], []
    for _ in range(READS):
        made.follow()
        slow.append(timed(pipeline))
        made.follow()
        fast.append(timed(view))
        if row.answer(slow[-1][1]) != row.answer(fast[-1][1]):
            raise SystemExit(f"{name}: view and pipeline differ")
    progress(name, slow, fast)
    medians = [statistics.median(seconds for seconds, _ in taken) for taken in (slow, fast)]
    return name, medians[0], medians[1], medians[0] / medians[1]


def marked(made: Scene) -> dict[str, list[Group]]:
    """Choose the groups that are refreshed, of each view."""
    found = made.world.db["mv_receivables"].find({"of": {"$ne": None}}, {"_id": 1})
    days = [row["_id"] for row in found.limit(DIRTY * 20)]
    return {
        "mv_payments_monthly": days[:: max(1, len(days) // DIRTY)][:DIRTY],
        "mv_receivables": days[:: max(1, len(days) // DIRTY)][:DIRTY],
        "mv_contract_balances": [*made.contracts[:: max(1, len(made.contracts) // DIRTY)][:DIRTY]],
    }


def refresh_row(made: Scene, view: View, groups: list[Group]) -> tuple[str, float, float, float]:
    """Refresh some groups; return how long all of them took to build, this, and the ratio."""
    desk, taken = made.world.views, []
    for _ in range(REFRESHES):
        at = made.world.db.command("ping")["operationTime"]
        desk.marks.change((view.name, group, at) for group in groups)
        taken.append(made.build(view))
    progress(view.name, [(made.built[view.name], None)], [(one, None) for one in taken])
    whole, some = made.built[view.name], statistics.median(taken)
    return f"{view.name}, {len(groups)} groups", whole, some, whole / some


def told(scale: float, facts: list[str], reads: list[Any], refreshes: list[Any]) -> list[str]:
    """Write everything down."""

    def ms(row: tuple[str, float, float, float]) -> list[str]:
        name, slow, fast, ratio = row
        return [name, f"{slow * 1000:,.1f} ms", f"{fast * 1000:,.2f} ms", f"{ratio:,.0f}"]

    return [
        f"# Views at scale {scale:g}",
        "",
        *table(["documents of, median", "pipeline", "view", "times faster"], [ms(row) for row in reads]),
        "",
        f"Target for payments_summary at scale 1: {SUMMARY_TARGET:g} times.",
        "",
        *table(["refresh", "whole rebuild", "refresh, median", "times faster"], [ms(row) for row in refreshes]),
        "",
        f"Target for {DIRTY} groups at scale 1: {REFRESH_TARGET:g} times.",
        "",
        *facts,
        *circumstances([find_binary("mongod")]),
    ]


def progress(name: str, slow: list[tuple[float, Any]], fast: list[tuple[float, Any]]) -> None:
    """Say what has been measured so far."""
    medians = [statistics.median(seconds for seconds, _ in taken) for taken in (slow, fast)]
    print(f"{name}: {medians[0] * 1000:,.1f} ms, {medians[1] * 1000:,.2f} ms", file=sys.stderr)  # noqa: T201 - as above


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return how many seconds something took, and what it gave."""
    began = time.perf_counter()
    given = work()
    return time.perf_counter() - began, given


if __name__ == "__main__":
    sys.exit(main())
