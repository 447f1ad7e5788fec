"""The task about indexes: `indexes.sync` builds those that are missing, when somebody says so and why.

What takes longer than a task may is begun all the same: the server goes on with it; asking again tells how it stands.
"""

from typing import Any

from aggregations.index_report import sync_json
from aggregations.index_sync import IndexBuilder
from config.connections import database, mongo_client
from payments.events import Context
from tasks.arguments import SyncIndexes
from tasks.base import domain_task
from tasks.indexing import BUILD_SECONDS, SyncTerms, carry_out, plan_now
from tasks.timekeeping import seconds_left
from tasks.wiring import World

#: How long one run watches builds at most, and what is left to a task's end then, in seconds.
WATCHING_SECONDS, LAST_SECONDS = 25.0, 5.0


@domain_task("indexes.sync", SyncIndexes)
def sync(world: World, asked: SyncIndexes, context: Context) -> dict[str, Any]:
    """Build the declared indexes that are missing; the answer is that of the command `indexes sync --json`."""
    terms = SyncTerms(drop_undeclared=asked.drop_undeclared, create_collections=asked.create_collections)
    patient = mongo_client(world.settings, timeout_seconds=BUILD_SECONDS)
    seconds = min(WATCHING_SECONDS, seconds_left() - LAST_SECONDS)
    builder = IndexBuilder(database(patient, world.settings), seconds=seconds)
    report = carry_out(builder, plan_now(world.db), terms, world.trail, context, reason=asked.reason)
    if not builder.under_way:
        patient.close()  # a build that is under way goes on over it, and ends by itself
    return sync_json(report)
