"""`nestcms-workers events replay`: the difference between what stands and what the events come to, and its mending."""

import math
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager, nullcontext
from datetime import datetime
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from payments.errors import InvalidArgument, ReplayTaken
from payments.replay_acts import begin, carry_out, check, told
from payments.replay_pieces import Piece, ReplayParts
from payments.replay_scan import Span
from payments.replay_views import differs, view_replay
from payments.replaying import Replayer, ReplayTerms
from tasks.replaying import helpers
from tasks.wiring import World, utc_now
from workers.cli_audit_entry import by_option, worded
from workers.cli_enqueue import to_text
from workers.cli_errors import ReplayUnusable
from workers.cli_payment import wide
from workers.cli_settings import client_settings
from workers.cli_shell import FAILED
from workers.cli_times import Moment
from workers.cli_world import acting, opened_world

Json = Mapping[str, Any]

#: The most processes that are used unasked.
MOST_PROCESSES = 4


@click.command()
@click.argument("projection", metavar="PROJECTION")
@click.option("--from", "since", type=Moment(), metavar="TIME", help="Only payments with an event recorded since then.")
@click.option("--to", "until", type=Moment(), metavar="TIME", help="Only payments with an event recorded before then.")
@click.option("--dry-run", is_flag=True, help="Show the difference and mend nothing.")
@click.option("--resume", "replay_id", metavar="ID", help="Go on with a replay that was interrupted.")
@click.option("--processes", default=min(os.cpu_count() or 1, MOST_PROCESSES), show_default=True, metavar="NUMBER",
              type=click.IntRange(1, 32), help="How many processes fold and compare.")  # fmt: skip
@by_option()
@click.option("--reason", callback=worded, help="Why; it is kept. Needed unless --dry-run or --resume.")
@click.option("--json", "as_json", is_flag=True, help="Print the replay as JSON, without a progress bar.")
@click.pass_context
def replay(
    ctx: click.Context, *, projection: str, since: datetime | None, until: datetime | None, dry_run: bool,
    replay_id: str | None, processes: int, by: str, reason: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Compute PROJECTION again from the stored events, show the difference, and mend it.

    Projections: `cms_payments` (status, transR and gateway of the CMS's payments), `contracts` (their statuses).
    Documents are mended one by one and only where they differ; nobody is told anything. Payments may be made
    meanwhile. Ends with 0 when all is as the events have it, with 1 when something is not.
    """
    if replay_id and (since or until or dry_run):
        raise click.UsageError("--resume goes on with the replay as it was begun: leave out --from, --to and --dry-run")
    terms = ReplayTerms(projection, Span(since, until), dry_run, by, reason)
    if replay_id is None:
        with _as_usage():
            check(terms)
    settings = client_settings(["mongo_uri"])
    # Helpers come first: they must not inherit a connection.
    helping = helpers(settings, processes, utc_now) if processes > 1 else nullcontext()
    with helping as helpers_or_none, opened_world(settings) as world:
        replayer = Replayer(ReplayParts(world.db, world.ledger, world.clock, helpers_or_none))
        named = _named(replayer, terms, replay_id)
        row = _gone_through(world, replayer, named, terms, quiet=as_json)
    _print(row, as_json=as_json)
    ctx.exit(FAILED if differs(row) else 0)


def _named(replayer: Replayer, terms: ReplayTerms, replay_id: str | None) -> str:
    """Begin a replay, or find the one to go on with; return its id."""
    with _as_usage():
        if replay_id is None:
            return begin(replayer, terms)
        begun = replayer.row(replay_id)["projection"]
    if begun != terms.projection:
        raise click.UsageError(f"{replay_id} is a replay of {begun}, not of {terms.projection}")
    return replay_id


@contextmanager
def _as_usage() -> Iterator[None]:
    """Tell a mistake in what was asked for in the words in which the task tells it."""
    try:
        yield
    except InvalidArgument as error:
        option = "--" if error.field == "reason" else ""
        raise click.UsageError(f"{option}{error}") from error


def _gone_through(
    world: World, replayer: Replayer, replay_id: str, terms: ReplayTerms, *, quiet: bool
) -> dict[str, Any]:
    """Replay to the end under a progress bar.

    Raises:
        ReplayUnusable: somebody else goes on with it, or a helper has died; says how to go on.
    """
    columns = (TextColumn("Replaying events"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as bar:
        done = replayer.row(replay_id)["counts"].get("events", 0)
        step = bar.add_task("", total=replayer.total(replay_id), completed=done)

        def watch(piece: Piece) -> None:
            bar.advance(step, piece.events)

        try:
            return carry_out(
                replayer, world.trail, replay_id, acting(terms.by or ""), reason=terms.reason, seconds=math.inf,
                watch=watch,
            )  # fmt: skip
        except ReplayTaken as error:
            raise ReplayUnusable(replay_id, "somebody else goes on with it at this moment") from error
        except BrokenExecutor as error:
            how = f"one of its processes was killed; to go on: --resume {replay_id}"
            raise ReplayUnusable(replay_id, how) from error
        except KeyboardInterrupt:
            click.echo(f"Interrupted; to go on: --resume {replay_id}", err=True)
            raise


def _print(row: Json, *, as_json: bool) -> None:
    if as_json:
        click.echo(to_text(view_replay(row)))
        return
    if row["samples"]:
        wide(Console()).print(_table(row))
    click.echo(f"Replay {row['_id']} of {row['projection']}: {told(row)}.")


def _table(row: Json) -> Table:
    """Lay out the first differences, one member a line."""
    what = "would be mended" if row["dry_run"] else "was mended"
    title = f"What {what} (the first {len(row['samples'])} documents)"
    table = Table("document", "member", "found", "expected", title=title, title_justify="left")
    for one in row["samples"]:
        name = str(one["document_id"])
        for member, found, expected in one["fields"]:
            table.add_row(name, Text(member), Text(found), Text(expected))
            name = ""
    return table
