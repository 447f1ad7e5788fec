"""`nestcms-workers alerts`: what operators have to know, and saying that one of them has been dealt with.

An alert closes by itself where its cause can be seen to be gone. Of the others only a person knows, who says so here
with a reason. A payment in review is closed by settling its case: closing the alert alone would hide it.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from config.settings import Settings
from observability.alerts import Alerts
from payments.projections import REVIEW_ALERT
from workers.cli_audit_entry import by_option, operator_action, reason_option
from workers.cli_dead_letters import moment
from workers.cli_enqueue import to_text
from workers.cli_errors import AlertUnusable
from workers.cli_payment import wide
from workers.cli_settings import client_settings
from workers.cli_world import opened_database

Row = Mapping[str, Any]


@click.group()
def alerts() -> None:
    """Look at alerts, and close those that were dealt with."""


@alerts.command("list")
@click.option("--all", "everything", is_flag=True, help="List those that are closed as well.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10_000), help="How many, newest first.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_alerts(*, everything: bool, limit: int, as_json: bool) -> None:
    """List the open alerts, those seen last first."""
    with opened_alerts(client_settings(["mongo_uri"])) as kept:
        rows = kept.newest(closed=everything, limit=limit)
    if as_json:
        click.echo(to_text([plain(row) for row in rows]))
    elif not rows:
        click.echo("No alert is open." if not everything else "There has been no alert.")
    else:
        wide(Console()).print(alerts_table(rows))


@alerts.command()
@click.argument("alert", metavar="NAME:KEY")
@reason_option()
@by_option()
def close(*, alert: str, reason: str, by: str) -> None:
    """Close the open alert NAME:KEY, as `alerts list` shows it; raised anew, it is open again."""
    name, _, key = alert.partition(":")
    if name == REVIEW_ALERT:
        raise AlertUnusable(alert, "it closes when its cases are settled: see 'nestcms-workers review list'")
    settings = client_settings(["mongo_uri"])
    with opened_alerts(settings) as kept:
        if key not in kept.open_keys(name):
            raise AlertUnusable(alert, "no open alert is called so")
        acting = operator_action(settings, command="alerts close", by=by, reason=reason, arguments={"alert": alert})
        with acting as action:
            kept.resolve(name, key)
            action.outcome = "closed"
    click.echo(f"Closed {alert}.")


@contextlib.contextmanager
def opened_alerts(settings: Settings) -> Iterator[Alerts]:
    """Give the alerts.

    Raises:
        ServerSilent: the database does not answer.
    """
    with opened_database(settings) as found:
        yield Alerts(found, clock=lambda: datetime.now(UTC))


def alerts_table(rows: Sequence[Row]) -> RenderableType:
    """Lay out alerts, one a line."""
    table = Table(title="Alerts (UTC)", title_justify="left")
    table.add_column("alert", overflow="fold")
    for name in ("open since", "last seen", "closed"):
        table.add_column(name, no_wrap=True)
    table.add_column("times", justify="right", no_wrap=True)
    table.add_column("what it says", overflow="fold")
    for row in rows:
        closed = moment(row["closed_at"]) if row["closed_at"] else "-"
        times = (moment(row["opened_at"]), moment(row["last_seen_at"]), closed)
        table.add_row(Text(row["_id"], style="bold"), *times, str(row["count"]), Text(row["detail"]))
    return table


def plain(row: Row) -> dict[str, Any]:
    """Write an alert as JSON has it."""
    shown = {("id" if name == "_id" else name): value for name, value in row.items()}
    return {name: moment(value) if isinstance(value, datetime) else value for name, value in shown.items()}
