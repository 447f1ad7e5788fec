"""The indexes of this system's own collections as `nestcms-workers indexes plan` shows them."""

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from aggregations.index_standing import State
from config.connections import database, mongo_client
from config.settings import Settings
from tasks.own_indexes import OwnIndex, standing_of
from workers.cli_indexes_json import written
from workers.cli_world import READ_SECONDS


def own_of(settings: Settings) -> list[OwnIndex]:
    """Read how the indexes of our own collections stand."""
    with mongo_client(settings, timeout_seconds=READ_SECONDS) as client:
        return standing_of(database(client, settings))


def own_json(own: Sequence[OwnIndex]) -> list[dict[str, Any]]:
    """Write them as JSON."""
    return [
        {"collection": one.collection, "name": one.name, "keys": written(one.keys), "state": str(one.state)}
        for one in own
    ]


def own_table(own: Sequence[OwnIndex]) -> RenderableType:
    """Lay out those that are not as they should be."""
    if all(one.state is State.NO_COLLECTION for one in own):
        return Text("None of this system's own collections is there: they are made when a worker starts.")
    lacking = [one for one in own if one.state is not State.PRESENT]
    if not lacking:
        return Text(f"All {len(own)} indexes of this system's own collections are there.")
    table = Table(
        "collection", "index", "keys", "state", title="Of this system's own collections", title_justify="left"
    )
    for one in lacking:
        table.add_row(one.collection, one.name, written(one.keys), Text(str(one.state), "red"))
    to_do = "'nestcms-workers indexes sync --reason …' builds them. Without one_open no money is sent."
    return Group(table, Text(to_do))
