"""Which queues exist and which task travels on which: a heavy aggregation must never starve money."""

#: Every queue, most urgent first. A worker consumes the ones it is given; none is made on the fly.
QUEUES: tuple[str, ...] = ("payments", "webhooks", "reconcile", "events", "aggregations", "maintenance")

#: Where a task goes that no route names: never beside money.
DEFAULT_QUEUE = "maintenance"

#: Task name or pattern to queue. Celery takes an exact name first, then the first pattern that fits. What a sweep does
#: is ask PayTabs again, so it shares a queue with reconciling and leaves `payments` to callers who wait.
ROUTES: dict[str, str] = {
    "payments.poll": "reconcile",
    "payments.reconcile": "reconcile",
    "payments.sweep*": "reconcile",
    "webhooks.sweep*": "reconcile",
    "payments.*": "payments",
    "tokens.*": "payments",
    "invoices.*": "payments",
    "webhooks.*": "webhooks",
    "events.*": "events",
    "aggregations.*": "aggregations",
    "views.*": "aggregations",
    "maintenance.*": "maintenance",
}
