"""Which queues exist and which task travels on which: a heavy aggregation must never starve money."""

from fnmatch import fnmatchcase

#: Every queue, most urgent first. A worker consumes the ones it is given; none is made on the fly.
QUEUES: tuple[str, ...] = ("payments", "webhooks", "reconcile", "events", "aggregations", "maintenance")

#: The message header that carries the id under which everything that follows from one request is found. Celery's own
#: `correlation_id` is the task's id and is overwritten on arrival.
CORRELATION_HEADER = "x-correlation-id"

#: The message header in which beat names the entry of the schedule that a tick is for.
SCHEDULE_HEADER = "x-schedule-entry"

#: The message header in which a worker says why it refuses a message whose task then fails with these words.
REFUSED_HEADER = "x-refused"

#: Where a task goes that no route names: never beside money.
DEFAULT_QUEUE = "maintenance"

#: Task name or pattern to queue. Celery takes an exact name first, then the first pattern that fits. What a sweep does
#: is ask PayTabs again, so it shares a queue with reconciling and leaves `payments` to callers who wait.
ROUTES: dict[str, str] = {
    "payments.poll": "reconcile",
    "maintenance.sweep_operations": "reconcile",
    "maintenance.sweep_inbox": "reconcile",
    "maintenance.wake_sleepers": "reconcile",
    "maintenance.sweep_documents": "reconcile",
    "maintenance.store_results": "reconcile",
    "later.*": "reconcile",
    "payments.*": "payments",
    "tokens.*": "payments",
    "cards.*": "payments",
    "invoices.*": "payments",
    "webhooks.*": "webhooks",
    "events.*": "events",
    "aggregations.*": "aggregations",
    "views.*": "aggregations",
    "maintenance.*": "maintenance",
}


def queue_of(task_name: str) -> str:
    """Return the queue of a task, by the same rule as Celery's router."""
    if task_name in ROUTES:
        return ROUTES[task_name]
    return next((queue for pattern, queue in ROUTES.items() if fnmatchcase(task_name, pattern)), DEFAULT_QUEUE)
