import json
from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from pathlib import Path
from typing import Any, get_type_hints

import bson
import pytest
from bson.codec_options import CodecOptions
from bson.decimal128 import Decimal128
from hypothesis import given
from hypothesis import strategies as st

from payments.errors import EventUnreadable
from payments.events import (
    GENESIS_HASH,
    Context,
    Event,
    broken_link,
    canonical_bytes,
    envelope,
    from_document,
    seal,
    timestamp,
)
from payments.facts import FACTS, Fact, PageOpened, PaymentCompleted
from payments.payment import State
from tests.unit.payments.stories import CREATED, opened, seen, sent

GOLDEN = json.loads((Path(__file__).parent / "golden" / "history.json").read_text(encoding="utf-8"))
PAYMENT = "64b000000000000000000001"
NOW = datetime(2026, 8, 6, 10, 15, 30, 123_000, tzinfo=UTC)
CONTEXT = Context(correlation_id="c-1", source="test")
PAID = PaymentCompleted(state=State.PAID, amount="115.00", currency="SAR", tran_ref="T1")
FACTS_TOLD: list[Fact] = [CREATED, sent(), opened(), seen("T1", "sale", "A"), PAID]

Document = dict[str, Any]


def sealed(told: list[Fact], now: datetime = NOW, context: Context = CONTEXT) -> list[Event]:
    """Return a chain of events, a second apart."""
    chain: list[Event] = []
    for number, fact in enumerate(told):
        chain.append(seal(PAYMENT, chain[-1] if chain else None, fact, now + timedelta(seconds=number), context))
    return chain


def stored(document: Document) -> Document:
    """Return a document as MongoDB gives it back."""
    found: Document = bson.decode(bson.encode(document), CodecOptions(tz_aware=True, tzinfo=UTC))
    return found


def documents() -> list[Document]:
    """Return a history as MongoDB gives it back."""
    return [stored(event.to_document()) for event in sealed(FACTS_TOLD)]


def found_broken(history: list[Document]) -> int | None:
    """Return the place in a stored history at which the chain is found broken."""
    events = [from_document(document) for document in history]
    broken = broken_link(events)
    return events.index(broken) if broken else None


class TestGolden:
    """The canonical bytes are fixed: hashes written today are checked for years."""

    def test_bytes(self) -> None:
        """Each event of the golden history has exactly these bytes, and the hash of these bytes."""
        for golden in GOLDEN:
            event = from_document(_document(golden))
            assert canonical_bytes(envelope(event)).decode() == golden["canonical"]
            assert sha256(golden["canonical"].encode()).hexdigest() == golden["hash"] == event.hash

    def test_chain(self) -> None:
        """The golden history begins at the genesis hash and is whole."""
        events = [from_document(_document(golden)) for golden in GOLDEN]
        assert events[0].prev_hash == GENESIS_HASH
        assert broken_link(events) is None

    def test_sealed_again(self) -> None:
        """Sealing the same facts gives the same hashes, those apart that are in a later version by now."""
        previous: Event | None = None
        for golden in GOLDEN:
            event = from_document(_document(golden))
            again = seal(event.payment_id, previous, event.fact, event.recorded_at, event.context)
            assert (again.hash == golden["hash"]) == (event.schema_version == event.fact.SCHEMA_VERSION)
            previous = event


