"""`nestcms-workers policy`: what the system repeats, how long it waits, when it asks, and when it calls a human.

Everything is printed from the tables that the code itself goes by, so it cannot differ from what happens. No server and
no PayTabs credentials are needed.
"""

from collections.abc import Callable
from dataclasses import dataclass

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from config.settings import Settings
from payments.ladder import SETTLING
from workers.cli_enqueue import to_text
from workers.cli_payment import wide
from workers.cli_policy_rows import Row, error_codes, ladders, pages, policies, response_codes, times
from workers.cli_settings import client_settings


@dataclass(frozen=True)
class Printed:
    """One table: its name, its rows, and what holds for all of them."""

    name: str
    rows: Callable[[Settings], list[Row]]
    note: str


#: What is printed, in this order.
TABLES = (
    Printed(
        "retry policies",
        policies,
        "Each wait is drawn evenly between 0 and its ceiling, after what must pass in any case. Only queries, and what "
        "did not happen, are tried again.",
    ),
    Printed(
        "ladders",
        ladders,
        f"Counted from the send. That nothing is found counts once the lease and {SETTLING.seconds} s have passed.",
    ),
    Printed(
        "pages",
        pages,
        "By the database's clock. A voucher, a hold and a page on which somebody has chosen how to pay outlive them.",
    ),
    Printed(
        "error codes",
        error_codes,
        "Under HTTP 200, 400, 401 and 404, or as said; under 429 and 5xx every code leaves the outcome unknown.",
    ),
    Printed("response codes", response_codes, "The status decides; a code that is not listed only explains nothing."),
    Printed("time chain", times, "Checked when a process starts."),
)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def policy(*, as_json: bool) -> None:
    """Print the retry policies, the ladders of questions, PayTabs' codes and the time chain."""
    settings = client_settings([])
    if as_json:
        click.echo(to_text({one.name.replace(" ", "_"): one.rows(settings) for one in TABLES}))
        return
    console = wide(Console())
    for one in TABLES:
        console.print(table_of(one.name, one.rows(settings)), Text(f"{one.note}\n", style="italic"))


def table_of(name: str, rows: list[Row]) -> Table:
    """Lay out rows, their members as columns."""
    table = Table(title=name.capitalize(), title_justify="left")
    for column in rows[0]:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row.values()))
    return table


def _cell(value: object) -> str:
    if isinstance(value, list):
        texts = [_cell(one) for one in value]
        return ("\n" if any(" " in text for text in texts) else " ").join(texts)
    return f"{value:g}" if isinstance(value, float | int) else str(value)
