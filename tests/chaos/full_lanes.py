#!/usr/bin/env python3
"""Are callers served while a version with other queues takes over, whoever sends and whoever works?

Prints promises, writes them to bench/results/lanes.txt, and fails when one is broken. About a minute on two cores.
Needs a clone with its history: the earlier version is taken from there.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.parts.circumstances import ROOT
from tests.chaos.fire.lanes import run_lanes
from tests.chaos.fire.report import conclude
from tests.chaos.fire.versions import unpack
from tests.support.sandbox import Sandbox

#: The last version that had one queue for all callers.
BEFORE = "0423a63"

#: Where the tables go.
RESULT = ROOT / "bench" / "results" / "lanes.txt"


def main() -> int:
    """Run it, and say by the exit code whether every promise was kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", default=BEFORE, help="the earlier version's commit")
    parser.add_argument("--payments", type=int, default=10)
    parser.add_argument("--output", type=Path, default=RESULT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nestcms-lanes-", ignore_cleanup_errors=True) as directory:
        before = unpack(options.before, Path(directory) / "code")
        sandbox = Sandbox(Path(directory)).start()
        try:
            findings = run_lanes(Path(directory), sandbox, before, ROOT, options.payments)
        finally:
            sandbox.stop()
    return conclude(findings, f"queues of {options.before} and of today's version", options.output)


if __name__ == "__main__":
    sys.exit(main())
