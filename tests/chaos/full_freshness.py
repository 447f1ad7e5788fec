#!/usr/bin/env python3
"""How long does a payment that a plain MongoDB client writes take to show, with three mongods and a watcher that dies?

The real watcher and worker, a three-node set. Payments are written one after the other; each is waited for in both
answers and in the stored view. The watcher is killed with SIGKILL and started again in the midst of it. Fails when a
payment is lost, or when the 95th percentile of those that no kill hit is over two seconds.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from pymongo import MongoClient

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.parts.circumstances import ROOT, circumstances
from bench.parts.figures import milliseconds, summary, table
from config.connections import mongo_client
from tests.support.freshness import Freshness, Shop
from tests.support.system import System, system_settings
from workers.stack import EmbeddedMongo, EmbeddedValkey
from workers.stack_binaries import find_binary

#: The most that the 95th percentile may be, in seconds.
TARGET_SECONDS = 2.0

#: Where the figures go.
RESULT = ROOT / "bench" / "results" / "freshness.txt"


def main() -> int:
    """Measure, and say by the exit code whether the promise was kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--payments", type=int, default=200)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--output", type=Path, default=RESULT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nestcms-fresh-", ignore_cleanup_errors=True) as home:
        found, hit = run(Path(home), options.payments, options.kills)
    rows = [
        [name, *map(milliseconds, summary(seconds))]
        for name, seconds in (
            ("payments_summary", found.summary),
            ("contract_balance", found.balance),
            ("the stored view", found.stored),
            ("payments_summary, the watcher killed", hit.summary),
        )
        if seconds
    ]
    worst = max(summary(seconds)[1] for seconds in (found.summary, found.balance))
    lines = [
        f"# Freshness of {options.payments} payments written by a plain client, {options.kills} kills of the watcher",
        "",
        *table(["from the acknowledged write until", "median", "p95", "most"], rows),
        "",
        f"Target: p95 of both answers under {TARGET_SECONDS:g} s; none lost: every payment was waited for and counted.",
        "",
        *circumstances([find_binary("mongod"), find_binary("valkey-server")]),
    ]
    options.output.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))  # noqa: T201 - the figures are what this is for
    return 0 if worst <= TARGET_SECONDS else 1


def run(home: Path, payments: int, kills: int) -> tuple[Freshness, Freshness]:
    """Write and wait; return the times of those that no kill hit, and of the others."""
    found, hit = Freshness(), Freshness()
    with EmbeddedMongo(home / "mongo", members=3) as mongo, EmbeddedValkey(home / "valkey") as valkey:
        settings = system_settings(
            mongo_uri=mongo.uri, redis_url=valkey.url, sandbox_url="http://127.0.0.1:9", directory=home
        )
        plain: MongoClient[dict[str, Any]] = MongoClient(mongo.uri, tz_aware=True)
        with System(settings, ("watcher", "worker-reads", "beat")) as system, plain, mongo_client(settings) as client:
            shop = Shop(plain[settings.mongo_database], client[settings.mongo_database])
            shop.pay(Freshness())  # the first one waits for the views to be built
            for number in range(payments):
                killed = kills and number % max(1, payments // kills) == payments // kills // 2
                if killed:
                    system.kill("watcher")
                    shop.write()
                    system.restart("watcher")
                shop.pay(hit if killed else found)
    return found, hit


if __name__ == "__main__":
    sys.exit(main())
