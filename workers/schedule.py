"""How the schedules' data becomes Celery beat's.

Beat only ticks: whether there is anything to do is found out by the task, which claims its slot. An entry with slots is
ticked several times in each, so that neither a lost message nor ticks that drift over a slot's edge leave one out. A
tick leaves no result, since nobody asks for it.

While no worker reads, an entry's tick is not sent again before the last one has expired; those that have are thrown
away as soon as one does. A tick expires after its entry's period, but not within five minutes: where beat or a worker
is of the version before, its age is told by their own two clocks, and one that is behind by more than the expiry would
have every tick thrown away.
"""

from collections.abc import Sequence
from typing import Any

from config.queues import SCHEDULE_HEADER
from config.settings import Settings
from schedules.entries import Entry
from schedules.table import ENTRIES
from tasks.due_times import period

__all__ = ["ENTRIES", "beat_schedule"]

#: The longest time between two ticks of an entry with slots, in seconds: so soon is a missed one made up for.
LONGEST_TICK_SECONDS = 60.0

#: How many ticks there are in a slot, at least.
TICKS_IN_A_SLOT = 2

#: How long a tick may wait for a worker, in seconds, however long its entry's period is.
LONGEST_WAIT_SECONDS = 600.0

#: How long it may wait at least, in seconds: so far may beat's clock be behind a worker's.
LEAST_WAIT_SECONDS = 300.0


def beat_schedule(settings: Settings, entries: Sequence[Entry] = ENTRIES) -> dict[str, dict[str, Any]]:
    """Return Celery's `beat_schedule`, in seconds."""
    return {entry.name: _scheduled(entry, settings) for entry in entries}


def _scheduled(entry: Entry, settings: Settings) -> dict[str, Any]:
    seconds = period(entry, settings).total_seconds()
    options = {
        "expires": min(max(seconds, LEAST_WAIT_SECONDS), LONGEST_WAIT_SECONDS),
        "ignore_result": True,
        "headers": {SCHEDULE_HEADER: entry.name},
    }
    tick = seconds if entry.missed == "level" else min(seconds / TICKS_IN_A_SLOT, LONGEST_TICK_SECONDS)
    return {"task": entry.task, "schedule": tick, "options": options}
