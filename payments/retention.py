"""How long what may be about people is kept, and forgetting it in time: a table of collections, one rule each.

Only what is settled is touched: a delivery that is worked on, an operation that is open, a case that waits for a human
keep what they need. Each row is changed in place, by itself and only if nothing has happened to it meanwhile, so that a
run may be stopped anywhere, run twice or beside another. Events are never touched: nothing about people is in them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from pymongo import UpdateOne
from pymongo.collection import Collection
from pymongo.database import Database

from payments.audit_trail import Trail
from payments.errors import EventUnreadable
from payments.events import Context
from payments.inbox import COLLECTION as INBOX
from payments.redacting import redacted_delivery, redacted_letter, redacted_operation
from payments.store import Clock, PaymentStore

Document = dict[str, Any]

#: How many rows are changed at a time.
CHUNK = 200

#: What becomes of a delivery that is a case for a human.
_REVIEW = "review"


def nothing(_row: Mapping[str, Any]) -> bool:
    """Hold nothing back."""
    return False


@dataclass(frozen=True)
class Rule:
    """What is forgotten in one collection.

    Attributes:
        collection: Its name.
        settled: The rows that nobody works on any more.
        by: The time from which a row's age is counted.
        age: How old a row becomes as it is.
        forget: The changes to a row.
        telling: The rows in which there is something to be forgotten.
        held: Whether a row is still needed although it is settled and old.
    """

    collection: str
    settled: Document
    by: str
    age: timedelta
    forget: Callable[[Mapping[str, Any]], Document]
    telling: Document = field(default_factory=dict)
    held: Callable[[Mapping[str, Any]], bool] = nothing

    def due(self, now: datetime) -> Document:
        """Return the query for the rows that have come of age."""
        return {**self.settled, **self.old(now)}

    def old(self, now: datetime) -> Document:
        """Return the query for the rows of the age, settled or not."""
        return {**self.telling, "redacted_at": None, self.by: {"$lte": now - self.age}}


@dataclass(frozen=True)
class Run:
    """What a run did: rows redacted by collection, rows held back, and whether it came to the end."""

    redacted: dict[str, int]
    held: int
    finished: bool

    def to_json(self) -> Document:
        """Return plain JSON values."""
        return {"redacted": self.redacted, "held": self.held, "finished": self.finished}


class Retention:
    """Forgets what has come of age."""

    def __init__(self, database: Database[Document], rules: Sequence[Rule], *, clock: Clock, trail: Trail) -> None:
        """Keep to these rules."""
        self._db, self._rules, self._clock, self._trail = database, tuple(rules), clock, trail

    def run_as_asked(self, context: Context, why: str | None, enough: Callable[[], bool] = bool) -> Run:
        """Redact what has come of age because somebody wants it now, which stands in the audit trail.

        Args:
            context: who wants it.
            why: why.
            enough: as for `run`.
        """
        with self._trail.act("retention run", context, reason=why, arguments={}, key=context.correlation_id) as act:
            done = self.run(enough)
            act.outcome = f"redacted {done.redacted}, held back {done.held}"
        return done

    def run(self, enough: Callable[[], bool] = bool) -> Run:
        """Redact what has come of age, the oldest first.

        Args:
            enough: asked after each chunk; says that the rest is left for another run.
        """
        redacted, held = dict.fromkeys((rule.collection for rule in self._rules), 0), 0
        for rule in self._rules:
            for chunk in self._chunks(rule):
                free = [row for row in chunk if not rule.held(row)]
                held += len(chunk) - len(free)
                redacted[rule.collection] += self._redact(rule, free)
                if enough():
                    return Run(redacted, held, finished=False)
        return Run(redacted, held, finished=True)

    def status(self) -> list[Document]:
        """Return for each collection what is due, what is as old and still open, what is redacted, and the oldest."""
        return [self._status_of(rule) for rule in self._rules]

    def _chunks(self, rule: Rule) -> Iterator[list[Document]]:
        found = self._rows(rule).find(rule.due(self._clock())).sort(rule.by, 1).batch_size(CHUNK)
        while chunk := list(islice(found, CHUNK)):
            yield chunk

    def _redact(self, rule: Rule, rows: Sequence[Document]) -> int:
        if not rows:
            return 0
        now = self._clock()
        still = rule.due(now)
        changes = [UpdateOne({**still, "_id": row["_id"]}, _stamped(rule.forget(row), now)) for row in rows]
        return int(self._rows(rule).bulk_write(changes, ordered=False).modified_count)

    def _status_of(self, rule: Rule) -> Document:
        rows, now = self._rows(rule), self._clock()
        waiting = {**rule.settled, **rule.telling, "redacted_at": None}
        oldest = rows.find_one(waiting, {rule.by: 1}, sort=[(rule.by, 1)])
        return {
            "collection": rule.collection, "age_days": rule.age / timedelta(days=1),
            "due": rows.count_documents(rule.due(now)), "oldest": oldest[rule.by] if oldest else None,
            "open": rows.count_documents({**rule.old(now), "$nor": [rule.settled]}),
            "redacted": rows.count_documents({"redacted_at": {"$type": "date"}}),
        }  # fmt: skip

    def _rows(self, rule: Rule) -> Collection[Document]:
        return self._db[rule.collection]


def rules(store: PaymentStore, *, inbox: timedelta, letters: timedelta) -> tuple[Rule, ...]:
    """List what is forgotten.

    Args:
        store: tells which cases are open.
        inbox: how long deliveries are kept as they came, and operations in their callers' words.
        letters: how long dead letters are kept as they came.
    """
    ended = {"status": {"$in": ["done", "rejected"]}}
    return (
        Rule(INBOX, ended, "received_at", inbox, redacted_delivery, held=_case_of(store)),
        # Its due time is gone once nobody asks about it any more; open or watched ones may have to be sent again.
        Rule(
            "payment_operations", {"open": False, "due_at": None}, "created_at", inbox, redacted_operation,
            telling={"params.title": {"$exists": True}},
        ),
        Rule("dead_letters", {}, "at", letters, redacted_letter),
    )  # fmt: skip


def _case_of(store: PaymentStore) -> Callable[[Mapping[str, Any]], bool]:
    """Tell of a delivery whether a human still has to judge it: it is the evidence."""

    def is_open(row: Mapping[str, Any]) -> bool:
        result = row.get("result") or {}
        if result.get("result") != _REVIEW or not result.get("payment_id"):
            return False
        try:
            claims = store.payment(result["payment_id"]).open_claims
        except EventUnreadable:
            return True
        return any(claim.delivery_id == row["_id"] for claim in claims)

    return is_open


def _stamped(changes: Document, now: datetime) -> Document:
    return {**changes, "$set": {**changes["$set"], "redacted_at": now}}
