"""What the commands about indexes ask of the servers: the plan, each node's use, and a build with its bar."""

import contextlib
from collections.abc import Iterator

from pymongo.errors import OperationFailure, PyMongoError
from rich.console import Console

from aggregations.index_facts import CMS_COLLECTIONS, read_indexes, read_usage
from aggregations.index_plan import make_plan
from aggregations.index_standing import IndexPlan
from aggregations.index_sync import IndexBuilder, SyncReport
from aggregations.index_usage import NodeUsage, over_all
from aggregations.indexes import INDEXES
from config.addresses import hosts
from config.connections import database, mongo_client, node_client
from config.redaction import redact
from config.settings import Settings
from observability.database_refusals import refusal_in
from payments.audit_entries import AuditEntries
from payments.audit_trail import Trail
from payments.database_clock import DatabaseClock
from tasks.indexing import BUILD_SECONDS, SyncTerms, carry_out
from workers.cli_errors import ServerSilent, database_silent
from workers.cli_indexes_progress import BuildProgress
from workers.cli_world import READ_SECONDS, acting

#: How long one node has to answer, in seconds.
NODE_SECONDS = 3.0


@contextlib.contextmanager
def answering(settings: Settings) -> Iterator[None]:
    """Turn a database that does not answer, or does not let us ask, into a sentence.

    Raises:
        ServerSilent: it does not.
    """
    try:
        yield
    except OperationFailure as error:
        if refusal_in(error):
            raise database_silent(hosts(settings.mongo_uri or ""), error) from error
        reason = str((error.details or {}).get("codeName", type(error).__name__))
        raise ServerSilent("MongoDB", hosts(settings.mongo_uri or ""), reason) from error
    except PyMongoError as error:
        raise database_silent(hosts(settings.mongo_uri or ""), error) from error


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


def build(
    settings: Settings, found: IndexPlan, console: Console, terms: SyncTerms, *, by: str, reason: str
) -> SyncReport:
    """Build what a plan says is missing, with a bar for each build that takes long."""
    with mongo_client(settings, timeout_seconds=BUILD_SECONDS) as patient, BuildProgress(console) as shown:
        db = database(patient, settings)
        trail = Trail(AuditEntries(db), DatabaseClock(db), redact)
        return carry_out(IndexBuilder(db, on_progress=shown.show), found, terms, trail, acting(by), reason=reason)


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
