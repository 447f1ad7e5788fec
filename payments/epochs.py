"""How far the ledger has come, kept in the database and outside of it: so that a restored database is noticed.

Every send is counted in the database first and outside afterwards. So a copy outside that is ahead of the database
knows of sends that the database has forgotten: it was restored to an earlier state. Nothing is sent from then on until
somebody says so; with that a new epoch begins, under whose carts no forgotten send can have gone out.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from pymongo import ReturnDocument
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError
from pymongo.read_preferences import ReadPreference

from payments.errors import LedgerBehind

Document = dict[str, Any]

#: The collection, and its only document.
COLLECTION = "ledger_epoch"
ONE = {"_id": "epoch"}

#: What is ahead where a process remembers more than the database.
THIS_PROCESS = "this process"

#: By how much the clock that gave a payment its id may be ahead of the database's.
CLOCKS_DIFFER = timedelta(days=1)


@dataclass(frozen=True, order=True)
class Position:
    """How far a ledger has come: its epoch, and how many sends were counted."""

    epoch: int = 0
    sends: int = 0

    def __str__(self) -> str:
        return f"send {self.sends} of epoch {self.epoch}"


@dataclass(frozen=True)
class Restore:
    """One restore: the epoch that began with it, and between which moments sends may have been forgotten."""

    epoch: int
    since: datetime | None
    until: datetime


@dataclass(frozen=True)
class Parked:
    """That a copy outside is ahead: since when that is known, which one, and how far it has come."""

    noticed_at: datetime
    copy: str
    ahead: Position


@dataclass(frozen=True)
class Epoch:
    """The ledger's epoch as the database has it; `at` is when a send was counted last."""

    position: Position = Position()
    restores: tuple[Restore, ...] = ()
    parked: Parked | None = None
    at: datetime | None = None

    @property
    def number(self) -> int:
        """Return its number; 0 until the first restore."""
        return self.position.epoch

    def past(self, born_at: datetime) -> dict[int, datetime]:
        """Return the epochs that may hide sends of a payment, each with the moment until which they were made.

        While sends are parked this epoch is one of them.

        Args:
            born_at: when the payment was made, by its id.
        """
        ends = {
            number: min((one.until for one in self.restores if one.epoch > number), default=None)
            for number in range(self.number)
        }
        if self.parked is not None:
            ends[self.number] = self.parked.noticed_at
        return {number: end for number, end in ends.items() if end is not None and born_at <= end + CLOCKS_DIFFER}


def epoch_of(database: Database[Document], session: ClientSession | None = None) -> Epoch:
    """Return the epoch as a database has it."""
    rows = database.get_collection(COLLECTION, read_preference=ReadPreference.PRIMARY)
    return _read(rows.find_one(ONE, session=session) or {})


class Copy(Protocol):
    """A copy of the position outside the database."""

    @property
    def name(self) -> str:
        """Return what operators call it."""

    def position(self) -> Position | None:
        """Return what stands there; None when nobody can tell."""

    def raise_to(self, position: Position) -> None:
        """Raise it to a position, unless it is there or beyond."""