class TestRoundTrip:
    """What MongoDB gives back is what was sealed."""

    def test_events(self) -> None:
        """Events come back equal, with their hash, through BSON."""
        assert [from_document(document) for document in documents()] == sealed(FACTS_TOLD)

    def test_written_again(self) -> None:
        """A document read and written again is the same document."""
        assert [stored(from_document(one).to_document()) for one in documents()] == documents()

    @given(
        moment=st.datetimes(
            min_value=datetime(1970, 1, 2), max_value=datetime(2200, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
            timezones=st.sampled_from([UTC, timezone(timedelta(hours=3)), timezone(-timedelta(hours=9, minutes=30))]),
        )
    )  # fmt: skip
    def test_times(self, moment: datetime) -> None:
        """Any zone and any microsecond: the hash survives MongoDB, which keeps UTC milliseconds."""
        event = seal(PAYMENT, None, CREATED, moment, CONTEXT)
        again = from_document(stored(event.to_document()))
        assert again == event
        assert broken_link([again]) is None
        assert event.recorded_at.tzinfo is UTC
        assert timedelta(0) <= moment - event.recorded_at < timedelta(milliseconds=1)

    @given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
    def test_texts(self, text: str) -> None:
        """Any text, Arabic included, keeps the hash."""
        event = seal(PAYMENT, None, CREATED, NOW, Context(correlation_id=text, source="طلب", requested_by=text))
        assert broken_link([from_document(stored(event.to_document()))]) is None

    def test_naive_time(self) -> None:
        """A time without a zone is refused, not taken for local time."""
        with pytest.raises(ValueError, match="aware"):
            timestamp(datetime(2026, 8, 6))  # noqa: DTZ001 - the subject
        with pytest.raises(ValueError, match="aware"):
            seal(PAYMENT, None, CREATED, datetime(2026, 8, 6), CONTEXT)  # noqa: DTZ001 - the subject


class TestTampering:
    """A changed history is found, at the event where it was changed."""

    def test_whole(self) -> None:
        """An untouched history is whole, and so is none at all."""
        assert found_broken(documents()) is None
        assert broken_link([]) is None

    @pytest.mark.parametrize("place", range(5))
    @pytest.mark.parametrize(
        "change",
        [
            {"schema_version": 0},
            {"schema_version": 2},
            {"correlation_id": "other"},
            {"causation_id": "x"},
            {"requested_by": "x"},
            {"operation_id": "x"},
            {"source": "other"},
            {"recorded_at": NOW - timedelta(milliseconds=1)},
            {"hash": "f" * 64},
            {"prev_hash": "f" * 64},
            {"version": 9},
            {"payment_id": bson.ObjectId()},
            {"smuggled": "in"},
        ],
        ids=lambda change: next(iter(change.items())),
    )
    def test_member(self, place: int, change: Document) -> None:
        """Every member of the envelope is covered, one that nobody knows included."""
        history = documents()
        history[place] |= change
        # A foreign payment's id at the head shows where the history goes on as ours; the hash shows it there already.
        assert found_broken(history) == place

    @pytest.mark.parametrize("value", ["116.00", 115, 115.0, None, Decimal128("115.00"), b"115.00", NOW])
    def test_data(self, value: object) -> None:
        """A member of the fact that is changed, be it to something that is no JSON, is found."""
        history = documents()
        history[0]["data"]["amount"] = value
        assert found_broken(history) == 0

    def test_data_added(self) -> None:
        """A member that the fact does not know is ignored by the fold but not by the hash."""
        history = documents()
        history[2]["data"]["smuggled"] = "in"
        assert found_broken(history) == 2

    def test_data_dropped(self) -> None:
        """A member taken out is found."""
        history = documents()
        del history[3]["data"]["profile_id"]
        assert found_broken(history) == 3

    @pytest.mark.parametrize("place", range(4))
    def test_dropped(self, place: int) -> None:
        """An event taken out is missed at the one that followed it."""
        history = documents()
        del history[place]
        assert found_broken(history) == place

    @pytest.mark.parametrize("place", range(4))
    def test_reordered(self, place: int) -> None:
        """Two events swapped are found at the first of them."""
        history = documents()
        history[place], history[place + 1] = history[place + 1], history[place]
        assert found_broken(history) == place

    @pytest.mark.parametrize("place", range(5))
    def test_inserted(self, place: int) -> None:
        """An event put in between, rightly sealed on its predecessor, is missed by the link of the next."""
        chain = sealed(FACTS_TOLD)
        forged = seal(PAYMENT, chain[place - 1] if place else None, seen("T9", "sale", "A"), NOW, CONTEXT)
        assert broken_link([*chain[:place], forged, *chain[place:]]) == chain[place]

    def test_repeated(self) -> None:
        """An event told twice is found."""
        chain = sealed(FACTS_TOLD)
        assert broken_link([*chain[:2], *chain[1:]]) is chain[1]


class TestNewerVersions:
    """An event that a newer version of this program stored."""

    def test_unknown_members(self) -> None:
        """Members it added, in the fact or beside it, keep their part in the hash and are kept when read."""
        newer = documents()[2]
        newer["data"]["colour"], newer["shard"], newer["schema_version"] = "blue", 7, 2
        content = {name: value for name, value in newer.items() if name not in ("_id", "hash")}
        content |= {"payment_id": PAYMENT, "recorded_at": timestamp(newer["recorded_at"])}
        newer["hash"] = sha256(canonical_bytes(content)).hexdigest()
        event = from_document(stored(newer))
        assert broken_link([*sealed(FACTS_TOLD)[:2], event]) is None
        assert event.fact == opened()
        assert stored(event.to_document()) == newer

    def test_unknown_type(self) -> None:
        """A fact of an unknown type stops the reading: half a history must decide nothing."""
        with pytest.raises(EventUnreadable, match="PaymentTeleported"):
            from_document(documents()[0] | {"type": "PaymentTeleported"})


class TestFacts:
    """The facts themselves."""

    def test_unknown_member(self) -> None:
        """A member that this version does not know is left out."""
        data = opened().to_data() | {"colour": "blue"}
        assert PageOpened.from_data(data) == PageOpened(operation_id="op-1", cart_id="cart-1", tran_ref="T1")

    @pytest.mark.parametrize("kind", FACTS.values(), ids=FACTS)
    def test_plain(self, kind: type[Fact]) -> None:
        """Every fact holds text, whole numbers and lists of text only: their canonical form leaves no choice."""
        hints = get_type_hints(kind)
        assert {str(hints[one.name]) for one in fields(kind)} <= {
            "<class 'str'>", "<class 'int'>", "str | None", "int | None", "tuple[str, ...]", "tuple[str, ...] | None",
        }  # fmt: skip

    def test_absent(self) -> None:
        """What is absent is left out of the data, so that a member added later changes no old hash."""
        assert "code" not in seen("T1", "sale", "A").to_data()


def _document(golden: Document) -> Document:
    """Return the stored form of a golden event."""
    content = json.loads(golden["canonical"])
    moment = datetime.fromisoformat(content["recorded_at"])
    own = {"payment_id": bson.ObjectId(content["payment_id"]), "recorded_at": moment, "hash": golden["hash"]}
    return stored({"_id": "x", **content, **own})
