"""The real application with one more entry in its schedule, for tests that run beats and workers as processes.

Its task notes each run in the collection `tests_runs`, and does not end while there is a document in `tests_holds`.
Start it as `celery -A tests.support.ticking …`.
"""

import time
from typing import Any

from config.settings import load_settings
from payments.events import Context
from schedules import table
from tasks.arguments import Arguments
from tasks.base import domain_task
from tasks.wiring import World
from tests.support.ticking_entry import ENTRY
from workers.app import app as app  # noqa: PLC0414 - what celery looks for
from workers.schedule import beat_schedule


@domain_task(ENTRY.task, Arguments)
def note(world: World, asked: Arguments, context: Context) -> dict[str, Any]:
    """Note that it ran, and end when nothing holds it any more."""
    del asked
    world.db["tests_runs"].insert_one({"at": world.clock(), "by": context.correlation_id})
    while world.db["tests_holds"].find_one() is not None:
        time.sleep(0.05)
    return {}


table.ENTRIES = (*table.ENTRIES, ENTRY)
app.conf.beat_schedule = beat_schedule(load_settings(), [ENTRY])
