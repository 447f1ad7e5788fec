"""`nestcms-workers indexes`: the declared indexes against those on the server, and building what is missing.

Workers never build an index by themselves: on a big collection that is the operator's decision, and his hour.
"""

import click
from rich.console import Console

from aggregations.index_report import sync_json, sync_text
from tasks.indexing import SyncTerms
from workers.cli_audit_entry import by_option, reason_option
from workers.cli_enqueue import to_text
from workers.cli_indexes_json import plan_json, usage_json
from workers.cli_indexes_own import own_json, own_of, own_table
from workers.cli_indexes_server import answering, build, nodes_of, plan_of
from workers.cli_indexes_tables import plan_tables, usage_table
from workers.cli_payment import wide
from workers.cli_settings import client_settings
from workers.cli_shell import CommandFailed


@click.group()
def indexes() -> None:
    """See which indexes should be there, which are, and which are used; build what is missing."""


@indexes.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan(*, as_json: bool) -> None:
    """Compare the declared indexes with those on the CMS's collections and on ours; nothing is changed.

    Shows what is missing or differs, and of what else the CMS's have what nobody uses and what another does as well.
    """
    settings = client_settings(["mongo_uri"])
    with answering(settings):
        found, own = plan_of(settings, nodes_of(settings)), own_of(settings)
    if as_json:
        click.echo(to_text(plan_json(found) | {"own": own_json(own)}))
    else:
        wide(Console()).print(plan_tables(found), own_table(own))


@indexes.command()
@click.option("--drop-undeclared", is_flag=True, help="Also drop those that begin with nw_ and are declared no longer.")
@click.option("--create-collections", is_flag=True, help="Also make collections that do not exist yet.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@reason_option()
@by_option()
def sync(*, drop_undeclared: bool, create_collections: bool, as_json: bool, reason: str, by: str) -> None:
    """Build the declared indexes that are missing, and wait for them.

    Those of this system's own collections too. Reads and writes go on meanwhile. Nothing of the CMS's is ever dropped.
    Ends with exit code 1 when one could not be built. The database's user needs the right to build indexes (role
    readWrite). When interrupted, what the server has begun it finishes; run it again for the rest.
    """
    settings = client_settings(["mongo_uri"])
    terms = SyncTerms(drop_undeclared=drop_undeclared, create_collections=create_collections)
    with answering(settings):
        found = plan_of(settings)
        report = build(settings, found, wide(Console(stderr=True)), terms, by=by, reason=reason)
    click.echo(to_text(sync_json(report)) if as_json else sync_text(report))
    if report.refused:
        raise CommandFailed(f"{len(report.refused)} could not be built or dropped.")


@indexes.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def usage(*, as_json: bool) -> None:
    """Show for each node of the set how often it has used each index since it began to count.

    A node begins again when it restarts, and an index when it is built.
    """
    settings = client_settings(["mongo_uri"])
    with answering(settings):
        nodes = nodes_of(settings)
    if as_json:
        click.echo(to_text(usage_json(nodes)))
    else:
        wide(Console()).print(usage_table(nodes))
