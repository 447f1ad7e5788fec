#!/usr/bin/env python3
"""Do both ledgers agree after 1,000 payments and 300 follow-ups of which a third of all calls goes wrong?

One worker of three is on a machine whose clock is wrong in every way. Meanwhile the broker is killed, loads, is
demoted, full or cannot save, all processes are replaced one by one, the CMS's payments are away for a moment, and the
database's password is another one for a while.

Prints counts and promises, writes them to bench/results/money_under_fire.txt, and fails when a promise is broken.
What has not come to its end after `--seconds` has failed.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.parts.circumstances import ROOT
from tests.chaos.fire.mishaps import MISHAPS
from tests.chaos.fire.money import Size, run_money
from tests.chaos.fire.report import conclude
from tests.support.sandbox import Sandbox

#: Where the tables go.
RESULT = ROOT / "bench" / "results" / "money_under_fire.txt"


#: How often the clock of one worker's machine is put an hour ahead, an hour behind, and elsewhere, and how long servers
#: and processes are left alone between two mishaps.
CLOCK_SECONDS, PAUSE_SECONDS = 20.0, 15.0


def main() -> int:
    """Run it, and say by the exit code whether every promise was kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--payments", type=int, default=1000)
    parser.add_argument("--follow-ups", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=2400.0, help="what is unfinished then has failed")
    parser.add_argument("--mishaps", nargs="*", choices=list(MISHAPS), default=list(MISHAPS))
    parser.add_argument("--pause-seconds", type=float, default=PAUSE_SECONDS, help="between two mishaps")
    parser.add_argument("--output", type=Path, default=RESULT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nestcms-fire-", ignore_cleanup_errors=True) as directory:
        sandbox = Sandbox(Path(directory)).start()
        try:
            findings = run_money(
                Path(directory),
                sandbox,
                Size(
                    options.payments,
                    options.follow_ups,
                    options.seed,
                    workers=3,
                    seconds=options.seconds,
                    clock_seconds=CLOCK_SECONDS,
                    mishaps=tuple(options.mishaps),
                    pause_seconds=options.pause_seconds,
                ),
            )
        finally:
            sandbox.stop()
    title = f"{options.payments} payments and {options.follow_ups} follow-ups under fire, seed {options.seed}"
    return conclude(findings, title, options.output)


if __name__ == "__main__":
    sys.exit(main())
