"""The whole schedule: every periodic entry of the system."""

from schedules import (
    aggregations,
    alerts,
    audit,
    dead_letters,
    events,
    later,
    payments,
    results,
    retention,
    views,
    webhooks,
)
from schedules.entries import Entry

#: Every periodic entry of the system.
ENTRIES: tuple[Entry, ...] = (
    *payments.ENTRIES,
    *webhooks.ENTRIES,
    *events.ENTRIES,
    *dead_letters.ENTRIES,
    *results.ENTRIES,
    *later.ENTRIES,
    *audit.ENTRIES,
    *retention.ENTRIES,
    *alerts.ENTRIES,
    *aggregations.ENTRIES,
    *views.ENTRIES,
)
