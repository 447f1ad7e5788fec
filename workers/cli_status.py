"""`nestcms-workers status`: the system's health in one look, read and never changed, but for a heartbeat.

Members of the replica set are judged from here, by the rules that the workers go by.
"""

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from workers.cli_enqueue import to_text
from workers.cli_payment import wide
from workers.cli_settings import client_settings
from workers.cli_status_parts import PARTS, Row, asked
from workers.cli_world import opened_world


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(*, as_json: bool) -> None:
    """Show the system's health.

    The database's members with their lag, this machine's clock against the servers', the queues' depth, the cache, the
    breaker, the work that has been due for longest, overdue entries of the schedule, the watcher and the views, and
    open alerts. Exit code 1 when any of it is not well.
    """
    with opened_world(client_settings(["mongo_uri", "redis_url"])) as world:
        found = {name: asked(world, part) for name, part in PARTS.items()}
    if as_json:
        click.echo(to_text({name.replace(" ", "_"): rows for name, rows in found.items()}))
    else:
        console = wide(Console())
        for name, rows in found.items():
            console.print(table_of(name, rows) if rows else Text(f"{name.capitalize()}: none\n", style="bold"))
    if not all(row["ok"] for rows in found.values() for row in rows):
        raise click.exceptions.Exit(1)


def table_of(name: str, rows: list[Row]) -> Table:
    """Lay out one part; what is not well is red."""
    table = Table(title=name.capitalize(), title_justify="left")
    columns = [column for column in rows[0] if column != "ok"]
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        cells = (Text("-" if row.get(column) in (None, "") else str(row[column])) for column in columns)
        table.add_row(*cells, style=None if row["ok"] else "red")
    return table
