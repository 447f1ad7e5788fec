"""Whether the cause of an open alert is gone, looked at from outside: one question for each alert that can be asked.

Each says why the alert is over, or None. So an alert closes also when whoever should have closed it died, was of an
earlier version, or lost its state; who raises it in the meantime keeps it open.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

from bson import ObjectId
from bson.errors import InvalidId

from aggregations.changes import lists_too_many
from aggregations.view_refresh import READABLE, UNREADABLE
from aggregations.view_sources import REFERENCES
from payments.assessment import assess
from payments.audit_entries import ACCEPT, AuditEntries
from payments.documents import FAILS
from payments.events import Context
from payments.ladder import is_overdue
from payments.owed import MISSING, Kind
from payments.projections import LEFT_OPEN, REVIEW_ALERT, pages_left_open
from payments.reconcile import SILENCE
from paytabs.breaker_rules import STATE_CLOSED
from tasks.alert_letters import operation_letters_closed, reaction_letters_closed, task_letters_closed
from tasks.gateway import ALERT, CLOSED
from tasks.own_indexes import OWN, missing
from tasks.wiring import World

Row = Mapping[str, Any]
Check = Callable[[World, Row], str | None]

#: Why an alert about documents that were not there is over.
WRITTEN: Final = "each of the documents was written, or is said to be gone"
#: The alert about an index of ours that is not there.
INDEX_MISSING: Final = "own_index_missing"

#: After how long the alert of a key that this process does not have is over: nobody calls by it any more.
UNUSED_KEY: Final = timedelta(hours=1)


def breaker_closed(world: World, row: Row) -> str | None:
    """Tell whether PayTabs is called; while the cache is away nobody knows what the others do."""
    breaker = world.gateway.gate.breaker
    if row["key"] != breaker.name:
        return "nobody uses that key any more" if row["last_seen_at"] <= world.clock() - UNUSED_KEY else None
    seen = breaker.snapshot()
    return CLOSED if seen.shared and seen.state == STATE_CLOSED else None


def review_over(world: World, row: Row) -> str | None:
    """Tell whether a payment has no case any more."""
    return None if assess(world.store.payment(row["key"])).review else "the payment has no case"


def page_closed(world: World, row: Row) -> str | None:
    """Tell whether no page of a payment may be paid beside money any more."""
    left = pages_left_open(assess(world.store.payment(row["key"])))
    return None if left else "no page of the payment is open beside its money"


def documents_looked_at(world: World, row: Row) -> str | None:
    """Tell whether every document of a kind could be looked at."""
    return None if world.documents.any_failed(row["key"]) else "each of the documents could be looked at"


def documents_written(world: World, row: Row) -> str | None:
    """Take the documents off an alert that were written, or are said to be gone; it closes when none is looked for.

    One of which nothing is noted was told of by an earlier version: it is looked at, and noted where it is missing.
    """
    kind, context = Kind(row["key"]), Context(correlation_id=f"alert-{MISSING}", source="maintenance.tend_alerts")
    for listed in row.get("latest", ()):
        one = _id(listed["about"])
        if isinstance(one, ObjectId) and world.owed.rows.find(kind, one) is None:
            world.owed.look(kind, one, context)
        known = world.owed.rows.find(kind, one) if isinstance(one, ObjectId) else None
        if known is None or known.gone_by:
            world.alerts.drop(row["name"], row["key"], listed["about"], why=WRITTEN)
    return None if world.owed.rows.oldest(kind) else WRITTEN


def operations_answered(world: World, row: Row) -> str | None:
    """Tell whether no operation of a kind has been in doubt for too long."""
    silent_since = world.clock() - SILENCE
    overdue = any(is_overdue(one, silent_since) for one in world.ledger.in_doubt(row["key"]))
    return None if overdue else "no operation of the kind is in doubt for so long"


def deliveries_applied(world: World, row: Row) -> str | None:
    """Tell whether no delivery waits over an error any more."""
    return None if world.inbox.waits_over(row["key"]) else "no delivery waits over this error"


def groups_readable(world: World, row: Row) -> str | None:
    """Tell whether every group of a view could be read."""
    return None if world.views.marks.told(row["key"]) else READABLE


def lists_shortened(world: World, row: Row) -> str | None:
    """Take the documents off an alert whose lists are short enough again; the alert closes with the last one."""
    names, why = REFERENCES.get(row["key"], {}), "none of the documents lists so many any more"
    for listed in row.get("latest", ()):
        found = world.db[row["key"]].find_one({"_id": _id(listed["about"])}, dict.fromkeys(names, 1)) or {}
        if not lists_too_many(row["key"], found):
            world.alerts.drop(row["name"], row["key"], listed["about"], why=why)
    return None


def events_accepted(world: World, row: Row) -> str | None:
    """Take the events off an alert that a person has accepted; the alert closes with the last one."""
    entries = AuditEntries(world.db)
    for listed in row.get("latest", ()):
        event_id = str(listed["about"])
        acts = entries.of_payment(event_id.rpartition("-")[0])
        if any(_accepts(act, event_id) for act in acts):
            world.alerts.drop(row["name"], row["key"], event_id, why="each of its events was accepted")
    return None


def indexes_there(world: World, row: Row) -> str | None:
    """Tell whether each index of a collection of ours is there."""
    lacks = row["key"] in OWN and missing(world.db, [row["key"]])
    return None if lacks else "each index of the collection is there"


def _accepts(act: Row, event_id: str) -> bool:
    done = (act.get("command"), act.get("phase"), act.get("outcome")) == (ACCEPT, "ended", "done")
    return done and str(act["arguments"].get("mark")).startswith(f"{event_id} ")


def _id(text: str) -> ObjectId | str:
    try:
        return ObjectId(text)
    except InvalidId:
        return text


#: What is asked about each alert.
CHECKS: Final[Mapping[str, Check]] = {
    ALERT: breaker_closed,
    REVIEW_ALERT: review_over,
    LEFT_OPEN: page_closed,
    FAILS: documents_looked_at,
    MISSING: documents_written,
    "operation_unanswered": operations_answered,
    "delivery_fails": deliveries_applied,
    "dead_letter": task_letters_closed,
    "operation_given_up": operation_letters_closed,
    "reaction_given_up": reaction_letters_closed,
    UNREADABLE: groups_readable,
    "view_list_cut": lists_shortened,
    "late_event": events_accepted,
    INDEX_MISSING: indexes_there,
}
