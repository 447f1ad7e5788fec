"""`nestcms-workers indexes`: the declared indexes against those on the server, and building what is missing.

Workers never build an index by themselves: on a big collection that is the operator's decision, and his hour.
"""

import contextlib
from collections.abc import Iterator

import click
from pymongo.errors import OperationFailure, PyMongoError
from rich.console import Console

from aggregations.index_facts import CMS_COLLECTIONS, read_indexes, read_usage
from aggregations.index_plan import IndexPlan, make_plan
from aggregations.index_sync import IndexBuilder, SyncReport
from aggregations.index_usage import NodeUsage, over_all
from aggregations.indexes import INDEXES
from config.addresses import hosts
from config.connections import database, mongo_client, node_client
from config.settings import Settings
from workers.cli_audit_entry import by_option, operator_action, reason_option
from workers.cli_enqueue import to_text
from workers.cli_errors import ServerSilent
from workers.cli_indexes_json import plan_json, sync_json, usage_json
from workers.cli_indexes_progress import BuildProgress
from workers.cli_indexes_tables import plan_tables, sync_text, usage_table
from workers.cli_payment import wide
from workers.cli_settings import client_settings
from workers.cli_shell import CommandFailed
from workers.cli_world import READ_SECONDS

#: How long one node has to answer, in seconds.
NODE_SECONDS = 3.0

#: How long one build may take, in seconds: a day.
BUILD_SECONDS = 86_400.0


@click.group()
def indexes() -> None:
    """See which indexes should be there, which are, and which are used; build what is missing."""


@indexes.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan(*, as_json: bool) -> None:
    """Compare the declared indexes with those on the CMS's collections; nothing is changed.

    Shows what is missing or differs, and of what else is there what nobody uses and what another does as well.
    """
    settings = client_settings(["mongo_uri"])
    with answering(settings):
        found = plan_of(settings, nodes_of(settings))
    if as_json:
        click.echo(to_text(plan_json(found)))
    else:
        wide(Console()).print(plan_tables(found))


@indexes.command()
@click.option("--drop-undeclared", is_flag=True, help="Also drop those that begin with nw_ and are declared no longer.")
@click.option("--create-collections", is_flag=True, help="Also make collections that do not exist yet.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@reason_option()
@by_option()
def sync(*, drop_undeclared: bool, create_collections: bool, as_json: bool, reason: str, by: str) -> None:
    """Build the declared indexes that are missing, and wait for them.

    Reads and writes go on meanwhile. Nothing of the CMS's is ever dropped. Ends with exit code 1 when one could not be
    built. The database's user needs the right to build indexes (role readWrite). When interrupted, what the server has
    begun it finishes; run it again for the rest.
    """
    settings = client_settings(["mongo_uri"])
    given = {"drop_undeclared": drop_undeclared, "create_collections": create_collections}
    with answering(settings):
        found = plan_of(settings)
        if nothing_to_do(found, **given):
            report = SyncReport(building=found.building, waiting=[one.index.name for one in found.to_build])
        else:
            arguments = {**given, "database": settings.mongo_database}
            with operator_action(settings, command="indexes sync", by=by, reason=reason, arguments=arguments) as action:
                report = build(settings, found, wide(Console(stderr=True)), **given)
                action.outcome = sync_text(report)
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


@contextlib.contextmanager
def answering(settings: Settings) -> Iterator[None]:
    """Turn a database that does not answer, or does not let us ask, into a sentence.

    Raises:
        ServerSilent: it does not.
    """
    try:
        yield
    except OperationFailure as error:
        reason = str((error.details or {}).get("codeName", type(error).__name__))
        raise ServerSilent("MongoDB", hosts(settings.mongo_uri or ""), reason) from error
    except PyMongoError as error:
        raise ServerSilent("MongoDB", hosts(settings.mongo_uri or ""), type(error).__name__) from error


def plan_of(settings: Settings, nodes: list[NodeUsage] | None = None) -> IndexPlan:
    """Read the server's indexes and judge them.

    Args:
        settings: Where the database is.
        nodes: What the nodes say of their use; only the primary is asked when left out.
    """
    with mongo_client(settings, timeout_seconds=READ_SECONDS) as client:
        db = database(client, settings)
        found = read_indexes(db, CMS_COLLECTIONS)
        used = over_all(nodes) if nodes is not None else read_usage(db, found.indexes)
    return make_plan(INDEXES.values(), found, used)


def nothing_to_do(found: IndexPlan, *, drop_undeclared: bool, create_collections: bool) -> bool:
    """Tell whether a sync would change nothing: collections that are not there may be all that is missing."""
    there_is = found.to_build if create_collections else [one for one in found.to_build if one.has_collection]
    return not there_is and not (drop_undeclared and found.undeclared)


def build(
    settings: Settings, found: IndexPlan, console: Console, *, drop_undeclared: bool, create_collections: bool
) -> SyncReport:
    """Build what a plan says is missing, with a bar for each build that takes long."""
    with mongo_client(settings, timeout_seconds=BUILD_SECONDS) as patient, BuildProgress(console) as shown:
        builder = IndexBuilder(database(patient, settings), on_progress=shown.show)
        return builder.sync(found, create_collections=create_collections, drop_undeclared=drop_undeclared)


def nodes_of(settings: Settings) -> list[NodeUsage]:
    """Ask every node of the set for its use of the indexes; one that is silent is told as such."""
    with mongo_client(settings, timeout_seconds=READ_SECONDS) as client:
        said = client.admin.command("hello")
        collections = list(read_indexes(database(client, settings), CMS_COLLECTIONS).indexes)
        if "setName" not in said:  # a router, which adds its shards' rows, or a node outside a set
            return [NodeUsage("the server", read_usage(database(client, settings), collections))]
    return [_ask(settings, name, collections) for name in sorted({*said["hosts"], *said.get("passives", ())})]


def _ask(settings: Settings, name: str, collections: list[str]) -> NodeUsage:
    host, _, port = name.rpartition(":")
    with node_client(settings, (host.strip("[]"), int(port)), timeout_seconds=NODE_SECONDS) as client:
        try:
            return NodeUsage(name, read_usage(database(client, settings), collections))
        except PyMongoError:
            return NodeUsage(name, None)
