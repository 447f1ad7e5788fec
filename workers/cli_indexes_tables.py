"""What is known of indexes, laid out for a person."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from aggregations.index_standing import IndexPlan, Judged, State
from aggregations.index_usage import NodeUsage
from aggregations.indexes import PLANNED
from workers.cli_indexes_json import leaning, remarks, written

#: In which colour a state is shown.
COLOURS = {State.MISSING: "yellow", State.DIFFERING: "red", State.BUILDING: "cyan", State.NO_COLLECTION: "yellow"}


def plan_tables(found: IndexPlan) -> RenderableType:
    """Lay out a plan: the declared ones, what else is there, the ones planned once, and what to do."""
    return Group(declared_table(found), others_table(found.others), planned_table(), Text(verdict(found)))


def verdict(found: IndexPlan) -> str:
    """Say in a sentence what there is to do."""
    missing = sum(1 for one in found.to_build)
    sentence = (
        f"{missing} of {len(found.declared)} are missing or differ: 'nestcms-workers indexes sync --reason …' builds "
        "what can be built."
        if missing
        else f"All {len(found.declared)} declared indexes do their work; there is nothing to build."
    )
    gone = ", ".join(f"{one.collection}.{one.name}" for one in found.undeclared)
    return sentence + (f" Declared no longer: {gone} (--drop-undeclared drops them)." if gone else "")


def declared_table(found: IndexPlan) -> Table:
    """Lay out the declared ones, each with how it stands."""
    table = _table("Declared indexes", "index", "collection", "keys", "state", "serves", "leaned on by")
    for one in found.declared:
        state = Text(str(one.state), COLOURS.get(one.state, "green"))
        if one.by and one.by != one.index.name:
            state.append(f": {one.by}")
        if one.obstacle:
            state.append(f" ({one.obstacle})")
        index = one.index
        leaners = ", ".join(leaning(index.name)) or "-"
        table.add_row(index.name, index.collection, written(index.keys), state, index.serves, leaners)
    return table


def others_table(others: Sequence[Judged]) -> RenderableType:
    """Lay out what is on the server and not simply a declared one that is used."""
    shown = [one for one in others if remarks(one)]
    if not shown:
        return Text("Every other index on the CMS's collections is a declared one that is used.")
    table = _table("What else is on the server, _id_ apart", "index", "collection", "keys", "uses", "remarks")
    for one in shown:
        uses = "?" if one.use is None else str(one.use.ops)
        index = one.index
        words = (index.name, index.collection, written(index.keys), uses, "; ".join(remarks(one)))
        table.add_row(*map(Text, words))
    return table


def planned_table() -> Table:
    """Lay out the six that were planned once, with what became of each."""
    table = _table("The six that were planned once", "collection", "keys", "what is wrong", "instead", "because")
    for one in PLANNED:
        table.add_row(one.collection, one.keys, one.wrong, ", ".join(one.instead), one.because)
    return table


def usage_table(nodes: Sequence[NodeUsage]) -> RenderableType:
    """Lay out how often each node has used each index."""
    names = sorted({key for node in nodes for key in node.used or {}})
    table = _table("Uses of each index (since, UTC)", "collection", "index", *(node.node for node in nodes))
    for collection, name in names:
        row = [collection, name]
        for node in nodes:
            use = (node.used or {}).get((collection, name))
            row.append("-" if use is None else f"{use.ops} ({use.since:%Y-%m-%d %H:%M})")
        table.add_row(*map(Text, row))
    silent = [node.node for node in nodes if node.used is None]
    return Group(table, Text(f"No answer from {', '.join(silent)}.")) if silent else table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", show_lines=False)
    for number, column in enumerate(columns):
        table.add_column(column, no_wrap=number == 0, overflow="fold")
    return table
