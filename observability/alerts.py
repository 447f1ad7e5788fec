"""Alerts: what an operator has to know, one document per name and key, counted while it stays open.

An alert is open from the moment its cause is there until that is gone: `closed_at` says when, `closed_by` and
`closed_why` who closed it and why. Raised anew it is the same document, open and counted since then. What an alert
counts, a transaction or a letter, is its `subject`: the last ones are listed in it, each once, with their own sentence;
`more` says that there were others before. Names, keys and when each closes are a table: see `alert_table`.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import structlog
from pymongo import IndexModel
from pymongo.client_session import ClientSession
from pymongo.database import Database

from observability.alert_changes import LATEST, absorbing, dropping, raising
from observability.alert_table import ALERTS
from observability.metrics import ALERTS_RAISED

__all__ = ["CLOSED_FOR", "LATEST", "SYSTEM", "Alerts", "RaiseAlert", "ResolveAlert"]

log = structlog.get_logger(__name__)

Document = dict[str, Any]

#: How long a closed alert is kept.
CLOSED_FOR: Final = timedelta(days=90)

#: Alerts that are closed.
_CLOSED: Final = {"closed_at": {"$type": "date"}}

#: Who closes an alert whose cause can be seen to be gone.
SYSTEM: Final = "the system"


class RaiseAlert(Protocol):
    """Opens an alert, or counts it again."""

    def __call__(self, name: str, key: str, detail: str, *, subject: str = "") -> None:
        """Raise the alert `name` about `key`, over `subject` where it counts them."""


class ResolveAlert(Protocol):
    """Closes an alert whose cause is gone."""

    def __call__(self, name: str, key: str, *, why: str = "") -> None:
        """Close the alert `name` about `key`."""


class Alerts:
    """Writes the `alerts` collection."""

    #: Open alerts by name, oldest first, and old closed ones.
    INDEXES: Final = (
        IndexModel([("name", 1), ("closed_at", 1), ("opened_at", 1)], name="open"),
        IndexModel("closed_at", partialFilterExpression=_CLOSED, name="closed"),
    )

    def __init__(self, database: Database[Document], *, clock: Callable[[], datetime]) -> None:
        """Use the database whose operators read the alerts."""
        self.rows = database["alerts"]
        self._clock = clock

    def ensure_indexes(self) -> None:
        """Create the indexes that list open alerts by name, oldest first, and that find old closed ones."""
        self.rows.create_indexes(list(self.INDEXES))

    def raise_alert(
        self, name: str, key: str, detail: str, session: ClientSession | None = None, *, subject: str = ""
    ) -> None:
        """Open an alert, or count it again while it is open.

        Args:
            name: what kind of trouble, one of `ALERTS`.
            key: what there is one alert for; of a closed few, or what is in a state that the alert stands for.
            detail: one sentence without personal data.
            session: a transaction to be part of; the alert then exists exactly if its cause does. It is neither
                logged nor counted here, since it may yet be aborted: call `announce` once it has committed.
            subject: which transaction, letter or document this time; the last ones are listed in the alert.
        """
        change = raising(name, key, detail, subject, self._clock())
        # Two may open it at once: by its id alone the server makes one of them an update.
        self.rows.update_one({"_id": f"{name}:{key}"}, change, upsert=True, session=session)
        if session is None:
            self.announce(name, key, detail)

    def resolve(
        self, name: str, key: str, left: str = "", session: ClientSession | None = None, *, why: str = ""
    ) -> None:
        """Close an alert whose cause is gone, or say what is left of it; nothing when it is not open.

        Args:
            name: what kind of trouble.
            key: what it is about.
            left: what of it is still there, one sentence; nothing closes the alert.
            session: a transaction to be part of.
            why: why it is over, in words.
        """
        change = {"detail": left} if left else self._closed(SYSTEM, why)
        self.rows.update_one({"_id": f"{name}:{key}", "closed_at": None}, {"$set": change}, session=session)

    def resolve_before(self, name: str, moment: datetime, *, why: str = "") -> None:
        """Close the alerts of a name that were not raised since: what has been done then has cured them."""
        older = {"name": name, "closed_at": None, "last_seen_at": {"$lt": moment}}
        self.rows.update_many(older, {"$set": self._closed(SYSTEM, why)})

    def resolve_seen(self, row: Mapping[str, Any], why: str) -> bool:
        """Close an alert as it was read; False when it was raised, or closed, since then."""
        return self.rows.update_one(_unchanged(row), {"$set": self._closed(SYSTEM, why)}).modified_count == 1

    def close(self, name: str, key: str, *, by: str, why: str) -> bool:
        """Close an open alert by a person's word; False when it is not open."""
        found = {"_id": f"{name}:{key}", "closed_at": None}
        return self.rows.update_one(found, {"$set": self._closed(by, why)}).modified_count == 1

    def drop(self, name: str, key: str, subject: str, *, why: str) -> None:
        """Take a subject that is dealt with off an open alert; the last one closes it, unless there were others."""
        change = dropping(subject, self._closed(SYSTEM, why))
        self.rows.update_one({"_id": f"{name}:{key}", "closed_at": None}, change)

    def absorb(self, row: Mapping[str, Any], key: str, subject: str) -> bool:
        """Count an open alert with an old key under its new one, and close it; False when it has changed since."""

        def body(session: ClientSession) -> bool:
            closed = self._closed(SYSTEM, f"counted under {row['name']}:{key}")
            if not self.rows.update_one(_unchanged(row), {"$set": closed}, session=session).modified_count:
                return False
            change = absorbing(row, key, subject)
            self.rows.update_one({"_id": f"{row['name']}:{key}"}, change, upsert=True, session=session)
            return True

        with self.rows.database.client.start_session() as session:
            return session.with_transaction(body)

    def forget(self) -> int:
        """Remove the alerts that were closed long ago, and return how many there were."""
        old = {"closed_at": {"$type": "date", "$lte": self._clock() - CLOSED_FOR}}
        return self.rows.delete_many(old).deleted_count

    def resolve_unseen(self, name: str, key: str, moment: datetime) -> None:
        """Close one alert that was not raised since a moment."""
        unseen = {"_id": f"{name}:{key}", "closed_at": None, "last_seen_at": {"$lt": moment}}
        self.rows.update_one(unseen, {"$set": {"closed_at": self._clock()}})

    def open_keys(self, name: str) -> list[str]:
        """Return what the open alerts of a name are about, the oldest first."""
        found = self.rows.find({"name": name, "closed_at": None}, {"key": 1}).sort("opened_at", 1)
        return [str(row["key"]) for row in found]

    def open_rows(self, name: str, limit: int) -> list[Document]:
        """Return open alerts of a name, any of them when there are more than so many."""
        wanted = {"name": name, "closed_at": None}
        return list(self.rows.aggregate([{"$match": wanted}, {"$sample": {"size": limit}}]))

    def newest(self, *, closed: bool, limit: int, name: str | None = None) -> list[Document]:
        """Return open alerts, and closed ones too when asked for, those seen last first."""
        wanted: Document = {} if closed else {"closed_at": None}
        return list(self.rows.find(wanted | ({"name": name} if name else {})).sort("last_seen_at", -1).limit(limit))

    def oldest_of_each(self, limit: int) -> list[tuple[int, list[Document]]]:
        """Return for each name how many alerts are open and the oldest of them, names with the oldest first."""
        stages: list[Document] = [
            {"$match": {"closed_at": None}},
            {"$sort": {"opened_at": 1}},
            {"$group": {"_id": "$name", "open": {"$sum": 1}, "rows": {"$firstN": {"input": "$$ROOT", "n": limit}}}},
            {"$sort": {"rows.0.opened_at": 1}},
        ]
        return [(int(one["open"]), one["rows"]) for one in self.rows.aggregate(stages)]

    @staticmethod
    def announce(name: str, key: str, detail: str) -> None:
        """Log and count an alert that stands."""
        ALERTS_RAISED.labels(name=name).inc()
        log.warning("alert_raised", alert=name, key=key, detail=detail)
        if name not in ALERTS:
            log.error("alert_not_in_table", alert=name)

    def _closed(self, by: str, why: str) -> Document:
        return {"closed_at": self._clock(), "closed_by": by, "closed_why": why}


def _unchanged(row: Mapping[str, Any]) -> Document:
    return {"_id": row["_id"], "closed_at": None, "count": row["count"], "last_seen_at": row["last_seen_at"]}
