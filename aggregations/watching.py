"""The watcher: follows the CMS's changes and writes down what they put out of date.

For each batch in this order: marks, tags, map, then how far it is. Killed in between, it does the same once more, and
everything in that list may be done twice; marks and tags come before the map, which is how old groups are known. The
cache may be away: marks go on, the tags are kept, and the token stays behind until they are sent. Before the map goes
on without them it is noted that they are owed; another watcher that finds this note makes all that is remembered out of
date, since it cannot know any more what the map was.

A generation begins without a token, when the database has lost what followed it, or when a collection was dropped: the
map is made anew from the collections after a new token was taken, and every view has to be built again.
"""

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import structlog
from bson import ObjectId, Timestamp
from pymongo.database import Database

from aggregations.change_stream import AWAIT_MS, Batch, ChangeStream, Document
from aggregations.changes import MOST_LISTED, OF_COLLECTIONS, OF_DOCUMENTS, Change, Key, order_of
from aggregations.errors import HistoryLost, LeaseLost
from aggregations.following import Effects, Follower
from aggregations.view_filling import Filling, fill
from aggregations.view_marks import Marks
from aggregations.view_members import Members
from aggregations.view_state import WATCHER, Position, ViewState
from aggregations.views import VIEWS
from observability.alerts import RaiseAlert
from observability.metrics import CHANGES_FOLLOWED

log = structlog.get_logger(__name__)

#: How long a watcher is the only one without a sign of life, in seconds.
LEASE_SECONDS = 5.0

#: How often it says how far it is when nothing changes, in seconds.
SAY_SECONDS = 0.5

#: Two requests to refresh one view are at least this far apart, in seconds.
ASK_SECONDS = 0.1

#: Two requests to look at the documents that were changed are at least this far apart, in seconds.
LOOK_SECONDS = 0.5

#: The most tags that wait for a cache that is away; beyond, all that is remembered has to go.
MOST_TAGS = 100_000


@dataclass(frozen=True)
class Outside:
    """What the watcher needs of others.

    Attributes:
        invalidate: makes what is remembered under tags out of date, as of a time of the database.
        forget: makes everything that is remembered out of date.
        outages: what those two raise while the cache is away.
        ask_refresh: has a view refreshed.
        alert: tells operators: a name, what it is about, a sentence.
        note: notes payments and contracts that were changed, for whoever keeps payments.
        note_everything: notes that changes were missed, so that any of them may have been.
        ask_look: has what was noted looked at.
    """

    invalidate: Callable[[Sequence[str], Timestamp], object]
    forget: Callable[[], object]
    outages: tuple[type[Exception], ...]
    ask_refresh: Callable[[str], object]
    alert: RaiseAlert
    note: Callable[[Collection[ObjectId], Collection[ObjectId]], object] = lambda _payments, _contracts: None
    note_everything: Callable[[], object] = lambda: None
    ask_look: Callable[[], object] = lambda: None


