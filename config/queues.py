"""Which queues exist, which task travels on which, and what share of a worker's turns each has: nobody starves.

A queue with a point in its name is a lane of the queue before the point, its door. Whoever reads a door reads its
lanes, and what came by the door is put into its own lane: a caller needs to know the doors only, and those stay.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any


@dataclass(frozen=True)
class Lane:
    """One queue.

    Attributes:
        name: The Redis list's.
        share: How many turns it gets of a worker's, beside the shares of the others that have messages at that moment.
        about: What travels on it, for the docs.
    """

    name: str
    share: float
    about: str


#: Every queue, in the order in which they are served at a tie. A worker consumes the ones it is given; none is made on
#: the fly. What is fanned out by ourselves has no larger share than any lane of callers in its worker.
LANES: tuple[Lane, ...] = (
    Lane("payments", 8, "a payer waits: pages, charges, looks"),
    Lane("webhooks", 6, "deliveries of PayTabs"),
    Lane("payments.staff", 4, "staff wait: captures, voids, releases, refunds, invoices, tokens"),
    Lane("payments.bulk", 2, "callers' work that says `x-class: bulk`"),
    Lane("reconcile", 4, "looks for open operations, deliveries and changed documents: one of each"),
    Lane("reconcile.later", 4, "what else falls due: later times, owed results, sleepers"),
    Lane("reconcile.polls", 2, "questions about open operations, one of each"),
    Lane("events", 4, "looks for reactions that are owed, replays"),
    Lane("events.reactions", 4, "reactions to events, one of each"),
    Lane("aggregations.first", 1_000, "invalidations: before any read"),
    Lane("aggregations", 6, "callers' reads"),
    Lane("aggregations.bulk", 2, "callers' reads that say `x-class: bulk`"),
    Lane("maintenance", 2, "everything else that runs by itself"),
    Lane("aggregations.refreshes", 2, "answers and views that are brought up to date, one of each"),
)

#: Their names.
QUEUES: tuple[str, ...] = tuple(lane.name for lane in LANES)

#: The message header that carries the id under which everything that follows from one request is found. Celery's own
#: `correlation_id` is the task's id and is overwritten on arrival.
CORRELATION_HEADER = "x-correlation-id"

#: The message header in which beat names the entry of the schedule that a tick is for.
SCHEDULE_HEADER = "x-schedule-entry"

#: The message header in which a worker says why it refuses a message whose task then fails with these words.
REFUSED_HEADER = "x-refused"

#: The message header in which a caller names the class of its work.
CLASS_HEADER = "x-class"

#: The message header that says since when a message waits; whoever sends without it leaves that unknown.
SINCE_HEADER = "x-queued-at"

#: Where a task goes that no route names: never beside money.
DEFAULT_QUEUE = "maintenance"

#: Task name or pattern to queue, an exact name before the first pattern that fits. What a sweep does is ask PayTabs
#: again, so it shares a door with reconciling and leaves `payments` to callers who wait. A task that the version before
#: does not have goes into a lane, which that version's workers do not read: they would refuse it.
ROUTES: dict[str, str] = {
    "payments.poll": "reconcile.polls",
    "maintenance.sweep_operations": "reconcile",
    "maintenance.sweep_inbox": "reconcile",
    "maintenance.wake_sleepers": "reconcile.later",
    "maintenance.sweep_documents": "reconcile",
    "maintenance.store_results": "reconcile.later",
    "later.*": "reconcile.later",
    "payments.capture": "payments.staff",
    "payments.void": "payments.staff",
    "payments.release": "payments.staff",
    "payments.refund": "payments.staff",
    "payments.history": "payments.staff",
    "events.handle": "events.reactions",
    "aggregations.invalidate": "aggregations.first",
    "aggregations.refresh": "aggregations.refreshes",
    "aggregations.refresh_hot": "aggregations.refreshes",
    "payments.*": "payments",
    "tokens.*": "payments.staff",
    "cards.*": "payments",
    "invoices.*": "payments.staff",
    "webhooks.*": "webhooks",
    "events.*": "events",
    "aggregations.*": "aggregations",
    "views.*": "aggregations.refreshes",
    "maintenance.*": "maintenance",
}

#: The queue of each class of callers' work, by the door that it comes by. Work on other lanes is nobody's to classify.
CLASSES: Mapping[str, Mapping[str, str]] = {
    "payments": {"payer": "payments", "staff": "payments.staff", "bulk": "payments.bulk"},
    "aggregations": {"payer": "aggregations", "staff": "aggregations", "bulk": "aggregations.bulk"},
}


def queue_of(task_name: str, asked_class: str | None = None) -> str:
    """Return the queue of a task: its class is told by its name, or by its caller."""
    queue = ROUTES.get(task_name)
    if queue is None:
        fitting = (queue for pattern, queue in ROUTES.items() if fnmatchcase(task_name, pattern))
        queue = next(fitting, DEFAULT_QUEUE)
    classes = CLASSES.get(door_of(queue), {})
    return classes.get(asked_class or "", queue) if queue in classes.values() else queue


def class_in(headers: Mapping[str, Any]) -> str | None:
    """Return the class that a message's headers name; `x_class` does as well, and one that nobody knows is none."""
    spelt = {name.lower().replace("_", "-"): value for name, value in headers.items()}
    given = spelt.get(CLASS_HEADER)
    named = given.strip().lower() if isinstance(given, str) else None
    return named if any(named in classes for classes in CLASSES.values()) else None


def route(name: str, args: object, kwargs: object, options: Mapping[str, Any], task: object = None) -> dict[str, str]:
    """Tell Celery the queue of a task that is being sent; a queue that its caller names wins."""
    del args, kwargs, task
    return {"queue": queue_of(name, class_in(options.get("headers") or {}))}


def door_of(queue: str) -> str:
    """Return the door of a lane, a door's own name as it is."""
    return queue.partition(".")[0]


def with_lanes(names: Iterable[str]) -> list[str]:
    """Return queues together with the lanes of those that are doors, each once."""
    wanted = [lane for name in names for lane in (name, *(one for one in QUEUES if door_of(one) == name))]
    return list(dict.fromkeys(wanted))


def lane_of(task_name: str, headers: Mapping[str, Any], queue: str) -> str:
    """Return where a message belongs that was found in a queue: in a lane of that door, or where it is.

    Only what lies at a door is moved, and only into a lane of it: two versions never send a message back and forth.
    """
    own = queue_of(task_name, class_in(headers))
    return own if door_of(own) == queue else queue
