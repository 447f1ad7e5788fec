"""`nestcms-workers schedule`: what runs by itself, when it last did and when it is next due.

Read from MongoDB alone: it also tells what is overdue when no beat and no worker is there to do so.
"""

from collections.abc import Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from config.settings import Settings
from tasks.standings import Standing, standings
from workers.cli_dead_letters import moment
from workers.cli_enqueue import to_text
from workers.cli_payment import wide
from workers.cli_settings import client_settings
from workers.cli_world import opened_world

#: What is said of each policy for missed runs.
POLICIES = {
    "level": "looks at what is due: nothing is claimed, nothing missed",
    "skip": "claims its slot; a missed one is left out",
    "once": "claims its slot; missed ones are made up for by one run",
}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def schedule(*, as_json: bool) -> None:
    """List what runs by itself: how often, what becomes of missed runs, its last success and when it is next due.

    Exit code 1 when an entry is overdue.
    """
    found = read(client_settings(["mongo_uri"]))
    if as_json:
        click.echo(to_text([plain(one) for one in found]))
    else:
        wide(Console()).print(table_of(found))
    if any(one.overdue_since for one in found):
        raise click.exceptions.Exit(1)


def read(settings: Settings) -> list[Standing]:
    """Return how each entry stands now."""
    with opened_world(settings) as world:
        return standings(world.slots, settings, world.clock())


def table_of(found: Sequence[Standing]) -> Table:
    """Lay out entries, one a line."""
    table = Table(title="Schedule (UTC)", title_justify="left")
    for name in ("entry", "every", "missed", "last success", "next due"):
        table.add_column(name, no_wrap=True)
    table.add_column("why", overflow="fold")
    for one in found:
        table.add_row(one.entry.name, every(one), one.entry.missed, _last(one), moment(one.next_due), one.entry.why)
    table.caption = "\n".join(f"{name}: {meaning}" for name, meaning in POLICIES.items())
    table.caption_justify = "left"
    return table


def plain(one: Standing) -> dict[str, Any]:
    """Write an entry as JSON has it."""
    times = {name: getattr(one, name) for name in ("last_success", "last_failure", "next_due", "overdue_since")}
    return {
        "entry": one.entry.name,
        "task": one.entry.task,
        "kind": "look" if one.entry.missed == "level" else "slot",
        "period_seconds": one.period.total_seconds(),
        "at": one.entry.at,
        "missed": one.entry.missed,
        **{name: moment(value) if value else None for name, value in times.items()},
        "error": one.error,
        "why": one.entry.why,
    }


def every(one: Standing) -> str:
    """Say how often an entry runs."""
    return f"day at {one.entry.at}" if one.entry.at else f"{one.period.total_seconds():g} s"


def _last(one: Standing) -> Text:
    text = Text(moment(one.last_success) if one.last_success else "never")
    if one.last_failure:
        text.append(f"\n{one.error} at {moment(one.last_failure)}", style="yellow")
    if one.overdue_since:
        text.append(f"\noverdue since {moment(one.overdue_since)}", style="bold red")
    return text