class Watcher:
    """Follows one database.

    Args:
        database: the CMS's.
        stream: the same, from a client whose operations have no time limit.
        holder: who this process is.
        outside: what it needs of others.
        lease_seconds: how long another waits before it takes over.
        monotonic: a clock in seconds.
    """

    def __init__(
        self,
        database: Database[Document],
        stream: Database[Document],
        *,
        holder: str,
        outside: Outside,
        lease_seconds: float = LEASE_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db, self._stream_db, self._outside = database, stream, outside
        self._state, self._marks, self._members = ViewState(database, holder), Marks(database), Members(database)
        self._follower, self._lease_seconds, self._monotonic = Follower(self._members), lease_seconds, monotonic
        self._stream: ChangeStream | None = None
        self._fence = 0
        self._unsent: dict[str, Timestamp] = {}
        self._forget = False
        self._owed = self._paid = 0
        self._asked: dict[str, float] = {}
        self._due: set[str] = set()
        self._said = 0.0
        self._partly = False
        self._noted, self._asked_look = False, float("-inf")

    def step(self, await_ms: int = AWAIT_MS) -> bool:
        """Follow the next batch; False while another watcher has the lease.

        Raises:
            LeaseLost: another has taken over meanwhile.
            PyMongoError: the database is away; the next step goes on where this one was.
        """
        if self._stream is None and not self._begin():
            return False
        try:
            batch = self._read(await_ms)
        except HistoryLost as lost:
            self._outside.alert("views_history_lost", WATCHER, f"{lost.reason}: every view is built anew")
            self._new_generation()
            return True
        self._apply(batch)
        return True

    def stop(self) -> None:
        """Give the lease back, so that another need not wait for its end."""
        self._drop_stream()
        self._state.release(WATCHER)

    def reset(self) -> None:
        """Forget what this process knows of its place, after an error; the next step reads it anew."""
        self._drop_stream()

    def _begin(self) -> bool:
        """Take the lease and the place that was reached."""
        row = self._state.taken(WATCHER, self._lease_seconds)
        if row is None:
            return False
        position, same = Position.of(row), row["fence"] == self._fence
        self._fence, self._paid = int(row["fence"]), position.paid
        self._owed = self._owed if same else self._paid
        self._heed(position)
        if position.ready and position.token:
            self._stream = ChangeStream(self._stream_db, position.token)
        else:
            self._new_generation()
        return True

    def _heed(self, position: Position) -> None:
        """Have everything forgotten if the map is ahead of tags that this process does not have."""
        self._forget |= position.owes != self._owed
        self._owed = position.owes

    def _read(self, await_ms: int) -> Batch:
        if self._stream is None:
            raise HistoryLost("there is no token")
        return self._stream.next(self._soonest(await_ms))

    def _apply(self, batch: Batch) -> None:
        changes = [Change.of(event) for event in batch.events]
        effects = self._follower.follow([one for one in changes if one.kind in OF_DOCUMENTS])
        self._marks.change((view, group, at) for (view, group), at in effects.groups.items())
        self._note_payments(effects)
        self._tell(effects)
        self._note()
        fresh = {key: entry for key, entry in effects.entries.items() if key in effects.fresh and not entry.gone}
        self._members.add(fresh)
        self._members.save({key: entry for key, entry in effects.entries.items() if key not in fresh})
        self._due.update(view for view, _ in effects.groups)
        CHANGES_FOLLOWED.inc(len(changes))
        if broken := next((one for one in changes if one.kind in OF_COLLECTIONS), None):
            # The token stays before this batch until the new generation stands: killed here, it is seen again.
            told = f"{broken.kind} of {broken.key.collection or 'the database'}: every view is built anew"
            self._outside.alert("views_collection_changed", broken.key.collection or WATCHER, told)
            self._new_generation()
            return
        now = self._monotonic()
        if changes or self._partly or now >= self._said + SAY_SECONDS:
            self._say(batch)
            self._said, self._partly = now, batch.partly
        self._ask(now)

    def _note_payments(self, effects: Effects) -> None:
        """Note payments and contracts before saying how far this watcher is; killed in between, it does so again."""
        if effects.payments or effects.contracts:
            self._outside.note(effects.payments, effects.contracts)
            self._noted = True

    def _tell(self, effects: Effects) -> None:
        for key in effects.failed:
            self._outside.alert("change_unreadable", key.collection, "a change could not be read: rebuild the views")
        self._tell_cut(effects.cut)
        self._unsent.update(effects.tags)
        if len(self._unsent) > MOST_TAGS:
            self._unsent, self._forget = {}, True
        try:
            if self._forget:
                self._outside.forget()
                self._forget = False
            if self._unsent:
                self._outside.invalidate([*self._unsent], max(self._unsent.values()))
                self._unsent = {}
        except self._outside.outages as error:
            log.warning("tags_not_sent", reason=type(error).__name__, tags=len(self._unsent))

    def _tell_cut(self, keys: Iterable[Key]) -> None:
        for key in keys:
            log.warning("list_cut", collection=key.collection, document=str(key.one), kept=MOST_LISTED)
            told = f"it lists more than {MOST_LISTED} documents: changes to the others show only after a rebuild"
            self._outside.alert("view_list_cut", key.collection, f"{key.one}: {told}", subject=str(key.one))

    def _sent(self) -> bool:
        return not self._unsent and not self._forget

    def _note(self) -> None:
        """Note, before the map goes on, that there are tags that the cache has not taken."""
        if not self._sent() and self._owed == self._paid:
            counted = self._state.owe(self._fence)
            self._forget |= counted != self._owed + 1
            self._owed = counted

    def _say(self, batch: Batch) -> None:
        """Write how far this watcher is, and keep its lease."""
        row = self._state.taken(WATCHER, self._lease_seconds)
        if row is None or row["fence"] != self._fence:
            self._give_up()
            if row is None:
                return
            raise LeaseLost(WATCHER)
        self._heed(Position.of(row))
        reached = {} if batch.reached is None else {"at": batch.reached}
        if self._sent():
            self._state.write(WATCHER, self._fence, {"token": batch.token, "paid": self._owed}, at_least=reached)
            self._paid = self._owed
        else:
            self._state.write(WATCHER, self._fence, {}, at_least=reached)

    def _give_up(self) -> None:
        """Leave the place to the watcher that has taken over, and what this one owes as well."""
        if not self._sent():
            self._state.owe()
        self._unsent, self._forget = {}, False
        self.reset()

    def _ask(self, now: float) -> None:
        if self._noted and now >= self._asked_look + LOOK_SECONDS:
            self._outside.ask_look()
            self._noted, self._asked_look = False, now
        for view in sorted(self._due):
            if now >= self._asked.get(view, float("-inf")) + ASK_SECONDS:
                self._outside.ask_refresh(view)
                self._asked[view] = now
                self._due.discard(view)

    def _soonest(self, await_ms: int) -> int:
        """Return how long to wait for a change: not beyond the next request that is due."""
        return min(await_ms, int(ASK_SECONDS * 1000)) if self._due or self._noted else await_ms

    def _new_generation(self) -> None:
        """Take a token, make the map from what there is, and have every view built anew."""
        self._drop_stream()
        stream = ChangeStream(self._stream_db)
        opened = stream.next(1)
        generation = self._state.position().generation + 1
        log.warning("views_generation_begun", generation=generation)
        self._state.write(WATCHER, self._fence, {"ready": False, "generation": generation})
        self._forget = True
        self._tell(Effects())
        if opened.reached is None:
            raise HistoryLost("the database's tokens do not say their time")
        # Entries that a later watcher has made meanwhile are of a later time, and stay.
        self._members.forget_before(opened.reached)
        order = order_of(opened.token)
        how = Filling(opened.reached, order, lambda: self._while_filling(stream), self._tell_cut)
        fill(self._db, self._members, how)
        # What a document named that has changed before its entry was read, nobody knows: that is forgotten as well.
        self._forget = True
        self._tell(Effects())
        # What was told of meanwhile is followed once more, in its order, now that the map is there.
        self._stream = ChangeStream(self._stream_db, opened.token)
        stream.close()
        self._note()
        done = {"ready": True, "token": opened.token, "at": opened.reached, "generation": generation}
        self._state.write(WATCHER, self._fence, done)
        self._outside.note_everything()
        self._noted = True
        for view in VIEWS:
            self._outside.ask_refresh(view)

    def _while_filling(self, stream: ChangeStream) -> None:
        """Keep the lease, and what is remembered right, while the map is being made."""
        self._state.take(WATCHER, self._lease_seconds)
        self._state.write(WATCHER, self._fence, {})
        batch = stream.next(1)
        changes = [Change.of(event) for event in batch.events]
        followed = self._follower.follow([one for one in changes if one.kind in OF_DOCUMENTS])
        self._tell(Effects(tags=followed.tags))

    def _drop_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
