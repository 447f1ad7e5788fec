"""What the tests of replays do: replay, damage what was projected, and look at it byte for byte."""

import socket
from collections.abc import Callable, Sequence
from typing import Any

import bson
import pytest
from bson import ObjectId
from pymongo.database import Database

from payments.cms_fields import OURS
from payments.events import Context
from payments.payment import State
from payments.replay import replayed
from payments.replay_scan import Span
from payments.replaying import Phase, Replayer, ReplayTerms
from payments.store import Change, PaymentStore
from tests.support.cms import mongoose
from tests.support.histories import Group, History, histories

Document = dict[str, Any]
Documents = Database[Document]

#: All of time.
EVERYTHING = Span()


def replay(
    replayer: Replayer, projection: str = "cms_payments", *, dry_run: bool = False, span: Span = EVERYTHING
) -> Document:
    """Replay to the end and return the replay's row."""
    row = replayer.go_on(replayer.begin(ReplayTerms(projection, span, dry_run, "tests", "a reason")))
    assert row["phase"] == Phase.DONE
    return row


def live(store: PaymentStore, payment_id: str, groups: Sequence[Group]) -> None:
    """Have a payment live through what is recorded of it, group by group."""
    for group in groups:
        record(store, payment_id, group)


def record(store: PaymentStore, payment_id: str, group: Group) -> None:
    """Record facts in one change."""

    def work(change: Change) -> None:
        change.record(*group)

    store.change(payment_id, Context(correlation_id="life", source="test"), work)


def stored(database: Documents, least_events: int) -> list[History]:
    """Put whole histories into the database, and the CMS's documents as they were projected with them."""
    made = list(histories(least_events))
    database["payment_events"].insert_many(event.to_document() for one in made for event in one.events)
    database["payments"].insert_many(projected(one) for one in made)
    return made


def projected(history: History) -> Document:
    """Return the CMS's document of a payment, with what its events come to."""
    known = replayed([event.to_document() for event in history.events])
    document = mongoose(title="Second instalment", amount="115.00", currency="SAR", client=ObjectId())
    return document | {"_id": history.payment_id} | known.fields(None)


def ours(database: Documents) -> dict[ObjectId, bytes]:
    """Return what is ours in each of the CMS's documents, byte for byte."""
    return {one["_id"]: bson.encode({name: one.get(name) for name in OURS}) for one in database["payments"].find()}


def theirs(database: Documents) -> dict[ObjectId, bytes]:
    """Return what is the CMS's own in each of its documents, byte for byte, and when it was last changed left out."""
    not_theirs = (*OURS, "updatedAt")
    return {
        one["_id"]: bson.encode({name: value for name, value in one.items() if name not in not_theirs})
        for one in database["payments"].find()
    }


def damage(database: Documents, payment_ids: Sequence[ObjectId]) -> None:
    """Change what was projected, in one way after the other; no way looks as if somebody meant what it says."""
    ways: list[Document] = [
        {"$set": {"gateway.captured": "1.00"}},
        {"$set": {"gateway.state": State.VOIDED, "gateway.flags": ["late_success"]}},
        {"$unset": {"gateway": 1}},
        {"$set": {"gateway": "gone"}},
        {"$unset": {"transR": 1, "gateway.version": 1}},
        {"$set": {"gateway.version": "one", "transR": "TST0"}},
        {"$set": {"gateway.version": 2.0}},
        {"$set": {"gateway.surplus": None}},
        {"$set": {"status": "lost", "gateway": None}},
    ]
    for number, payment_id in enumerate(payment_ids):
        assert database["payments"].update_one({"_id": payment_id}, ways[number % len(ways)]).modified_count == 1


def no_way_out(monkeypatch: pytest.MonkeyPatch, database: Documents) -> list[Any]:
    """Forbid every connection but those to the database's own servers, and list those that were tried."""
    tried: list[Any] = []
    servers = set(database.client.nodes)

    def guarded(real: Callable[..., Any]) -> Callable[..., Any]:
        def connect(self: socket.socket, address: Any, *more: Any) -> Any:
            if address not in servers:
                tried.append(address)
                raise ConnectionRefusedError(f"a replay has no business with {address}")
            return real(self, address, *more)

        return connect

    for way in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, way, guarded(getattr(socket.socket, way)))
    return tried
