"""Which dead letters keep an alert open: those that wait, unless what they were about was done meanwhile.

A sweep, `events redeliver` or a caller who asks again may do what a letter tells of; the letter is then closed, and
nobody looks at it in vain.
"""

import json
import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any, Final

from celery import current_app

import tasks
from observability.alerts import SYSTEM
from observability.dead_letters import DeadLetters, Kind
from schedules.table import ENTRIES
from tasks.alert_keys import OTHER
from tasks.done_work import work_of
from tasks.given_up import task_of
from tasks.wiring import World

Document = dict[str, Any]

#: The task of a reaction; a letter that the reactor has written has no id of a run.
HANDLE: Final = "events.handle"
_BY_REACTOR: Final[Document] = {"task": HANDLE, "kind": Kind.GIVEN_UP, "task_id": None}

#: How many letters one look takes up.
LOOKED_AT: Final = 200

#: Why an alert closes, and a letter.
NONE_WAITS: Final = "none of its dead letters waits any more"
DONE_MEANWHILE: Final = "what it was about was done meanwhile"


@cache
def known_tasks() -> frozenset[str]:
    """Return the public names of the tasks of this version."""
    for module in pkgutil.iter_modules(tasks.__path__):
        import_module(f"tasks.{module.name}")
    return frozenset(name for name in current_app.tasks if not name.startswith("celery."))


def scheduled(task: str | None) -> bool:
    """Tell whether the schedule repeats a task: refused by a version that did not have it yet, its next tick runs."""
    return task in {entry.task for entry in ENTRIES}


def task_letters_closed(world: World, row: Mapping[str, Any]) -> str | None:
    """Tell why a `dead_letter` alert is over, None while one of its letters waits."""
    known = sorted(known_tasks())
    of_task: Document = {"task": row["key"]} if row["key"] != OTHER else {"task": {"$nin": known}}
    wanted = {**of_task, "kind": {"$ne": Kind.NEVER_SENT}, "$nor": [_BY_REACTOR]}
    return _closed(world, wanted)


def operation_letters_closed(world: World, row: Mapping[str, Any]) -> str | None:
    """Tell why an `operation_given_up` alert is over, None while a letter of such an operation waits."""
    return _closed(world, {"task": task_of(row["key"]), "kind": Kind.NEVER_SENT})


def reaction_letters_closed(world: World, row: Mapping[str, Any]) -> str | None:
    """Tell why a `reaction_given_up` alert is over, None while one of the reaction's letters waits."""
    of_reaction = {"arguments": {"$regex": f'"handler": "{row["key"]}"'}}
    return _closed(world, {**_BY_REACTOR, **of_reaction})


def _closed(world: World, wanted: Document) -> str | None:
    letters = DeadLetters(world.db, clock=world.clock)
    waiting = {**wanted, "status": "waiting"}
    for letter in letters.rows.find(waiting).sort("at", 1).limit(LOOKED_AT):
        if work_of(world, letter["task"], arguments_of(letter["arguments"])).done:
            letters.close(letter, by=SYSTEM, reason=DONE_MEANWHILE)
    return None if letters.rows.find_one(waiting, {"_id": 1}) else NONE_WAITS


def arguments_of(text: str | None) -> Document:
    """Return a letter's arguments by name; who wrote them is not known, so they may be anything."""
    try:
        found = json.loads(text or "{}").get("kwargs")
    except (ValueError, AttributeError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}
