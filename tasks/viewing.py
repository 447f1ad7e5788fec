"""How views and their watcher are put together."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import redis
from bson import Timestamp
from pymongo.database import Database

from aggregations.invalidation import Invalidator
from aggregations.tokens import PREFIX
from aggregations.view_desk import ViewDesk
from aggregations.watching import Outside, Watcher
from config.connections import NO_CACHE, redis_client
from config.settings import Settings
from observability.alerts import Alerts
from payments.database_clock import DatabaseClock
from payments.document_marks import DocumentMarks
from payments.store import Clock
from tasks.publishing import SendTask

Document = dict[str, Any]

#: The task that refreshes a view.
REFRESH = "views.refresh"

#: The task that looks at the documents that the CMS has changed.
LOOK = "maintenance.sweep_documents"

#: How long the cache has for one command, in seconds.
CACHE_SECONDS = 2.0

#: How many of the cache's keys are looked at by one command.
SCANNED = 1_000


def make_desk(db: Database[Document], *, clock: Clock, alerts: Alerts, owner: str) -> ViewDesk:
    """Return who keeps the views."""
    return ViewDesk(db, holder=owner, clock=clock, alert=alerts.raise_alert, resolve=alerts.resolve)


def make_watcher(
    settings: Settings,
    db: Database[Document],
    streaming: Database[Document],
    *,
    alerts: Alerts,
    send: SendTask,
    clock: Clock | None = None,
) -> Watcher:
    """Return the watcher of the CMS's changes.

    Args:
        settings: those of the process.
        db: the CMS's database.
        streaming: the same, from a client whose operations have no time limit.
        alerts: where operators look.
        send: enqueues tasks.
        clock: aware UTC time, in place of the database's.
    """
    cache = redis_client(settings.cache_url or NO_CACHE, timeout_seconds=CACHE_SECONDS)
    marks, now = DocumentMarks(db), clock or DatabaseClock(db)

    def ask_look() -> None:
        if marks.ask(now()):
            send(LOOK, correlation_id=f"watcher-{uuid4()}")

    outside = Outside(
        invalidate=invalidating(Invalidator(cache)),
        forget=lambda: forget_tags(cache),
        outages=(redis.exceptions.RedisError,),
        ask_refresh=lambda name: send(REFRESH, correlation_id=f"watcher-{uuid4()}", name=name),
        alert=alerts.raise_alert,
        note=lambda payments, contracts: marks.note(payments, contracts, now()),
        note_everything=lambda: marks.note_everything(now()),
        ask_look=ask_look,
    )
    return Watcher(
        db, streaming, holder=f"watcher-{uuid4()}", outside=outside, lease_seconds=settings.watcher_lease_seconds
    )


def invalidating(invalidator: Invalidator) -> Callable[[Sequence[str], Timestamp], object]:
    """Return what makes tags out of date as of a time of the database."""
    return lambda tags, at: invalidator.invalidate(tags, at=at)


def forget_tags(cache: redis.Redis) -> None:
    """Remove every tag's token, so that everything that is remembered is a miss, whatever it was built under."""
    cursor = 0
    while True:
        cursor, keys = cache.scan(cursor, match=f"{PREFIX}*", count=SCANNED)
        if keys:
            cache.unlink(*keys)
        if not cursor:
            return
