"""`nestcms-workers audit`: verify the trail, seal it now, and look at what it holds."""

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from pymongo.database import Database
from pymongo.errors import PyMongoError
from rich.console import Console, Group
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from config.addresses import hosts
from config.connections import database, mongo_client
from config.settings import Settings
from observability.alerts import Alerts
from payments.audit import Audit
from payments.audit_entries import ACCEPT, AuditEntries
from payments.database_clock import DatabaseClock
from payments.errors import SealsDiffer
from payments.seal_file import SealFile
from payments.seal_store import OWN, SealStore
from tasks.auditing import make_sealer, seal_file
from workers.cli_audit_entry import by_option, operator_action, reason_option
from workers.cli_audit_tables import entries_table, seals_table, told
from workers.cli_enqueue import to_text
from workers.cli_errors import CopyUnreadable, EventNotLate, SealsApart, database_silent
from workers.cli_payment import wide
from workers.cli_settings import client_settings
from workers.cli_shell import FAILED

Json = dict[str, Any]

#: An event's id.
EVENT_ID = re.compile(r"[0-9a-f]{24}-[1-9][0-9]*")

#: How long `audit seal` goes on sealing a backlog, in seconds.
SEALING_SECONDS = 600.0


def check_event(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """Take an event's id only."""
    if not EVENT_ID.fullmatch(value):
        raise click.BadParameter(f"expected a payment's id, a dash and a version, got {value!r}")
    return value


@click.group()
def audit() -> None:
    """Verify that nobody has changed what happened, and see what operators did."""


@audit.command()
@click.option(
    "--file", "path", type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The seals' copy; AUDIT_SEAL_FILE's, if left out.",
)  # fmt: skip
@click.option("--no-file", is_flag=True, help="Compare the seals with no copy outside the database.")
@click.option("--json", "as_json", is_flag=True, help="Print all that was found as JSON, without a progress bar.")
@click.pass_context
def verify(context: click.Context, *, path: Path | None, no_file: bool, as_json: bool) -> None:
    """Verify the whole trail, and name the first place at which it is broken.

    Every payment's chain of events, the operators' entries, the seals, the seals' copy outside the database, and the
    events that each seal covers. Ends with exit code 1 when anything is not as it was written.
    """
    settings = client_settings(["mongo_uri"])
    file = None if no_file else (SealFile(path) if path else seal_file(settings))
    with trail(settings) as db, looking(db, disable=as_json) as progress:
        try:
            report = Audit(db, file, progress).verify()
        except OSError as error:
            raise CopyUnreadable(str(file.path) if file else "", error.strerror or type(error).__name__) from error
    click.echo(to_text(report.to_json()) if as_json else told(report, file))
    context.exit(0 if report.whole else FAILED)


@audit.command("seal")
@click.option("--json", "as_json", is_flag=True, help="Print the seals as JSON.")
def seal_now(*, as_json: bool) -> None:
    """Seal now what is old enough, and bring the seals' copy outside the database up to date.

    Beat does the same every minute.
    """
    settings = client_settings(["mongo_uri"])
    with trail(settings) as db:
        clock = DatabaseClock(db)
        sealer = make_sealer(settings, db, clock, Alerts(db, clock=clock).raise_alert)
        sealer.ensure_indexes()
        try:
            made = sealer.seal(SEALING_SECONDS)
        except SealsDiffer as error:
            raise SealsApart(str(error)) from error
    if as_json:
        click.echo(to_text([seal.model_dump() for seal in made]))
    else:
        for seal in made:
            click.echo(f"Seal {seal.n} covers {seal.count} events up to {seal.horizon}: {seal.hash}")
        if not made:
            click.echo("Nothing is old enough to be sealed.")


@audit.command()
@click.argument("event_id", metavar="EVENT", callback=check_event)
@reason_option()
@by_option()
def accept(*, event_id: str, reason: str, by: str) -> None:
    """Accept EVENT, such as 65f0c0ffee65f0c0ffee65f0-3, which came late, so that `audit verify` only notes it.

    An event comes late when it was committed after it should have been sealed, or when somebody has put it in: accept
    it only once you know which.
    """
    with trail(client_settings(["mongo_uri"])) as db:
        mark = SealStore(db).late(event_id)
        if mark is None:
            raise EventNotLate(event_id)
        given = {"mark": str(mark), "payment_id": mark.payment_id}
        with operator_action(db, command=ACCEPT, by=by, reason=reason, arguments=given):
            pass  # that it is written down is the act
    click.echo(f"Accepted {event_id}.")


@audit.command("list")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 10_000), help="How many, newest first.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_trail(*, limit: int, as_json: bool) -> None:
    """List what operators did, and the newest seals."""
    with trail(client_settings(["mongo_uri"])) as db:
        entries, seals = AuditEntries(db).last(limit), SealStore(db).newest(limit)
    if as_json:
        click.echo(to_text({"entries": [_plain(one) for one in entries], "seals": [_plain(one) for one in seals]}))
    else:
        wide(Console()).print(Group(entries_table(entries), seals_table(seals)))


@contextlib.contextmanager
def trail(settings: Settings) -> Iterator[Database[Json]]:
    """Give the database of the trail.

    Raises:
        ServerSilent: it does not answer.
    """
    try:
        with mongo_client(settings) as client:
            yield database(client, settings)
    except PyMongoError as error:
        raise database_silent(hosts(settings.mongo_uri or ""), error) from error


@contextlib.contextmanager
def looking(db: Database[Json], *, disable: bool) -> Iterator[Callable[[str, int], None]]:
    """Show how far the audit has come."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    total = db["payment_events"].estimated_document_count()
    with Progress(*columns, console=Console(stderr=True), disable=disable) as bar:
        steps: dict[str, TaskID] = {}

        def advance(name: str, by: int) -> None:
            if name not in steps:
                steps[name] = bar.add_task(name, total=total)
            bar.advance(steps[name], by)

        yield advance


def _plain(found: Json) -> Json:
    return {name: value for name, value in found.items() if name not in OWN}
