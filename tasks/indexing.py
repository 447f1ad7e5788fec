"""How the declared indexes are built: as somebody's act, by the command line and by task alike."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pymongo.database import Database

from aggregations.index_facts import CMS_COLLECTIONS, read_indexes, read_usage
from aggregations.index_plan import make_plan
from aggregations.index_report import sync_text
from aggregations.index_standing import IndexPlan
from aggregations.index_sync import IndexBuilder, SyncReport
from aggregations.indexes import INDEXES
from payments.audit_trail import Trail
from payments.events import Context
from tasks.own_indexes import OwnIndex, make, missing

Document = dict[str, Any]

#: What building indexes is called in the trail.
COMMAND = "indexes sync"

#: How long one build may take, in seconds: a day.
BUILD_SECONDS = 86_400.0


@dataclass(frozen=True)
class SyncTerms:
    """What may be done beside building: dropping ours that are declared no longer, and making collections."""

    drop_undeclared: bool = False
    create_collections: bool = False


def plan_now(db: Database[Document]) -> IndexPlan:
    """Read the primary's indexes and judge them."""
    found = read_indexes(db, CMS_COLLECTIONS)
    return make_plan(INDEXES.values(), found, read_usage(db, found.indexes))


def nothing_to_do(found: IndexPlan, terms: SyncTerms, own: Sequence[OwnIndex] = ()) -> bool:
    """Tell whether a sync would change nothing: collections that are not there may be all that is missing."""
    if own:
        return False
    there_is = found.to_build if terms.create_collections else [one for one in found.to_build if one.has_collection]
    return not there_is and not (terms.drop_undeclared and found.undeclared)


def carry_out(
    builder: IndexBuilder, found: IndexPlan, terms: SyncTerms, trail: Trail, context: Context, *, reason: str
) -> SyncReport:
    """Build what a plan says is missing, and what is of our own collections' indexes.

    It is written down unless there is nothing to do.

    Args:
        builder: builds, for as long as it has time.
        found: the plan.
        terms: what may be done beside building.
        trail: where it is written down.
        context: who wants it.
        reason: why.
    """
    own = missing(builder.database)
    if nothing_to_do(found, terms, own):
        return SyncReport(building=found.building, waiting=[one.index.name for one in found.to_build])
    about = {**asdict(terms), "database": builder.database_name}
    with trail.act(COMMAND, context, reason=reason, arguments=about, key=context.correlation_id) as act:
        report = builder.sync(found, **asdict(terms))
        _make_own(builder.database, own, report)
        act.outcome = sync_text(report)
    return report


def _make_own(db: Database[Document], wanted: Sequence[OwnIndex], report: SyncReport) -> None:
    """Build indexes of our own collections, and add what became of them to a report."""
    for one in wanted:
        began, refused = time.monotonic(), make(db, [one])
        report.refused |= refused
        if not refused:
            report.built[one.full_name] = time.monotonic() - began
