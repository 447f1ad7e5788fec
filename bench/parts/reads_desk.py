"""What heavy reads are measured on: a database with seeded data, a cache, and our indexes there or out of sight."""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from aggregations.index_facts import CMS_COLLECTIONS, read_indexes
from aggregations.index_plan import make_plan
from aggregations.index_sync import IndexBuilder
from aggregations.indexes import INDEXES
from config.connections import database, mongo_client
from config.settings import Settings
from tasks.publishing import leave_to_sweeps
from tasks.wiring import World, build_world
from tests.support.system import system_settings
from workers.seed_plan import SeedPlan
from workers.seed_questions import questions
from workers.seed_writing import write
from workers.stack import EmbeddedMongo, EmbeddedValkey

Document = dict[str, Any]

#: The database's cache: as much as the data of scale 1 needs, so that no disk is measured.
CACHE = "cache_size=1GB"

#: The index by which the events of a span of time are found; their store makes it.
EVENTS_INDEX = ("payment_events", "recorded")

#: How many charges the gateway has seen within the last days of the data, at scale 1.
CHARGES, CHARGE_DAYS = 30_000, 90


#: How long whatever is measured may take, in seconds.
PATIENCE_SECONDS = 300.0


@dataclass(frozen=True)
class ReadsDesk:
    """The running parts, and what they hold.

    Attributes:
        world: a worker's world on them, with a worker's time limits.
        db: the CMS's database, by a client that waits for whatever is measured.
        plan: what was seeded.
        now: the time that the data ends with.
    """

    world: World
    db: Database[Document]
    plan: SeedPlan
    now: datetime

    def ask(self, random: Random) -> dict[str, Document]:
        """Draw parameters for each aggregation; the gateway is asked about the last days that the data has."""
        since = (self.now - timedelta(days=30)).isoformat()
        return questions(self.plan, random) | {"gateway_performance": {"since": since, "days": 30}}

    def show_indexes(self, *, visible: bool) -> None:
        """Let the server use our indexes, or hide them from it: they are kept up to date either way."""
        for collection, name in (*((one.collection, one.name) for one in INDEXES.values()), EVENTS_INDEX):
            self.db.command("collMod", collection, index={"name": name, "hidden": not visible})


@contextlib.contextmanager
def reads_desk(scale: float, *, processes: int) -> Iterator[ReadsDesk]:
    """Start servers on an empty directory, seed them and build our indexes; stop them and leave nothing."""
    with contextlib.ExitStack() as parts:
        home = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="nestcms-bench-")))
        valkey = parts.enter_context(EmbeddedValkey(home / "valkey"))
        mongo = parts.enter_context(EmbeddedMongo(home / "mongo"))
        settings = system_settings(
            mongo_uri=mongo.uri, redis_url=valkey.url, sandbox_url="http://127.0.0.1:9", directory=home
        )  # fmt: skip
        with mongo_client(settings) as client:
            client.admin.command("setParameter", 1, wiredTigerEngineRuntimeConfig=CACHE)
        yield parts.enter_context(on_servers(settings, SeedPlan(scale), processes=processes))


@contextlib.contextmanager
def on_servers(settings: Settings, plan: SeedPlan, *, processes: int = 1) -> Iterator[ReadsDesk]:
    """Seed a plan into the servers of some settings and give a desk there."""
    now = datetime.combine(plan.ends, time(), UTC)
    with (
        contextlib.closing(build_world(settings, send=leave_to_sweeps)) as world,
        mongo_client(settings, timeout_seconds=PATIENCE_SECONDS) as patient,
    ):
        db = database(patient, settings)
        write(settings, plan, processes=processes)
        world.store.ensure_indexes()
        _write_charges(db, plan, now)
        found = read_indexes(db, CMS_COLLECTIONS)
        refused = IndexBuilder(db).sync(make_plan(INDEXES.values(), found), create_collections=True).refused
        if refused:
            raise SystemExit("\n".join(refused.values()))
        yield ReadsDesk(world, db, plan, now)


def _write_charges(db: Database[Document], plan: SeedPlan, now: datetime) -> None:
    """Write the events of charges, as far as heavy reads look at them; nobody replays these."""
    random, charges = Random(plan.seed), max(20, round(CHARGES * plan.scale))  # noqa: S311 - data, not secrets
    events = (event for number in range(charges) for event in _charge(number, charges, random, now))
    while batch := list(islice(events, 2_000)):
        db["payment_events"].insert_many(batch, ordered=False)


def _charge(number: int, charges: int, random: Random, now: datetime) -> Sequence[Document]:
    opened = now - timedelta(days=CHARGE_DAYS) * (charges - number) / charges
    ended = opened + timedelta(seconds=20 + random.random() * 600)
    reference, payment = f"TST26{number:011d}", ObjectId()
    status, code = random.choice((("A", "G00000"),) * 8 + (("D", "D305"), ("C", None)))
    page = {"tran_ref": reference, "cart_id": f"bench-{number}"}
    seen = {
        "tran_ref": reference, "status": status, "code": code, "tran_type": "sale", "previous_tran_ref": None,
        "amount": "115.00", "currency": "SAR",
    }  # fmt: skip
    return [
        {"payment_id": payment, "version": 1, "type": "PageOpened", "recorded_at": opened, "data": page},
        {"payment_id": payment, "version": 2, "type": "TransactionObserved", "recorded_at": ended, "data": seen},
    ]
