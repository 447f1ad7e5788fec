"""`nestcms-workers seed`: CMS-shaped data to try things on; it stops at data that is there, and at a real server."""

import contextlib
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import click
from pymongo.database import Database
from pymongo.errors import PyMongoError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from aggregations.index_facts import CMS_COLLECTIONS
from config.addresses import hosts
from config.connections import database, mongo_client
from config.settings import Settings
from workers.cli_audit_entry import by_option, operator_action, reason_option
from workers.cli_errors import RunFileStale, database_silent
from workers.cli_run_file import RunFile
from workers.cli_settings import client_settings
from workers.cli_shell import CommandUnusable
from workers.seed_plan import ENDS, LARGEST_SCALE, SeedPlan
from workers.seed_writing import write

#: The most processes that make documents; more than a few only wait for the server.
MOST_PROCESSES = 4

#: The CMS's own unique indexes, as Mongoose makes them from its schema.
UNIQUE_FIELDS = ("username", "phone")


class Scale(click.FloatRange):
    """A number within a range, to which NaN does not belong; click compares, and NaN is neither below nor above."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - as click has it
        """Read a scale."""
        scale = super().convert(value, param, ctx)
        if math.isnan(scale):
            self.fail(f"{value} is no scale.", param, ctx)
        return scale


@click.command()
@click.option("--scale", type=Scale(min=0, max=LARGEST_SCALE, min_open=True), required=True,
              help="1 is 10,000 users, 50,000 projects, 500,000 payments; 0.001 a thousandth of it.")  # fmt: skip
@click.option(
    "--seed", type=click.IntRange(min=0, max=2**31), default=1, show_default=True, help="Other data with each."
)
@click.option("--ends", type=click.DateTime(["%Y-%m-%d"]), default=f"{ENDS}", show_default=True,
              help="Nothing is younger than this day.")  # fmt: skip
@click.option("--processes", type=click.IntRange(min=1, max=64), default=min(os.cpu_count() or 1, MOST_PROCESSES),
              show_default="as many as cores, at most 4", help="How many make documents at once.")  # fmt: skip
@click.option("--into-existing", is_flag=True, help="Write although the CMS's collections have documents.")
@click.option("--yes-into", metavar="DATABASE", help="Needed where MONGO_URI is set: the name of the database to fill.")
@reason_option(default="sample data")
@by_option()
def seed(
    *,
    scale: float,
    seed: int,
    ends: datetime,
    processes: int,
    into_existing: bool,
    yes_into: str | None,
    reason: str,
    by: str,
) -> None:
    """Fill a database with users, contracts, projects, payments, notes, permissions and earnings as the CMS has them.

    The same seed, scale and end give the same documents, ids included. A few are awkward on purpose: missing fields,
    amounts that are no numbers, references to what was deleted. The database is that of the `up` that runs in this
    folder; one that MONGO_URI names has to be named a second time with --yes-into.
    """
    settings = client_settings(["mongo_uri"])
    require_named(settings, yes_into)
    plan = SeedPlan(scale, seed, ends.date())
    given = {"scale": scale, "seed": seed, "ends": str(plan.ends), "into_existing": into_existing}
    with answering(settings), mongo_client(settings) as client:
        db = database(client, settings)
        require_empty(db, into_existing=into_existing)
        arguments = {**given, "database": settings.mongo_database}
        with operator_action(settings, command="seed", by=by, reason=reason, arguments=arguments) as action:
            began = time.monotonic()
            written = fill(settings, db, plan, processes, Console(stderr=True))
            action.outcome = told(written, plan, time.monotonic() - began)
    click.echo(action.outcome)


def fill(
    settings: Settings, db: Database[dict[str, object]], plan: SeedPlan, processes: int, console: Console
) -> Counter[str]:
    """Write a plan's documents, with a bar, and the indexes that Mongoose would have made."""
    if db["users"].find_one({}, {"_id": 1}) is None:
        for name in UNIQUE_FIELDS:
            db["users"].create_index(name, unique=True)
    with _bar(console, plan.documents) as advance:
        return write(settings, plan, processes=processes, tell=advance)


def require_named(settings: Settings, named: str | None) -> None:
    """Refuse a server of the caller's own unless the database was named.

    Raises:
        CommandUnusable: it was not, or another was.
    """
    if named is not None and named != settings.mongo_database:
        raise CommandUnusable(f"--yes-into names {named}, but the database would be {settings.mongo_database}.")
    if named is None and not _is_embedded(settings):
        raise CommandUnusable(
            f"MONGO_URI is set: nothing is written to {hosts(settings.mongo_uri or '')} unless its database is named, "
            f"as in --yes-into {settings.mongo_database}; unset it to use the one that 'nestcms-workers up' starts."
        )


def require_empty(db: Database[dict[str, object]], *, into_existing: bool) -> None:
    """Refuse a database in which the CMS has documents, unless told otherwise.

    Raises:
        CommandUnusable: it has.
    """
    filled = [name for name in CMS_COLLECTIONS if db[name].find_one({}, {"_id": 1}) is not None]
    if filled and not into_existing:
        raise CommandUnusable(
            f"The database {db.name} has documents of the CMS already ({', '.join(filled)}): nothing was written. "
            "Name another with MONGO_DATABASE, or add to them with --into-existing."
        )


def told(written: Counter[str], plan: SeedPlan, seconds: float) -> str:
    """Say what was written and how fast."""
    counts = ", ".join(f"{count:,} {name}" for name, count in sorted(written.items()))
    known = plan.documents - written.total()
    there = f" {known:,} were there already." if known else ""
    speed = f"in {seconds:.1f} s, {written.total() / seconds:,.0f} a second"
    return f"Wrote {written.total():,} documents {speed}: {counts}.{there}"


@contextlib.contextmanager
def answering(settings: Settings) -> Iterator[None]:
    """Turn a database that does not answer into a sentence.

    Raises:
        ServerSilent: it does not.
    """
    try:
        yield
    except PyMongoError as error:
        raise database_silent(hosts(settings.mongo_uri or ""), error) from error


def _is_embedded(settings: Settings) -> bool:
    """Tell whether the database is the one that the `up` of this folder started for itself."""
    try:
        run = RunFile(settings.local_dir).read()
    except RunFileStale:
        return False
    own = run is not None and run.addresses.get("MongoDB", "").endswith("(embedded)")
    return own and run is not None and run.settings.get("mongo_uri") == settings.mongo_uri


@contextlib.contextmanager
def _bar(console: Console, total: int) -> Iterator[Callable[[int], None]]:
    columns = (TextColumn("documents"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bars:
        task = bars.add_task("documents", total=total)
        yield lambda done: bars.advance(task, done)
