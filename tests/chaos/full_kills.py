#!/usr/bin/env python3
"""Does each of 200 refunds happen exactly once while workers, Valkey and the primary of three mongods are killed?

Prints counts and promises, writes them to bench/results/refunds_under_kills.txt, and fails when a promise is broken.
About three minutes on two cores.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.parts.circumstances import ROOT
from tests.chaos.fire.refunds import Ordeal, run_refunds
from tests.chaos.fire.report import conclude
from tests.support.sandbox import Sandbox

#: Where the tables go.
RESULT = ROOT / "bench" / "results" / "refunds_under_kills.txt"


def main() -> int:
    """Run it, and say by the exit code whether every promise was kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--refunds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=900.0, help="what is unfinished then has failed")
    parser.add_argument("--output", type=Path, default=RESULT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nestcms-fire-", ignore_cleanup_errors=True) as directory:
        sandbox = Sandbox(Path(directory)).start()
        try:
            findings = run_refunds(
                Path(directory), sandbox, Ordeal(options.refunds, seed=options.seed, seconds=options.seconds)
            )
        finally:
            sandbox.stop()
    title = f"{options.refunds} refunds while everything is killed, seed {options.seed}"
    return conclude(findings, title, options.output)


if __name__ == "__main__":
    sys.exit(main())
