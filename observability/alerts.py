"""Alerts: what an operator has to know, one document per name and subject, counted while it stays open."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import structlog
from pymongo.client_session import ClientSession
from pymongo.database import Database

from observability.metrics import ALERTS_RAISED

log = structlog.get_logger(__name__)


class Alerts:
    """Writes the `alerts` collection."""

    def __init__(self, database: Database[dict[str, Any]], *, clock: Callable[[], datetime]) -> None:
        """Use the database whose operators read the alerts."""
        self.rows = database["alerts"]
        self._clock = clock

    def raise_alert(self, name: str, key: str, detail: str, session: ClientSession | None = None) -> None:
        """Open an alert, or count it again while it is open.

        Args:
            name: what kind of trouble, a constant.
            key: what it is about: a payment's or an operation's id.
            detail: one sentence without personal data.
            session: a transaction to be part of; the alert then exists exactly if its cause does. It is neither
                logged nor counted here, since it may yet be aborted: call `announce` once it has committed.
        """
        now = self._clock()
        self.rows.update_one(
            {"_id": f"{name}:{key}"},
            {
                "$setOnInsert": {"name": name, "key": key, "opened_at": now},
                "$set": {"detail": detail, "last_seen_at": now, "closed_at": None},
                "$inc": {"count": 1},
            },
            upsert=True,
            session=session,
        )
        if session is None:
            self.announce(name, key, detail)

    def announce(self, name: str, key: str, detail: str) -> None:
        """Log and count an alert that stands."""
        ALERTS_RAISED.labels(name=name).inc()
        log.warning("alert_raised", alert=name, key=key, detail=detail)
