#!/usr/bin/env python3
"""Do payments survive a deployment: the version before alone, its workers beside today's, today's alone?

Prints counts and promises, writes them to bench/results/versions.txt, and fails when a promise is broken. About three
minutes on two cores. Needs a clone with its history: the earlier version is taken from there.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.parts.circumstances import ROOT
from tests.chaos.fire.report import conclude
from tests.chaos.fire.versions import Upgrade, run_upgrade, unpack
from tests.support.sandbox import Sandbox

#: The last version whose cases were sentences and whose pages had no end.
BEFORE = "2831c44"

#: Where the tables go.
RESULT = ROOT / "bench" / "results" / "versions.txt"


def main() -> int:
    """Run it, and say by the exit code whether every promise was kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", default=BEFORE, help="the earlier version's commit")
    parser.add_argument("--payments", type=int, default=90)
    parser.add_argument("--follow-ups", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=RESULT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nestcms-versions-", ignore_cleanup_errors=True) as directory:
        before = unpack(options.before, Path(directory) / "code")
        sandbox = Sandbox(Path(directory)).start()
        try:
            size = Upgrade(options.payments, options.follow_ups, options.seed)
            findings = run_upgrade(Path(directory), sandbox, before, size)
        finally:
            sandbox.stop()
    title = f"{options.payments} payments from {options.before} to today's version, seed {options.seed}"
    return conclude(findings, title, options.output)


if __name__ == "__main__":
    sys.exit(main())
