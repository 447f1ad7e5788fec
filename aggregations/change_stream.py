"""The database's change stream, one batch after the other, with the token that goes on after each batch.

The driver's own change stream gives single changes and keeps its batches to itself; what a batch becomes has to be
written in bulk, so the two commands behind it are sent from here.

All changes of a transaction have one time, and may come in several batches. A batch that ends with one of them does not
reach that time; the next one that has no more of them does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bson import Timestamp
from pymongo import ReadPreference
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import OperationFailure, PyMongoError

from aggregations.changes import LENIENT, stream_pipeline
from aggregations.errors import HistoryLost

Document = dict[str, Any]

#: How many changes a batch has at most.
BATCH = 1_000

#: How long the database waits for a change before it answers that there is none, in milliseconds.
AWAIT_MS = 500

#: What the database says when it cannot go on after a token: the oplog has lost it (286, 136), it is no token (260), or
#: a change that follows it is larger than the database can send (10334), however often it is asked.
LOST_CODES = frozenset({286, 136, 260, 280, 10334})

#: How a token begins that says its time: a timestamp of eight bytes follows, in hexadecimal digits.
_TIMED, _DIGITS = "82", 16


@dataclass(frozen=True)
class Batch:
    """Some changes in their order, the token after them, and the time up to which there are no others.

    `partly` is true when there may be more of the last one's transaction.
    """

    events: list[Document]
    token: Document
    reached: Timestamp | None
    partly: bool = False


class ChangeStream:
    """Changes of the watched collections of a database.

    Args:
        database: the CMS's, from a client whose operations have no time limit of their own: it would replace the
            stream's.
        token: to go on after; None begins now.
    """

    def __init__(self, database: Database[Document], token: Document | None = None) -> None:
        self._db, self.token = database, token
        self._session: ClientSession | None = None
        self._cursor = 0
        self._partly = False

    def next(self, await_ms: int = AWAIT_MS) -> Batch:
        """Return what has changed; nothing when there is no change for a while.

        Raises:
            HistoryLost: the database cannot go on after the token.
            PyMongoError: it cannot be asked; asked again, it goes on where it was.
        """
        before, opening = self.token, self._session is None
        try:
            if opening:
                told = self._open()
            else:
                more = {"getMore": self._cursor, "collection": "$cmd.aggregate", "batchSize": BATCH}
                told = self._command({**more, "maxTimeMS": 1 if self._partly else await_ms})
        except PyMongoError as error:
            self.close()
            if isinstance(error, OperationFailure) and error.code in LOST_CODES:
                raise HistoryLost(str(error.details.get("codeName") if error.details else error)) from error
            raise
        events = told.get("nextBatch", told.get("firstBatch", []))
        self.token = told.get("postBatchResumeToken") or (events[-1]["_id"] if events else self.token)
        if not told["id"]:
            self.close()
        self._partly = bool(events) and "txnNumber" in events[-1] and self.token == events[-1]["_id"]
        reached = time_of(self.token) or (events[-1]["clusterTime"] if events else None)
        # Opened where it was, it has shown nothing yet, and that may be in the midst of a transaction.
        if reached is not None and (self._partly or (opening and self.token == before)):
            reached = just_before(reached)
        return Batch(events, self.token or {}, reached, self._partly)

    def close(self) -> None:
        """Let go of the cursor; the next batch begins another after the token."""
        session, self._session = self._session, None
        if session is not None:
            session.end_session()

    def _open(self) -> Mapping[str, Any]:
        self._session = self._db.client.start_session()
        # `startAfter` goes on after a rename or a drop as well, `resumeAfter` does not.
        after = {"startAfter": self.token} if self.token else {}
        stages = [{"$changeStream": {"fullDocument": "updateLookup", **after}}, *stream_pipeline()]
        opened = {"aggregate": 1, "pipeline": stages, "cursor": {"batchSize": 0}, "comment": "views.watch"}
        told = self._command({**opened, "readConcern": {"level": "majority"}})
        self._cursor = told["id"]
        return told

    def _command(self, command: Document) -> Mapping[str, Any]:
        answer = self._db.command(
            command, session=self._session, codec_options=LENIENT, read_preference=ReadPreference.PRIMARY
        )
        told: Mapping[str, Any] = answer["cursor"]
        return told


def time_of(token: Document | None) -> Timestamp | None:
    """Return the time of the database that a token stands for, None when it does not say."""
    text = str((token or {}).get("_data", ""))
    if not text.startswith(_TIMED) or len(text) < len(_TIMED) + _DIGITS:
        return None
    try:
        raw = bytes.fromhex(text[len(_TIMED) : len(_TIMED) + _DIGITS])
    except ValueError:
        return None
    return Timestamp(int.from_bytes(raw[:4]), int.from_bytes(raw[4:]))


def just_before(at: Timestamp) -> Timestamp:
    """Return the last time of the database before another."""
    return Timestamp(at.time, at.inc - 1) if at.inc else Timestamp(at.time - 1, 2**32 - 1)
