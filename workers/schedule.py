"""How the schedules' data becomes Celery beat's.

A tick expires with its period, so that ticks never pile up, and leaves no result, since nobody asks for it.
"""

from typing import Any

from config.settings import Settings
from schedules import audit, dead_letters, events, payments, retention, webhooks
from schedules.entries import Entry

#: Every periodic entry of the system.
ENTRIES: tuple[Entry, ...] = (
    *payments.ENTRIES,
    *webhooks.ENTRIES,
    *events.ENTRIES,
    *dead_letters.ENTRIES,
    *audit.ENTRIES,
    *retention.ENTRIES,
)


def beat_schedule(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return Celery's `beat_schedule`, in seconds."""
    return {entry.name: _scheduled(entry, settings) for entry in ENTRIES}


def _scheduled(entry: Entry, settings: Settings) -> dict[str, Any]:
    seconds = float(getattr(settings, entry.every) if isinstance(entry.every, str) else entry.every)
    return {"task": entry.task, "schedule": seconds, "options": {"expires": seconds, "ignore_result": True}}
