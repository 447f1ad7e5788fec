"""Alerts: what an operator has to know, one document per name and subject, counted while it stays open.

An alert is open from the moment its cause is there until that is gone: `closed_at` says when. Raised anew it is the
same document, open since then.
"""

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

    def ensure_indexes(self) -> None:
        """Create the index that lists open alerts by name, oldest first; harmless when it is there."""
        self.rows.create_index([("name", 1), ("closed_at", 1), ("opened_at", 1)], name="open")

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
            [
                {
                    "$set": {
                        "name": {"$literal": name},
                        "key": {"$literal": key},
                        "opened_at": {"$cond": [{"$eq": ["$closed_at", None]}, "$opened_at", now]},
                        "detail": {"$literal": detail},
                        "last_seen_at": now,
                        "closed_at": None,
                        "count": {"$add": [{"$ifNull": ["$count", 0]}, 1]},
                    }
                }
            ],
            upsert=True,
            session=session,
        )
        if session is None:
            self.announce(name, key, detail)

    def resolve(self, name: str, key: str, left: str = "", session: ClientSession | None = None) -> None:
        """Close an alert whose cause is gone, or say what is left of it; nothing when it is not open.

        Args:
            name: what kind of trouble.
            key: what it is about.
            left: what of it is still there, one sentence; nothing closes the alert.
            session: a transaction to be part of.
        """
        change = {"detail": left} if left else {"closed_at": self._clock()}
        self.rows.update_one({"_id": f"{name}:{key}", "closed_at": None}, {"$set": change}, session=session)

    def resolve_before(self, name: str, moment: datetime) -> None:
        """Close the alerts of a name that were not raised since: what has been done then has cured them."""
        older = {"name": name, "closed_at": None, "last_seen_at": {"$lt": moment}}
        self.rows.update_many(older, {"$set": {"closed_at": self._clock()}})

    def resolve_unseen(self, name: str, key: str, moment: datetime) -> None:
        """Close one alert that was not raised since a moment."""
        unseen = {"_id": f"{name}:{key}", "closed_at": None, "last_seen_at": {"$lt": moment}}
        self.rows.update_one(unseen, {"$set": {"closed_at": self._clock()}})

    def open_keys(self, name: str) -> list[str]:
        """Return what the open alerts of a name are about, the oldest first."""
        found = self.rows.find({"name": name, "closed_at": None}, {"key": 1}).sort("opened_at", 1)
        return [str(row["key"]) for row in found]

    def newest(self, *, closed: bool, limit: int) -> list[dict[str, Any]]:
        """Return open alerts, and closed ones too when asked for, those seen last first."""
        wanted: dict[str, Any] = {} if closed else {"closed_at": None}
        return list(self.rows.find(wanted).sort("last_seen_at", -1).limit(limit))

    def announce(self, name: str, key: str, detail: str) -> None:
        """Log and count an alert that stands."""
        ALERTS_RAISED.labels(name=name).inc()
        log.warning("alert_raised", alert=name, key=key, detail=detail)
