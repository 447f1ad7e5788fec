"""`nestcms-workers alerts`: what operators have to know, and saying that one of them has been dealt with.

An alert closes by itself where its cause can be seen to be gone. Of the others only a person knows, who says so here
with a reason. A payment in review is closed by settling its case: closing the alert alone would hide it.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import click
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from config.settings import Settings
from observability.alert_table import ALERTS
from observability.alerts import Alerts
from payments.database_clock import DatabaseClock
from workers.cli_audit_entry import by_option, operator_action, reason_option
from workers.cli_dead_letters import moment
from workers.cli_enqueue import to_text
from workers.cli_errors import AlertUnknown, AlertUnusable
from workers.cli_payment import wide
from workers.cli_settings import client_settings
from workers.cli_world import opened_database

Row = Mapping[str, Any]

#: What some members are called.
NAMED = {
    "opened_at": "open since", "last_seen_at": "last seen", "closed_at": "closed", "closed_by": "closed by",
    "closed_why": "closed because", "count": "times", "detail": "what it says", "means": "what it means",
    "closes": "it closes", "to_do": "what to do", "more": "listed last",
}  # fmt: skip

#: When an alert closes that is not in the table.
UNLISTED = "only by a person: this version does not know it"


@click.group()
def alerts() -> None:
    """Look at alerts, and close those that were dealt with."""


@alerts.command("list")
@click.option("--all", "everything", is_flag=True, help="List those that are closed as well.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10_000), help="How many, newest first.")
@click.option("--name", help="List those of one name only.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_alerts(*, everything: bool, limit: int, name: str | None, as_json: bool) -> None:
    """List the open alerts, those seen last first: how often and since when, and what to do."""
    with opened_alerts(client_settings(["mongo_uri"])) as kept:
        rows = kept.newest(closed=everything, limit=limit, name=name)
        counted = {str(found[0]["name"]): count for count, found in kept.oldest_of_each(1)}
    if as_json:
        click.echo(to_text([plain(row) for row in rows]))
    elif not rows:
        click.echo("No alert is open." if not everything else "There has been no alert.")
    else:
        wide(Console()).print(alerts_table(rows))
        if sum(counted.values()) > limit:
            click.echo("Open: " + ", ".join(f"{count} {one}" for one, count in counted.items()))


@alerts.command()
@click.argument("alert", metavar="NAME:KEY")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(*, alert: str, as_json: bool) -> None:
    """Show all that is known of the alert NAME:KEY: what it counted last, when it closes, and what to do."""
    with opened_alerts(client_settings(["mongo_uri"])) as kept:
        row = kept.rows.find_one({"_id": alert})
    if row is None:
        raise AlertUnknown(alert)
    if as_json:
        click.echo(to_text(plain(row)))
    else:
        wide(Console()).print(alert_table(row))


@alerts.command()
@click.argument("alert", metavar="NAME:KEY")
@reason_option()
@by_option()
def close(*, alert: str, reason: str, by: str) -> None:
    """Close the open alert NAME:KEY, as `alerts list` shows it; raised anew, it is open again."""
    name, _, key = alert.partition(":")
    if name in ALERTS and not ALERTS[name].by_hand:
        raise AlertUnusable(alert, f"it closes {ALERTS[name].closes}. What to do: {ALERTS[name].to_do}")
    settings = client_settings(["mongo_uri"])
    with opened_alerts(settings) as kept:
        if key not in kept.open_keys(name):
            raise AlertUnusable(alert, "no open alert is called so")
        acting = operator_action(settings, command="alerts close", by=by, reason=reason, arguments={"alert": alert})
        with acting as action:
            action.outcome = "closed" if kept.close(name, key, by=by, why=reason) else "closed already"
    click.echo(f"Closed {alert}.")


@contextlib.contextmanager
def opened_alerts(settings: Settings) -> Iterator[Alerts]:
    """Give the alerts.

    Raises:
        ServerSilent: the database does not answer.
    """
    with opened_database(settings) as found:
        yield Alerts(found, clock=DatabaseClock(found))


def alerts_table(rows: Sequence[Row]) -> RenderableType:
    """Lay out alerts, one a line."""
    table = Table(title="Alerts (UTC)", title_justify="left")
    table.add_column("alert", overflow="fold")
    for name in ("open since", "last seen", "closed"):
        table.add_column(name, no_wrap=True)
    table.add_column("times", justify="right", no_wrap=True)
    for name in ("what it says", "what to do"):
        table.add_column(name, overflow="fold")
    for row in rows:
        closed = moment(row["closed_at"]) if row["closed_at"] else "-"
        times = (moment(row["opened_at"]), moment(row["last_seen_at"]), closed)
        said = (Text(row["detail"]), Text(explained(row)["to_do"]))
        table.add_row(Text(row["_id"], style="bold"), *times, str(row["count"]), *said)
    return table


def alert_table(row: Row) -> RenderableType:
    """Lay out all that is known of one alert."""
    table = Table(title=f"Alert {row['_id']} (UTC)", title_justify="left", show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in plain(row).items():
        if name != "latest" and value not in (None, "", False):
            table.add_row(NAMED.get(name, name), Text("others before" if name == "more" else str(value)))
    for one in row.get("latest", ()):
        table.add_row(moment(one["at"]), Text(str(one["about"]), style="bold").append(f" {one['detail']}", "not bold"))
    return table


def plain(row: Row) -> dict[str, Any]:
    """Write an alert as JSON has it, with what the table says about it."""
    shown = {("id" if name == "_id" else name): _plain(value) for name, value in row.items()}
    return shown | {"latest": [_plain(one) for one in row.get("latest", ())]} | explained(row)


def explained(row: Row) -> dict[str, str]:
    """Return what an alert means, when it closes and what to do; of another version's this one knows nothing."""
    kind = ALERTS.get(row["name"])
    if kind is None:
        return {"means": "", "closes": UNLISTED, "to_do": "see the docs of the version that raised it"}
    return {"means": kind.means, "closes": kind.closes, "to_do": kind.to_do}


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a document holds
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    return moment(value) if isinstance(value, datetime) else value
