#!/usr/bin/env python3
"""Is nothing charged, captured or refunded twice when the database is put back to a copy some minutes old?

Payments of every kind live on after the copy was made; the CMS then asks for everything again under the same ids.

Prints counts and promises, writes them to bench/results/restore_under_fire.txt, and fails when a promise is broken.
About fifteen minutes on two cores.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.parts.circumstances import ROOT
from tests.chaos.fire.report import conclude
from tests.chaos.fire.restore import Restored, run_restore
from tests.support.sandbox import Sandbox

#: Where the tables go.
RESULT = ROOT / "bench" / "results" / "restore_under_fire.txt"


def main() -> int:
    """Run it, and say by the exit code whether every promise was kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--payments", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--before-seconds", type=float, default=90.0, help="how long they live before the copy")
    parser.add_argument("--forgotten-seconds", type=float, default=180.0, help="how old the copy is when it comes back")
    parser.add_argument("--seconds", type=float, default=900.0, help="what is unanswered then has failed")
    parser.add_argument("--output", type=Path, default=RESULT)
    options = parser.parse_args()
    size = Restored(options.payments, options.seed, options.before_seconds, options.forgotten_seconds, options.seconds)
    with tempfile.TemporaryDirectory(prefix="nestcms-restore-", ignore_cleanup_errors=True) as directory:
        sandbox = Sandbox(Path(directory)).start()
        try:
            findings = run_restore(Path(directory), sandbox, size)
        finally:
            sandbox.stop()
    title = f"{options.payments} payments, the database put back by {options.forgotten_seconds:g} seconds"
    return conclude(findings, f"{title}, seed {options.seed}", options.output)


if __name__ == "__main__":
    sys.exit(main())
