#!/usr/bin/env python3
"""How fast are heavy reads, beside the CMS's pipelines as they run today?

On one database with seeded data: today's pipelines and ours in turn, without our indexes (hidden from the server, so
that nothing else differs), ours with them, and the runner's remembered answers. Then what the indexes cost a writer.
"""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.parts.bars import bars
from bench.parts.circumstances import ROOT
from bench.parts.inserts import insert_rates
from bench.parts.reads import examined, timed_rounds
from bench.parts.reads_desk import reads_desk
from bench.parts.reads_report import chart, report
from bench.parts.reads_targets import Figures, missed

#: Where the table and the chart go.
RESULT = ROOT / "bench" / "results" / "aggregations.txt"

#: What the bars stand for.
SERIES = ("today", "ours, no index", "indexed", "cached")


def measure(scale: float, rounds: int) -> Figures:
    """Seed, and take all figures."""
    with reads_desk(scale, processes=os.cpu_count() or 1) as desk:
        sys.stderr.write(f"seeded {desk.plan.documents:,} documents\n")
        times = timed_rounds(desk, rounds, tell=lambda number: sys.stderr.write(f"round {number} of {rounds}\n"))
        counted = examined(desk)
        rates = insert_rates(desk, rounds)
    return Figures(desk.plan, rounds, times, counted, rates)


def main() -> int:
    """Measure and write; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="of the seeded data (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=20, help="how often each is measured (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULT, help="the file for the table (default: %(default)s)")
    options = parser.parse_args()
    figures = measure(options.scale, options.rounds)
    text = report(figures)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(text)
    title = f"Heavy reads at scale {options.scale:g}, median milliseconds on a logarithmic scale"
    options.output.with_suffix(".svg").write_text(bars(title, SERIES, chart(figures)))
    sys.stdout.write(text)
    return 1 if missed(figures) else 0


if __name__ == "__main__":
    sys.exit(main())
