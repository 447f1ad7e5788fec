"""Replays: a projection computed again from the stored events, compared with what stands there, and mended.

A replay is a row in `replays` that says how far it has come, so that whoever goes on begins there. It goes through all
payments by ascending id; then it looks once more at those that were being changed, and at those with events younger
than the beginning, or little older: a transaction that was slow to commit may have recorded them. Nothing that reacts
to events can be reached from here.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from uuid import uuid4

from pymongo import ReturnDocument
from pymongo.read_preferences import ReadPreference

from payments.errors import InvalidArgument, ReplayTaken
from payments.replay_pieces import Difference, Piece, Projection, ReplayParts, differing_members
from payments.replay_scan import Span, sliced
from payments.replaying_cms import CmsPayments
from payments.replaying_contracts import ContractStatuses

Document = dict[str, Any]

#: What can be replayed, by name.
PROJECTIONS: Mapping[str, Callable[[ReplayParts], Projection]] = MappingProxyType(
    {"cms_payments": CmsPayments, "contracts": ContractStatuses}
)

#: The collection: one row per replay.
COLLECTION = "replays"

#: An event may be committed as long after it was recorded: a transaction lives at most a minute.
OVERLAP = timedelta(seconds=90)

#: How many payments a closer look takes at once.
CLOSER = 50

#: How many of those that are being changed it takes at once: each of them may take its whole time.
FEW = 5

#: How often in a row payments that are being changed may be looked at in vain.
PATIENCE = 20

#: How many differences a replay's row keeps.
SAMPLES = 50


class Phase(StrEnum):
    """How far a replay has come."""

    SCAN = "scan"  # through all payments
    YOUNG = "young"  # at those with young events, once more
    BUSY = "busy"  # at those that were being changed each time
    DONE = "done"


@dataclass(frozen=True)
class ReplayTerms:
    """What is replayed, over which span, whether it mends, who asked for it and why."""

    projection: str
    span: Span
    dry_run: bool
    by: str | None = None
    reason: str | None = None


class Replayer:
    """Runs replays."""

    def __init__(
        self,
        parts: ReplayParts,
        *,
        projections: Mapping[str, Callable[[ReplayParts], Projection]] = PROJECTIONS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep what the projections need."""
        self.rows = parts.database.get_collection(COLLECTION, read_preference=ReadPreference.PRIMARY)
        self._parts, self._known, self._monotonic = parts, projections, monotonic

    def begin(self, terms: ReplayTerms, replay_id: str | None = None) -> str:
        """Note a replay and return its id; nothing is read yet.

        Args:
            terms: What is asked for.
            replay_id: The id it shall have; a replay of that id that was begun before stays as it is.

        Raises:
            InvalidArgument: there is no such projection, or its span is empty.
        """
        self._projection(terms.projection)
        span, now = terms.span, self._parts.clock()
        if span.since and span.since >= (span.until or now):
            raise InvalidArgument("range", "a beginning before the end")
        begun: Document = {
            "projection": terms.projection, "from": span.since, "to": span.until, "dry_run": terms.dry_run,
            "by": terms.by, "reason": terms.reason, "phase": Phase.SCAN, "position": None, "counts": {}, "members": [],
            "samples": [], "busy": [], "in_vain": 0, "step": 0, "started_at": now, "updated_at": now, "ended_at": None,
            "complete_to": None,
        }  # fmt: skip
        name = replay_id or f"replay-{uuid4().hex[:16]}"
        self.rows.update_one({"_id": name}, {"$setOnInsert": begun}, upsert=True)
        return name

    def row(self, replay_id: str) -> Document:
        """Return a replay's row.

        Raises:
            InvalidArgument: there is no such replay.
        """
        found = self.rows.find_one({"_id": replay_id})
        if found is None:
            raise InvalidArgument("replay_id", f"the id of a replay; there is none with {replay_id}")
        return dict(found)

    def total(self, replay_id: str) -> int:
        """Return about how many events a replay has to go through from its beginning."""
        row = self.row(replay_id)
        return self._projection(row["projection"]).total(_span(row))

    def go_on(
        self, replay_id: str, seconds: float = float("inf"), watch: Callable[[Piece], None] = lambda _: None
    ) -> Document:
        """Go on with a replay until it is done or the time is up, and return its row.

        Args:
            replay_id: Of a replay that was begun; one that is done stays as it is.
            seconds: How much time there is; a piece that is begun is finished.
            watch: Is told each piece.

        Raises:
            InvalidArgument: there is no such replay.
            ReplayTaken: somebody else is going on with it at the same time.
        """
        row, ends_at = self.row(replay_id), self._monotonic() + seconds
        while row["phase"] != Phase.DONE:
            for piece in self._pieces(row):
                row = self._note(row, piece)
                watch(piece)
                if self._monotonic() >= ends_at:
                    return row
            row = self._write(row, self._next_phase(row))
        return row

    def _pieces(self, row: Document) -> Iterator[Piece]:
        """Give what is left of a phase."""
        projection, after = self._projection(row["projection"]), row["position"]
        young, span = Span(row["started_at"] - OVERLAP), _span(row)
        if row["phase"] == Phase.SCAN:
            return projection.pieces(span, after, young=young, dry_run=row["dry_run"])
        once_more = projection.touched(young, after) if row["phase"] == Phase.YOUNG else row["busy"]
        left = sliced(once_more, CLOSER if row["phase"] == Phase.YOUNG else FEW)
        return (projection.again(span, some, dry_run=row["dry_run"]) for some in left)

    def _next_phase(self, row: Document) -> Document:
        """Return what is written when a phase has come to its end."""
        if row["phase"] == Phase.SCAN:
            return {"phase": Phase.YOUNG, "position": None}
        if row["busy"] and row["in_vain"] < PATIENCE:
            return {"phase": Phase.BUSY, "position": None, "in_vain": row["in_vain"] + 1}
        now = self._parts.clock()
        return {"phase": Phase.DONE, "ended_at": now, "complete_to": min(row["to"] or now, now - OVERLAP)}

    def _note(self, row: Document, piece: Piece) -> Document:
        """Write down what a piece has found and how far the replay has come with it."""
        counts = Counter(row["counts"]) + piece.counts
        members = Counter(dict(row["members"])) + differing_members(piece.found)
        samples = [*row["samples"], *map(_sample, piece.differing)][:SAMPLES]
        settled = set(piece.once_more) - set(piece.busy)
        busy = [one for one in dict.fromkeys((*row["busy"], *piece.busy)) if one not in settled]
        in_vain = 0 if len(busy) < len(row["busy"]) else row["in_vain"]
        found = {"counts": counts, "members": [[name, times] for name, times in members.items()], "samples": samples}
        return self._write(row, found | {"busy": busy, "in_vain": in_vain, "position": piece.position})

    def _write(self, row: Document, changes: Document) -> Document:
        """Change a replay's row, unless somebody else has changed it since it was read."""
        noted = {"$set": changes | {"updated_at": self._parts.clock()}, "$inc": {"step": 1}}
        unchanged = {"_id": row["_id"], "step": row["step"]}
        found = self.rows.find_one_and_update(unchanged, noted, return_document=ReturnDocument.AFTER)
        if found is None:
            raise ReplayTaken(row["_id"])
        return dict(found)

    def _projection(self, name: str) -> Projection:
        kind = self._known.get(name)
        if kind is None:
            raise InvalidArgument("projection", f"one of {', '.join(self._known)}")
        return kind(self._parts)


def _span(row: Document) -> Span:
    return Span(row["from"], row["to"])


def _sample(one: Difference) -> Document:
    """Return a difference as it is kept: texts, since what stands in a document may be anything."""
    fields = [[name, str(found), str(expected)] for name, (found, expected) in one.fields.items()]
    return {"payment_id": one.payment_id, "document_id": one.document_id, "found": one.found, "fields": fields}
