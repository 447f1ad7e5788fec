"""`nestcms-workers retention`: see what is kept about people and for how long, and forget what has come of age now.

The schedule does the same by itself. The database is enough for it: no broker, no worker and no PayTabs.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click
from pymongo.errors import PyMongoError
from rich.console import Console, RenderableType
from rich.table import Table

from config.addresses import hosts
from config.redaction import redact_text
from payments.retention import Retention
from tasks.publishing import leave_to_sweeps
from tasks.retaining import make_retention
from tasks.wiring import build_world
from workers.cli_audit_entry import by_option, reason_option
from workers.cli_enqueue import to_text
from workers.cli_errors import database_silent
from workers.cli_payment import wide
from workers.cli_settings import client_settings
from workers.cli_world import acting

Json = Mapping[str, Any]


@click.group()
def retention() -> None:
    """See how long what is about people is kept, and forget what has come of age."""


@retention.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(*, as_json: bool) -> None:
    """Show for each collection what has come of age, what is as old and still open, and the oldest that waits."""
    with keeper() as kept:
        rows = [{**row, "oldest": row["oldest"] and row["oldest"].isoformat()} for row in kept.status()]
    if as_json:
        click.echo(to_text(rows))
    else:
        wide(Console()).print(status_table(rows))


@retention.command()
@reason_option()
@by_option()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def run(*, reason: str, by: str, as_json: bool) -> None:
    """Forget now what has come of age: bodies, headers and callers' words; references, amounts and times stay.

    It can be stopped and run again at any time, also beside the schedule. What is forgotten is gone for good.
    """
    with keeper() as kept:
        done = kept.run_as_asked(acting(by), redact_text(reason)).to_json()
    if as_json:
        click.echo(to_text(done))
        return
    counts = ", ".join(f"{count} in {name}" for name, count in done["redacted"].items())
    click.echo(f"Redacted {counts}; {done['held']} held back for open cases.")


@contextlib.contextmanager
def keeper() -> Iterator[Retention]:
    """Give who forgets.

    Raises:
        ServerSilent: the database does not answer.
    """
    settings = client_settings(["mongo_uri"])
    world = build_world(settings, send=leave_to_sweeps)
    try:
        yield make_retention(world)
    except PyMongoError as error:
        raise database_silent(hosts(settings.mongo_uri or ""), error) from error
    finally:
        world.close()


def status_table(rows: Sequence[Json]) -> RenderableType:
    """Lay out what is kept, one collection a line."""
    table = Table(title="What may be about people (UTC)", title_justify="left")
    table.add_column("collection", no_wrap=True)
    for name in ("kept for days", "come of age", "open", "redacted"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("oldest that waits", no_wrap=True)
    for row in rows:
        counts = (f"{row['age_days']:g}", *(str(row[name]) for name in ("due", "open", "redacted")))
        table.add_row(row["collection"], *counts, str(row["oldest"] or "-")[:19])
    return table
