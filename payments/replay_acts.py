"""Carrying a replay out as somebody's act: by the command line and by task alike.

What only looks is nobody's act. What mends needs a reason, and stands in the audit trail from its beginning to its end,
however many runs lie between.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from payments.audit_trail import Trail
from payments.errors import InvalidArgument
from payments.events import Context, timestamp
from payments.replay_pieces import Found, Piece
from payments.replaying import PROJECTIONS, Phase, Replayer, ReplayTerms

Document = dict[str, Any]

#: What a replay that mends is called in the trail.
COMMAND = "events replay"

#: How counts are told, in this order.
COUNTED = {
    "payments": "payments", "events": "events", Found.DIFFERING: "differing", Found.MENDED: "mended",
    Found.OUTDATED: "written by an earlier version", Found.MISSING: "without a document",
    Found.LEFT: "left to a person",
    Found.NEWER: "newer than the events", Found.UNREADABLE: "with an unknown event", Found.BUSY: "still being changed",
}  # fmt: skip


def check(terms: ReplayTerms) -> None:
    """Check what is asked for before anything is connected or noted.

    Raises:
        InvalidArgument: there is no such projection, or it mends and nobody says why.
    """
    if terms.projection not in PROJECTIONS:
        raise InvalidArgument("projection", f"one of {', '.join(PROJECTIONS)}")
    if not (terms.reason and terms.reason.strip()) and not terms.dry_run:
        raise InvalidArgument("reason", "a word about why, which is kept, or a dry run: mending changes documents")


def begin(replayer: Replayer, terms: ReplayTerms, replay_id: str | None = None) -> str:
    """Note a replay and return its id.

    Raises:
        InvalidArgument: there is no such projection, its span is empty, or it mends and nobody says why.
    """
    check(terms)
    return replayer.begin(terms, replay_id)


def carry_out(
    replayer: Replayer, trail: Trail, replay_id: str, context: Context, *, reason: str | None, seconds: float,
    watch: Callable[[Piece], None],
) -> Document:  # fmt: skip
    """Go on with a replay until it is done or the time is up, and return its row.

    Args:
        replayer: replays.
        trail: where what mends is written down.
        replay_id: of a replay that was begun.
        context: who goes on with it; whoever began it, where nobody says so.
        reason: why, if there is another reason than the one it was begun with.
        seconds: how much time there is.
        watch: is told each piece.

    Raises:
        InvalidArgument: there is no such replay.
        ReplayTaken: somebody else is going on with it at the same time.
    """
    begun = replayer.row(replay_id)
    if begun["dry_run"] or begun["phase"] == Phase.DONE:
        return replayer.go_on(replay_id, seconds, watch)
    ends = {name: begun[name] and timestamp(begun[name]) for name in ("from", "to")}
    about = {"projection": begun["projection"], "replay_id": replay_id, **ends}
    who = replace(context, requested_by=context.requested_by or begun["by"])
    with trail.act(COMMAND, who, reason=reason or begun["reason"], arguments=about, key=replay_id) as act:
        row = replayer.go_on(replay_id, seconds, watch)
        act.ended, act.outcome = row["phase"] == Phase.DONE, told(row)
    return row


def told(row: Mapping[str, Any]) -> str:
    """Say what a replay has found, and up to when that is complete."""
    counts = {**row["counts"], Found.BUSY: len(row["busy"])}
    found = {words: counts.get(name, 0) for name, words in COUNTED.items()}
    shown = [f"{number} {words}" for words, number in found.items() if number or words == "payments"]
    complete = f"; complete up to {timestamp(row['complete_to'])}" if row["complete_to"] else ""
    return ", ".join(shown) + complete
