"""Tells operators why the database refuses us, also while it takes no alert: the broker keeps that one until it does.

Every process that meets a refusal tells of it, once a minute at most, so the alert stays open for as long as it lasts.
"""

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

import pymongo
import redis
import structlog

from config.connections import redis_client
from observability.alerts import Alerts
from observability.database_refusals import ALERT, REFUSALS, DatabaseRefusal, refusal_in, told_of

log = structlog.get_logger(__name__)

#: Gives the alerts of this process's database for a moment.
OpenAlerts = Callable[[], AbstractContextManager[Alerts]]

#: How often one process tells of the same reason, in seconds.
EVERY_SECONDS: Final = 60.0

#: The broker's hash of alerts that the database did not take, by reason, and for how long it keeps them, in seconds.
KEPT: Final = "alerts:database_refuses"
KEPT_SECONDS: Final = 86_400

#: Seconds that the broker has, and the database.
BROKER_SECONDS: Final = 0.5
DATABASE_SECONDS: Final = 2.0

#: When this process last told of each reason, by the monotonic clock.
_told_at: dict[str, float] = {}


def tell(refusal: DatabaseRefusal, error: BaseException, broker_url: str, opened: OpenAlerts) -> None:
    """Raise the alert, or have the broker keep it; never raise.

    Args:
        refusal: why the database refuses us.
        error: what it said.
        broker_url: where the alert waits while the database takes none.
        opened: gives the alerts.
    """
    last = _told_at.get(refusal.key)
    if last is not None and time.monotonic() - last < EVERY_SECONDS:
        return
    _told_at[refusal.key] = time.monotonic()
    detail = told_of(error, refusal)
    log.error("database_refuses", reason=refusal.key, detail=detail)
    if refusal.shuts_out:
        _keep(refusal.key, detail, broker_url)
        return
    try:
        with opened() as alerts, pymongo.timeout(DATABASE_SECONDS):
            alerts.raise_alert(ALERT, refusal.key, detail)
    except Exception as unkept:  # noqa: BLE001 - whatever it is, the alert is told in another way
        log.warning("alert_not_written", alert=ALERT, key=refusal.key, reason=type(unkept).__name__)
        _keep(refusal.key, detail, broker_url)


def tell_if_refused(error: BaseException, broker_url: str, alerts: Alerts) -> None:
    """Tell of an error if it says that the database refuses us; never raise."""
    if refusal := refusal_in(error):
        tell(refusal, error, broker_url, lambda: nullcontext(alerts))


def carry(alerts: Alerts, broker_url: str) -> int:
    """Raise the alerts that the broker has kept, and return how many there were."""
    carried = 0
    with redis_client(broker_url, timeout_seconds=BROKER_SECONDS) as broker:
        for key, text in broker.hgetall(KEPT).items():
            if key in REFUSALS:
                alerts.raise_alert(ALERT, key, _detail(text))
                carried += 1
            broker.hdel(KEPT, key)
    return carried


def _keep(key: str, detail: str, broker_url: str) -> None:
    Alerts.announce(ALERT, key, detail)
    try:
        with redis_client(broker_url, timeout_seconds=BROKER_SECONDS) as broker:
            broker.hset(KEPT, key, json.dumps({"detail": detail}))
            broker.expire(KEPT, KEPT_SECONDS)
    except (redis.exceptions.RedisError, OSError) as error:
        log.warning("alert_not_kept", alert=ALERT, key=key, reason=type(error).__name__)


def _detail(text: str) -> str:
    """Read what was kept; anybody may have written it."""
    try:
        found: Any = json.loads(text)["detail"]
    except (ValueError, KeyError, TypeError):
        return "the database has refused us"
    return str(found)