class Epochs:
    """Counts sends, and tells when the database has forgotten some.

    Args:
        database: whose writes are acknowledged by a majority.
        now: the database's clock.
        copies: those outside that are looked at before every send.
        slow: those that are looked at now and then.
        noticed: told which copy is ahead, in a sentence.
        released: told that sends go out again.
    """

    def __init__(
        self, database: Database[Document], now: Callable[[], datetime], *, copies: Sequence[Copy] = (),
        slow: Sequence[Copy] = (), noticed: Callable[[str], None] = lambda _: None,
        released: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._database = database
        self._rows = database.get_collection(COLLECTION, read_preference=ReadPreference.PRIMARY)
        self._now, self._copies, self._slow = now, copies, slow
        self._noticed, self._released = noticed, released
        self._seen = Position()

    def current(self) -> Epoch:
        """Return the epoch as the database has it."""
        return epoch_of(self._database)

    def admit(self) -> Epoch:
        """Count one send that is about to be made.

        Returns:
            The epoch as it stood before.

        Raises:
            LedgerBehind: a copy outside knows of sends that the database does not.
        """
        # The copies are read before the database is written: what they know it has to know already.
        furthest, name = self._furthest(self._copies)
        while (before := self._counted(furthest)) is None:
            self._ensure()
            self._park(furthest, name)
            self._require_unparked()
        mine = Position(before.number, before.position.sends + 1)
        for one in self._copies:
            one.raise_to(mine)
        self._seen = max(self._seen, mine)
        return before

    def look(self) -> Epoch:
        """Compare the database with every copy, and tell operators while one of them is ahead."""
        furthest, name = self._furthest((*self._copies, *self._slow))
        if furthest > self.current().position:
            self._ensure()
            self._park(furthest, name)
        epoch = self.current()
        if epoch.parked is not None:
            self._noticed(_sentence(epoch.parked, epoch.position))
        return epoch

    def declare(self, since: datetime | None) -> Restore:
        """Begin a new epoch, beyond that of every copy: the database was restored to an earlier state.

        Args:
            since: of when the copy is; when the database knew of a send last, if left out.
        """
        furthest, _ = self._furthest((*self._copies, *self._slow))
        epoch = self.current()
        known = [epoch.position, furthest, epoch.parked.ahead if epoch.parked else Position()]
        new = Position(max(one.epoch for one in known) + 1, max(one.sends for one in known))
        until = epoch.parked.noticed_at if epoch.parked else self._now()
        restore = Restore(new.epoch, since or epoch.at, until)
        self._rows.update_one(
            ONE,
            {
                "$set": {"n": new.epoch, "sends": new.sends, "parked": None},
                "$push": {"restores": {"epoch": new.epoch, "since": restore.since, "until": until}},
            },
            upsert=True,
        )
        for one in self._copies:
            one.raise_to(new)
        self._released()
        return restore

    def _furthest(self, copies: Sequence[Copy]) -> tuple[Position, str]:
        """Return the position of the copy that is furthest, and what it is called."""
        told = [(self._seen, THIS_PROCESS), *((one.position() or Position(), one.name) for one in copies)]
        return max(told)

    def _counted(self, least: Position) -> Epoch | None:
        """Count one send in a database that has come at least so far; None when it has not, or sends are parked."""
        reached = {"$or": [{"n": {"$gt": least.epoch}}, {"n": least.epoch, "sends": {"$gte": least.sends}}]}
        counted = {"$inc": {"sends": 1}, "$set": {"at": self._now()}}
        found = self._rows.find_one_and_update(
            {**ONE, "parked": None, **reached}, counted, return_document=ReturnDocument.BEFORE
        )
        return _read(found) if found is not None else None

    def _ensure(self) -> None:
        """Make the document where there is none yet."""
        if self._rows.find_one(ONE, {"_id": True}) is None:
            with suppress(DuplicateKeyError):
                self._rows.insert_one({**ONE, "n": 0, "sends": 0, "restores": [], "parked": None})

    def _require_unparked(self) -> None:
        epoch = self.current()
        if epoch.parked is not None:
            raise LedgerBehind(_sentence(epoch.parked, epoch.position))

    def _park(self, ahead: Position, name: str) -> None:
        """Write down that a copy is ahead, where the database has not come so far."""
        behind = {"$or": [{"n": {"$lt": ahead.epoch}}, {"n": ahead.epoch, "sends": {"$lt": ahead.sends}}]}
        parked = {
            "noticed_at": self._now(), "copy": name, "ahead": {"epoch": ahead.epoch, "sends": ahead.sends},
        }  # fmt: skip
        done = self._rows.update_one({**ONE, "parked": None, **behind}, {"$set": {"parked": parked}})
        if done.modified_count:
            epoch = self.current()
            self._noticed(_sentence(epoch.parked, epoch.position))


def _sentence(parked: Parked | None, position: Position) -> str:
    if parked is None:
        return "nothing is sent"
    return (
        f"{parked.copy} knows of {parked.ahead}, this database of {position}: it was restored to an earlier state, and "
        "nothing is sent until `nestcms-workers restored` says so"
    )


def _read(found: Document) -> Epoch:
    parked = found.get("parked")
    return Epoch(
        position=Position(found.get("n", 0), found.get("sends", 0)),
        restores=tuple(Restore(**one) for one in found.get("restores", ())),
        parked=Parked(parked["noticed_at"], parked["copy"], Position(**parked["ahead"])) if parked else None,
        at=found.get("at"),
    )
