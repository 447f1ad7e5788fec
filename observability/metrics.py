"""Every metric of the system, declared once with its sentence and its labels; whoever counts imports it from here."""

from prometheus_client import Counter, Gauge, Histogram

#: Seconds of a write that a majority must confirm: from one node at rest to the receiver's own time limit.
WRITE_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

#: Seconds of a read: from the cache's to the longest wait.
READ_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20)

WEBHOOK_DELIVERIES = Counter(
    "nestcms_webhook_deliveries",
    "Deliveries to /webhooks/paytabs by how they were answered: accepted, repeated, rejected, bad_signature, "
    "over_budget (a wrong signature from a sender who had too many), too_large or unavailable.",
    ["result"],
)

BROWSER_RETURNS = Counter(
    "nestcms_browser_returns",
    "Payers who came back to /payments/return by how they were answered: accepted, malformed, bad_signature or "
    "over_budget.",
    ["result"],
)

FAILED_SIGNATURES = Counter(
    "nestcms_failed_signatures",
    "Requests whose signature was missing, repeated or wrong, by channel (notice or return) and reason (malformed or "
    "mismatch).",
    ["channel", "reason"],
)

FAILURE_BUDGET_CHARGES = Counter(
    "nestcms_failure_budget_charges",
    "Failed signatures charged to their sender, by where that is counted (shared, or process while the shared store is "
    "down, or nowhere) and result (within or spent).",
    ["store", "result"],
)

PLAIN_HTTP_REQUESTS = Counter(
    "nestcms_plain_http_requests",
    "Requests that came without TLS although it is required, by how they were answered: refused or redirected.",
    ["answer"],
)

PUBLISH_FAILURES = Counter(
    "nestcms_publish_failures",
    "Tasks that could not be handed to the broker and wait for a sweep, by task and reason (the error's class).",
    ["task", "reason"],
)

ALREADY_QUEUED = Counter(
    "nestcms_already_queued",
    "Tasks that were not sent because the same work waited in the broker already, by task.",
    ["task"],
)

INBOX_WRITE_SECONDS = Histogram(
    "nestcms_inbox_write_seconds",
    "Seconds until a majority confirmed a delivery, or until that failed.",
    ["result"],
    buckets=WRITE_BUCKETS,
)

ALERTS_RAISED = Counter(
    "nestcms_alerts_raised",
    "Alerts raised for operators outside transactions, repeats included, by name.",
    ["name"],
)

TASK_RETRIES = Counter(
    "nestcms_task_retries",
    "Times a task was put back to be tried again, by task and reason (the error's class).",
    ["task", "reason"],
)

CALLS_PARKED = Counter(
    "nestcms_gateway_calls_parked",
    "Calls to PayTabs that were not made now, by kind (query or send) and reason: BreakerOpen or LimitExceeded.",
    ["kind", "reason"],
)

UNLISTED_WORDS = Counter(
    "nestcms_gateway_unlisted_words",
    "Words of PayTabs that no table has, by what they are: error_code, response_code, response_status or tran_type.",
    ["what"],
)

BREAKER_CHANGES = Counter(
    "nestcms_gateway_breaker_changes",
    "Changes of the gateway breaker's state, counted by the one process that brought each about, by the new state.",
    ["state"],
)

MESSAGES_QUARANTINED = Counter(
    "nestcms_messages_quarantined",
    "Messages that were put away instead of being run, by queue and kind: malformed or unknown_task.",
    ["queue", "kind"],
)

DEAD_LETTERS = Counter(
    "nestcms_dead_letters",
    "Tasks that will not be tried again by themselves, by task and kind: given_up, lost_workers or failed.",
    ["task", "kind"],
)

RESULTS_KEPT = Counter(
    "nestcms_results_kept",
    "Results that the result store did not take, and that are stored once it does.",
)

AGGREGATION_SECONDS = Histogram(
    "nestcms_aggregation_seconds",
    "Seconds until an aggregation was answered, waiting included, by name and source: cache, view, primary or replica.",
    ["name", "source"],
    buckets=READ_BUCKETS,
)

AGGREGATION_CACHE = Counter(
    "nestcms_aggregation_cache",
    "How the cache served aggregations, by name and result: hit, stale (served, and a refresh asked for), waited (for "
    "another's build), miss (built here), too_large (built and not kept), fenced (built and not kept, since a later "
    "build has begun) or unavailable (answered without the cache).",
    ["name", "result"],
)

AGGREGATION_PLANS = Counter(
    "nestcms_aggregation_plans",
    "Reads told of in the performance log, by name and finding: slow or scans.",
    ["name", "finding"],
)

SCHEDULE_LAST_SUCCESS = Gauge(
    "nestcms_schedule_last_success_timestamp_seconds",
    "When the task of a periodic entry last succeeded, by entry, in seconds since 1970.",
    ["entry"],
    multiprocess_mode="max",
)

SCHEDULE_RUNS = Counter(
    "nestcms_schedule_runs",
    "Ticks of periodic entries by entry and result: done, failed, or why nothing was to be done: already "
    "(its slot is done), busy (its slot, or another of the entry, is under way, or it waits to be tried again), lost "
    "(its slot's runner was lost) or late.",
    ["entry", "result"],
)

SCHEDULE_MISSED = Counter(
    "nestcms_schedule_missed",
    "Slots of periodic entries that nobody did, by entry, counted at the next one that is begun.",
    ["entry"],
)

REPLICA_LAG = Gauge(
    "nestcms_replica_lag_seconds",
    "How far a secondary lags at most, by member, as its last probe has shown.",
    ["member"],
    multiprocess_mode="livemax",
)

REPLICA_EJECTED = Gauge(
    "nestcms_replica_ejected",
    "1 while a secondary is not read, because it lags or is silent, by member.",
    ["member"],
    multiprocess_mode="livemax",
)

REPLICA_READS = Counter(
    "nestcms_replica_reads",
    "Reads that secondaries serve, by source (replica; primary for want of a replica) and result: done, failed (and "
    "tried elsewhere) or refused (by the cap on such reads at the primary).",
    ["source", "result"],
)

CHANGES_FOLLOWED = Counter(
    "nestcms_changes_followed",
    "Changes in the CMS's collections that the watcher has followed.",
)

VIEW_GROUPS = Counter(
    "nestcms_view_groups_refreshed",
    "Groups of materialised views that were read anew, by view.",
    ["view"],
)

VIEW_DRIFT = Counter(
    "nestcms_view_drift",
    "Groups of materialised views that a rebuild found changed without a pending mark, by view.",
    ["view"],
)

WATCHER_BEHIND = Gauge(
    "nestcms_watcher_behind_seconds",
    "How old the state is that views vouch for, as the last sweep has seen it; infinite while they vouch for nothing.",
    multiprocess_mode="mostrecent",
)

VIEWS_GENERATION = Gauge(
    "nestcms_views_generation",
    "Which map of the CMS's documents the watcher goes by, counted from 1; 0 while there is none. It grows with each "
    "lost history.",
    multiprocess_mode="mostrecent",
)

VIEW_MARKS = Gauge(
    "nestcms_view_marks",
    "Groups of a materialised view that wait for their refresh, by view; beyond 10,000 they are not counted.",
    ["view"],
    multiprocess_mode="mostrecent",
)

VIEW_BUILT = Gauge(
    "nestcms_view_built",
    "1 while a materialised view is of the watcher's generation, so that it may be read, by view.",
    ["view"],
    multiprocess_mode="mostrecent",
)
