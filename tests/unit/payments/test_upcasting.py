from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest

from payments.errors import EventUnreadable
from payments.events import Context, Event, broken_link, canonical_bytes, from_document, seal
from payments.facts import FACTS, Fact, OutcomeUnknown, PageOpened
from payments.upcasting import SCHEMAS, UPCASTERS, Schemas

Document = dict[str, Any]

PAYMENT = "64b000000000000000000001"
NOW = datetime(2026, 8, 6, 10, 15, 30, tzinfo=UTC)


def of_version(version: int, data: Document, type_name: str = "OutcomeUnknown") -> Document:
    """Return the document of an event that another program has stored, its hash included."""
    context = Context(correlation_id="c-1", source="test")
    first = seal(PAYMENT, None, PageOpened(operation_id="op-1", cart_id="nw-1", tran_ref="T1"), NOW, context)
    content = {**first.content, "type": type_name, "schema_version": version, "data": data}
    document = {**first.to_document(), **content, "payment_id": PAYMENT, "recorded_at": NOW}
    return {**document, "hash": sha256(canonical_bytes(content)).hexdigest()}


def renamed(data: Document) -> Document:
    """Make version 2: what was called `cart` is `cart_id`."""
    return {"cart_id": data.pop("cart"), **data}


def worded(data: Document) -> Document:
    """Make version 3: the reason is a word."""
    return {**data, "detail": {1: "timeout", 2: "worker_lost"}[data.pop("reason_number")]}


@pytest.fixture
def third(monkeypatch: pytest.MonkeyPatch) -> Schemas:
    """The facts in a future in which one of them is in its third version."""
    monkeypatch.setattr(OutcomeUnknown, "SCHEMA_VERSION", 3)
    return Schemas(FACTS, {**UPCASTERS, ("OutcomeUnknown", 1): renamed, ("OutcomeUnknown", 2): worded})


class TestOlderVersions:
    """Events of older schema versions are read as facts of today's."""

    @pytest.mark.parametrize(
        ("version", "data"),
        [
            (1, {"operation_id": "op-1", "cart": "nw-1", "reason_number": 2}),
            (2, {"operation_id": "op-1", "cart_id": "nw-1", "reason_number": 2}),
            (3, {"operation_id": "op-1", "cart_id": "nw-1", "detail": "worker_lost"}),
        ],
    )
    def test_chained(self, third: Schemas, version: int, data: Document) -> None:
        """Each version goes through the steps from its own on."""
        event = from_document(of_version(version, data), third)
        assert event.fact == OutcomeUnknown(operation_id="op-1", cart_id="nw-1", detail="worker_lost")
        assert event.schema_version == version

    def test_hash(self, third: Schemas) -> None:
        """The hash is over what is stored; what is written again is what was stored, and a change of it is found."""
        document = of_version(1, {"operation_id": "op-1", "cart": "nw-1", "reason_number": 2})
        event = from_document(document, third)
        assert broken_link([event]) is None
        assert event.to_document()["data"] == {"operation_id": "op-1", "cart": "nw-1", "reason_number": 2}
        forged = document | {"data": {"operation_id": "op-1", "cart": "nw-1", "reason_number": 1}}
        assert broken_link([from_document(forged, third)]) is not None
        upcast = document | {"data": event.fact.to_data()}
        assert broken_link([from_document(upcast | {"schema_version": 3}, third)]) is not None

    def test_sealed_anew(self, third: Schemas) -> None:
        """What follows is stored in the newest version, on the old event's hash."""
        event = from_document(of_version(1, {"operation_id": "op-1", "cart": "nw-1", "reason_number": 2}), third)
        following = seal(PAYMENT, event, event.fact, NOW, event.context)
        assert (following.schema_version, following.prev_hash) == (3, event.hash)
        assert broken_link([event, from_document(_as_stored(following), third)]) is None

    def test_hopeless(self, third: Schemas) -> None:
        """Old data without what its own version had is named, not guessed."""
        with pytest.raises(EventUnreadable, match=r"OutcomeUnknown of schema version 1.*cart"):
            from_document(of_version(1, {"operation_id": "op-1"}), third)


class TestNewerVersions:
    """Events that a newer program has stored while this one still runs."""

    def test_enough(self) -> None:
        """Where all that this version needs is there, it reads on."""
        data = {"operation_id": "op-1", "cart_id": "nw-1", "detail": "timeout", "colour": "blue"}
        event = from_document(of_version(7, data))
        assert event.fact == OutcomeUnknown(operation_id="op-1", cart_id="nw-1", detail="timeout")
        assert broken_link([event]) is None
        assert event.to_document()["data"] == data

    def test_not_enough(self) -> None:
        """Where something is missing, that is an error with a name; nothing is decided on half a history."""
        with pytest.raises(EventUnreadable, match=r"OutcomeUnknown of schema version 7.*detail") as caught:
            from_document(of_version(7, {"operation_id": "op-1", "cart_id": "nw-1"}))
        assert (caught.value.type_name, caught.value.schema_version) == ("OutcomeUnknown", 7)

    def test_unknown_fact(self) -> None:
        """So is a fact that this version has never heard of."""
        with pytest.raises(EventUnreadable, match=r"PaymentTeleported of schema version 1.*no such fact"):
            from_document(of_version(1, {}, "PaymentTeleported"))


class TestTable:
    """The table of steps."""

    def test_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A new version without a step from the one before fails at start, not at an old event."""
        monkeypatch.setattr(PageOpened, "SCHEMA_VERSION", 2)
        with pytest.raises(ValueError, match="'PageOpened', 1"):
            Schemas(FACTS, {})

    @pytest.mark.parametrize("idle", [("PageOpened", 1), ("PageOpened", 0), ("NoSuchFact", 1)])
    def test_idle(self, idle: tuple[str, int]) -> None:
        """A step from a version that there is not, or of no fact, is a mistake as well."""
        with pytest.raises(ValueError, match=idle[0]):
            Schemas(FACTS, {**UPCASTERS, idle: dict})

    def test_ours(self) -> None:
        """The system reads with the whole table."""
        assert SCHEMAS.kinds == FACTS
        assert all(issubclass(kind, Fact) for kind in SCHEMAS.kinds.values())


def _as_stored(event: Event) -> Document:
    return event.to_document() | {"payment_id": event.payment_id}
