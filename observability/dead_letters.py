"""Dead letters: what will not be tried again by itself, kept until a person has looked at it.

A letter is written down in two steps, so that none is lost while MongoDB is away: whoever gives something up puts it
into a list beside the queues, and a sweep moves it from there into the collection. A letter's id is made from what it
is about, so moving it twice leaves one row; who writes it has taken everything secret out of it.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Self

from pymongo import DESCENDING, IndexModel
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

Document = dict[str, Any]

#: The collection that letters are kept in.
COLLECTION = "dead_letters"

#: The broker's list in which letters wait for the sweep, newest first.
WAITING_LIST = "quarantine"

#: How many hexadecimal digits an id has: enough to be unique, short enough to be typed.
ID_LENGTH = 16


class Kind(StrEnum):
    """Why nothing happens to it any more."""

    MALFORMED = "malformed"  # a message that no worker can read
    UNKNOWN_TASK = "unknown_task"  # a message for a task that this version does not have
    GIVEN_UP = "given_up"  # tried as often as the policy allows
    LOST_WORKERS = "lost_workers"  # its worker was lost over it, too often
    NEVER_SENT = "never_sent"  # an operation that could not be sent within its horizon, or not at all
    FAILED = "failed"  # an error of ours in a task that nobody waits for


@dataclass(frozen=True)
class Letter:
    """One thing that was given up; nothing in it is secret.

    Attributes:
        letter_id: Made from what it is about; see `letter_id`.
        kind: Why nothing happens to it any more.
        at: When that was decided; aware UTC.
        error: The error's class.
        text: What the error says.
        queue: The queue it was on.
        task: The task's public name, where there is one.
        task_id: The id of the run that was given up.
        correlation_id: What everything about it is found under.
        arguments: The task's arguments by name, or by position, as JSON.
        intact: Whether `arguments` are what the caller gave: only then it can be replayed.
        attempts: How often it was tried.
        raw: The beginning of a message that could not be read.
        size_bytes: How long that message was.
    """

    letter_id: str
    kind: Kind
    at: datetime
    error: str
    text: str
    queue: str | None = None
    task: str | None = None
    task_id: str | None = None
    correlation_id: str | None = None
    arguments: str | None = None
    intact: bool = False
    attempts: int | None = None
    raw: str | None = None
    size_bytes: int | None = None

    def to_json(self) -> str:
        """Write it as the waiting list holds it."""
        return json.dumps({**asdict(self), "at": self.at.isoformat()})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ValueError: it is something else.
        """
        try:
            members = json.loads(text)
            letter = cls(**{**members, "kind": Kind(members["kind"]), "at": datetime.fromisoformat(members["at"])})
        except (KeyError, TypeError) as error:
            raise ValueError("not a letter") from error
        return replace(letter, at=letter.at.astimezone(UTC))


def letter_id(*about: str) -> str:
    """Make the id of the letter about something; the same thing always has the same id."""
    return hashlib.sha256("\n".join(about).encode("utf-8", "backslashreplace")).hexdigest()[:ID_LENGTH]


class DeadLetters:
    """Keeps letters in `dead_letters`, one row per thing that was given up."""

    #: The newest first, of all or of one status.
    INDEXES: Final = (
        IndexModel([("at", DESCENDING)], name="at"),
        IndexModel([("status", 1), ("at", DESCENDING)], name="status_at"),
    )

    def __init__(self, database: Database[Document], *, clock: Callable[[], datetime]) -> None:
        """Use the database whose operators read the letters."""
        self.rows = database[COLLECTION]
        self._clock = clock

    def ensure_indexes(self) -> None:
        """Create the collection's indexes where they are missing."""
        self.rows.create_indexes(list(self.INDEXES))

    def keep(self, letter: Letter) -> None:
        """Write a letter down; what was given up before is counted, and waits for a person again.

        The same letter may be carried twice, by two carriers at once or by one that died between: it counts once.
        """
        members = {name: value for name, value in asdict(letter).items() if name != "letter_id"}
        written_at = letter.at.isoformat()  # MongoDB's own times would take two within a millisecond for one
        another = {"_id": letter.letter_id, "written_at": {"$ne": written_at}}
        change = {
            "$setOnInsert": {"first_at": letter.at, "replays": []},
            "$set": {**members, "kind": letter.kind.value, "status": "waiting", "written_at": written_at},
            "$unset": {"redacted_at": "", "closed": ""},
            "$inc": {"seen": 1},
        }
        with suppress(DuplicateKeyError):
            self.rows.update_one(another, change, upsert=True)

    def newest(self, *, replayed: bool = False, limit: int = 50) -> list[Document]:
        """List rows, newest first: those that wait for a person, or with `replayed` those that were dealt with too."""
        wanted: Document = {} if replayed else {"status": "waiting"}
        return list(self.rows.find(wanted).sort("at", DESCENDING).limit(limit))

    def find(self, beginning: str) -> list[Document]:
        """List the rows, two at most, whose id begins so."""
        return list(self.rows.find({"_id": {"$gte": beginning, "$lt": beginning + "g"}}).limit(2))

    def mark_replayed(self, row: Mapping[str, Any], *, task_id: str, by: str, reason: str | None) -> bool:
        """Note who replays a row, when and why, before it is enqueued; False when another did so at this moment."""
        replay = {"task_id": task_id, "by": by, "reason": reason, "at": self._clock()}
        unchanged = {"_id": row["_id"], "status": row["status"], "replays": {"$size": len(row["replays"])}}
        change = {"$set": {"status": "replayed"}, "$push": {"replays": replay}}
        return self.rows.update_one(unchanged, change).modified_count == 1

    def close(self, row: Mapping[str, Any], *, by: str, reason: str) -> bool:
        """Note that nothing more is to be done about a row; False when it does not wait, or has changed since."""
        unchanged = {"_id": row["_id"], "status": "waiting", "written_at": row.get("written_at")}
        closed = {"by": by, "reason": reason, "at": self._clock()}
        return self.rows.update_one(unchanged, {"$set": {"status": "closed", "closed": closed}}).modified_count == 1

    def unmark_replayed(self, row: Mapping[str, Any], *, task_id: str) -> None:
        """Take a note back whose task could not be enqueued."""
        change = {"$set": {"status": row["status"]}, "$pull": {"replays": {"task_id": task_id}}}
        self.rows.update_one({"_id": row["_id"]}, change)
