"""The heartbeat: one document that whoever reads from secondaries writes every second, to see how far they lag.

There is nothing to install or to restart: a process that stops reading stops writing, and several that write count up
the same number. It is read with the read concern of our reads, so what is measured is what they would see.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

import pymongo
from pymongo import ReadPreference
from pymongo.database import Database
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

Document = dict[str, Any]

#: Where the document is.
COLLECTION, BEAT = "replica_heartbeat", "heartbeat"

#: How long the primary, or a member, has for its part, in seconds.
TIMEOUT_SECONDS = 1.0

#: How many of our own beats are remembered: a member that lags by more is out of any bound.
REMEMBERED = 600


class Heartbeat:
    """Writes the heartbeat and reads it where it is told to.

    Args:
        database: ours.
        monotonic: a clock in seconds.
    """

    def __init__(self, database: Database[Document], monotonic: Callable[[], float]) -> None:
        anywhere = ReadPreference.NEAREST
        self._written = database.get_collection(COLLECTION, write_concern=WriteConcern(w=1))
        self._seen = database.get_collection(COLLECTION, read_preference=anywhere, read_concern=ReadConcern("majority"))
        self._monotonic = monotonic
        self._ours: deque[tuple[int, float]] = deque(maxlen=REMEMBERED)

    def beat(self) -> None:
        """Write the next one.

        Raises:
            PyMongoError: there is no primary that takes it.
        """
        began = self._monotonic()
        change = {"$inc": {"n": 1}, "$currentDate": {"at": True}}
        with pymongo.timeout(TIMEOUT_SECONDS):
            row = self._written.find_one_and_update({"_id": BEAT}, change, upsert=True, return_document=True)
        number = int(row["n"]) if row else 0
        while self._ours and self._ours[-1][0] >= number:
            self._ours.pop()  # a new primary never had those
        self._ours.append((number, began))

    def fresh_as_of(self) -> float | None:
        """Return a time by whose writes the member that is read here has; None for before all that we know of.

        Raises:
            PyMongoError: it does not answer.
        """
        with pymongo.timeout(TIMEOUT_SECONDS):
            row = self._seen.find_one({"_id": BEAT}, {"n": 1})
        number = int(row["n"]) if row else -1
        return max((began for ours, began in tuple(self._ours) if ours <= number), default=None)
