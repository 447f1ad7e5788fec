#!/usr/bin/env python3
"""Does a broker that is killed, demoted and filled end no process and lose no message: fifty troubles under load?

Prints counts and promises, writes them to bench/results/brokers.txt, and fails when a promise is broken. About five
minutes on two cores.
"""

import argparse
import random
import sys
import tempfile
from collections import Counter
from itertools import cycle, islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.parts.circumstances import ROOT
from tests.chaos.brokers import TROUBLES, Found, suffer, tried_valkey
from tests.chaos.fire.report import Findings, Line, conclude
from tests.chaos.stage import staged
from tests.support.sandbox import Sandbox

#: Where the tables go.
RESULT = ROOT / "bench" / "results" / "brokers.txt"

#: Everything that talks to the broker.
PROCESSES = ("worker-money", "worker-events", "worker-reads", "beat", "watcher", "receiver")


def findings(found: Found) -> Findings:
    """Say what was promised and what came of it."""
    took = f"{found.taken} taken, {found.refused} refused while it was in trouble"
    return Findings(
        [
            Line("no process ends", f"{len(found.ended)} ended", found.ended),
            Line("every message that the broker took is begun", took, found.lost),
            Line("every message is acknowledged", f"{found.left} in hand", ["some"] if found.left else []),
        ],
        {"trouble": dict(found.done), "seconds": Counter({"until all was begun and acknowledged": int(found.seconds)})},
    )


def main() -> int:
    """Run it, and say by the exit code whether every promise was kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--troubles", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=RESULT)
    options = parser.parse_args()
    names = list(islice(cycle(TROUBLES), options.troubles))
    random.Random(options.seed).shuffle(names)  # noqa: S311 - draws an order
    with tempfile.TemporaryDirectory(prefix="nestcms-brokers-", ignore_cleanup_errors=True) as directory:
        sandbox = Sandbox(Path(directory)).start()
        try:
            for stage in staged(
                Path(directory), sandbox, 1, workers=2, processes=PROCESSES, broker=tried_valkey
            ):  # fmt: skip
                found = suffer(stage, names, options.seed)
        finally:
            sandbox.stop()
    title = f"A broker in trouble {options.troubles} times under load, seed {options.seed}"
    return conclude(findings(found), title, options.output)


if __name__ == "__main__":
    sys.exit(main())
