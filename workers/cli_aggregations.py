"""`nestcms-workers aggregations`: what can be read, what it takes, how old an answer may be, and what it leans on.

Printed from the catalogue that the tasks are made of. No server and no PayTabs credentials are needed.
"""

from typing import Any

import click
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from aggregations.catalogue import CATALOGUE, Aggregation
from aggregations.indexes import INDEXES
from workers.cli_enqueue import to_text
from workers.cli_payment import wide


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with each parameter's limits as a JSON schema.")
def aggregations(*, as_json: bool) -> None:
    """List the aggregations: what each answers and takes, how old an answer may be, and what it reads.

    Ask for one with `enqueue aggregations.NAME`; a parameter in brackets may be left out.
    """
    if as_json:
        click.echo(to_text([described(row) for row in CATALOGUE.values()]))
    else:
        wide(Console()).print(table_of(list(CATALOGUE.values())))


def described(row: Aggregation) -> dict[str, Any]:
    """Return everything of a row that can be told as JSON."""
    return {
        "name": row.name, "task": f"aggregations.{row.name}", "about": row.about,
        "parameters": row.parameters.model_json_schema(), "collections": list(row.collections),
        "indexes": {name: INDEXES[name].serves for name in row.indexes}, "soft_seconds": row.soft_seconds,
        "hard_seconds": row.hard_seconds, "budget_ms": row.budget_ms, "read": row.read,
    }  # fmt: skip


def table_of(rows: list[Aggregation]) -> RenderableType:
    """Lay out the catalogue, one aggregation a line."""
    table = Table(title="Aggregations", title_justify="left", show_lines=True)
    table.add_column("name", no_wrap=True)
    table.add_column("answers", overflow="fold")
    table.add_column("parameters", no_wrap=True)
    for name in ("fresh for s", "kept for s", "budget ms"):
        table.add_column(name, justify="right")
    for name in ("read from", "collections", "indexes"):
        table.add_column(name, no_wrap=True)
    for row in rows:
        ages = (f"{row.soft_seconds:g}", f"{row.hard_seconds:g}", str(row.budget_ms))
        reads = (row.read, "\n".join(row.collections), "\n".join(row.indexes) or "-")
        table.add_row(*map(Text, (row.name, row.about, parameters_of(row), *ages, *reads)))
    return table


def parameters_of(row: Aggregation) -> str:
    """Return the parameters' names, in brackets where one may be left out."""
    fields = row.parameters.model_fields
    return "\n".join(name if field.is_required() else f"[{name}]" for name, field in fields.items()) or "-"
