import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo import MongoClient, WriteConcern
from pymongo.collection import Collection
from pymongo.database import Database

from payments.errors import DeliveryLost, InboxUnavailable
from payments.inbox import POSTPONE_SECONDS, SWEPT_SECONDS, UNCLAIMED_SECONDS, Delivery, Inbox

BODY = b'{"tran_ref":"TST2621800000101"}'
ID = hashlib.sha256(BODY).hexdigest()
LEASE_SECONDS = 30


class Clock:
    """A clock that only moves when told to."""

    def __init__(self) -> None:
        self.now = datetime(2026, 8, 6, 10, 15, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Tell the time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    """The inbox's clock."""
    return Clock()


@pytest.fixture
def rows(database: Database[dict[str, Any]]) -> Collection[dict[str, Any]]:
    """The inbox's collection."""
    return database["webhook_inbox"]


@pytest.fixture
def inbox(rows: Collection[dict[str, Any]], clock: Clock) -> Inbox:
    """An inbox with its indexes."""
    made = Inbox(rows, clock=clock, lease_seconds=LEASE_SECONDS)
    made.ensure_indexes()
    return made


def record(inbox: Inbox, body: bytes = BODY) -> str:
    """Record a body and return its id."""
    return inbox.record(body, {}, correlation_id="c-1").delivery_id


def claim(inbox: Inbox, owner: str = "w-1") -> Delivery:
    """Claim the delivery that must be free."""
    delivery = inbox.claim(ID, owner)
    assert delivery is not None
    return delivery


class TestRecord:
    """A body is stored once and every copy counted."""

    def test_key(self, inbox: Inbox) -> None:
        """The id is the body's SHA-256, and only the first copy is new."""
        first, second = (inbox.record(BODY, {}, correlation_id="c") for _ in range(2))
        assert (first.delivery_id, first.is_new, second.delivery_id, second.is_new) == (ID, True, ID, False)

    def test_every_difference(self, inbox: Inbox) -> None:
        """A body that differs by one byte is another delivery."""
        assert record(inbox) != record(inbox, BODY + b" ")

    def test_write_concern_is_not_the_callers(self, rows: Collection[dict[str, Any]], clock: Clock) -> None:
        """Whatever the collection's write concern was, the inbox waits for a majority's journal."""
        inbox = Inbox(rows.with_options(write_concern=WriteConcern(w=0)), clock=clock)
        assert inbox._rows.write_concern.document == {"w": "majority", "j": True}
        assert inbox.record(BODY, {}, correlation_id="c").is_new

    def test_indeterminate(self, clock: Clock) -> None:
        """A write whose fate is unknown raises InboxUnavailable with the reason."""
        nowhere = MongoClient[dict[str, Any]]("mongodb://127.0.0.1:1", timeoutMS=200)
        with nowhere, pytest.raises(InboxUnavailable) as caught:
            Inbox(nowhere["cms"]["webhook_inbox"], clock=clock).record(BODY, {}, correlation_id="c")
        assert caught.value.delivery_id == ID
        assert caught.value.reason in {"ServerSelectionTimeoutError", "NetworkTimeout"}

    def test_rejected_is_not_worked_off(self, inbox: Inbox, clock: Clock) -> None:
        """A rejected delivery is neither due nor claimable."""
        inbox.record_rejected(BODY, {}, reason="tran_ref: missing", correlation_id="c")
        clock.advance(3600)
        assert inbox.due() == []
        assert inbox.claim(ID, "w-1") is None

    def test_rejected_before(self, inbox: Inbox) -> None:
        """What an earlier version could not read is worked off when it comes again and can be read."""
        inbox.record_rejected(BODY, {}, reason="unknown member", correlation_id="c")
        record(inbox)
        assert claim(inbox).seen == 2


class TestClaim:
    """One worker at a time owns a delivery."""

    def test_claimed(self, inbox: Inbox, clock: Clock) -> None:
        """The owner gets the raw body, the first fence and a lease."""
        record(inbox)
        delivery = claim(inbox)
        assert (delivery.body, delivery.fence, delivery.attempts, delivery.correlation_id) == (BODY, 1, 1, "c-1")
        assert delivery.lease_until == clock.now + timedelta(seconds=LEASE_SECONDS)
        assert delivery.received_at == clock.now

    def test_held(self, inbox: Inbox, clock: Clock) -> None:
        """Nobody else gets it until the lease has ended; then with a higher fence."""
        record(inbox)
        claim(inbox)
        clock.advance(LEASE_SECONDS - 0.001)
        assert inbox.claim(ID, "w-2") is None
        clock.advance(0.001)
        assert claim(inbox, "w-2").fence == 2

    def test_unknown(self, inbox: Inbox) -> None:
        """An id that is not there is nobody's."""
        assert inbox.claim("0" * 64, "w-1") is None


class TestFinish:
    """Only the present owner ends a delivery."""

    def test_done(self, inbox: Inbox, rows: Collection[dict[str, Any]], clock: Clock) -> None:
        """A finished delivery holds its result and is never claimed or due again, also after a repeat."""
        record(inbox)
        inbox.finish(claim(inbox), {"applied": True})
        record(inbox)
        clock.advance(3600)
        row = rows.find_one({"_id": ID})
        assert row is not None
        assert (row["status"], row["result"], row["seen"]) == ("done", {"applied": True}, 2)
        assert "lease_until" not in row
        assert inbox.claim(ID, "w-2") is None
        assert inbox.due() == []

    def test_late_owner(self, inbox: Inbox, clock: Clock) -> None:
        """A worker that was taken over cannot finish or put back, neither before nor after its successor."""
        record(inbox)
        late = claim(inbox)
        clock.advance(LEASE_SECONDS)
        successor = claim(inbox, "w-2")
        with pytest.raises(DeliveryLost) as caught:
            inbox.finish(late, {})
        assert (caught.value.delivery_id, caught.value.fence) == (ID, 1)
        with pytest.raises(DeliveryLost):
            inbox.postpone(late, 1, "late")
        inbox.finish(successor, {})
        with pytest.raises(DeliveryLost):
            inbox.finish(successor, {})

    def test_in_a_transaction(
        self, inbox: Inbox, client: MongoClient[dict[str, Any]], database: Database[dict[str, Any]]
    ) -> None:
        """Together with its effect or not at all."""
        record(inbox)
        delivery = claim(inbox)
        database.create_collection("effects")
        with client.start_session() as session:
            session.start_transaction()
            inbox.finish(delivery, {}, session=session)
            database["effects"].insert_one({"_id": 1}, session=session)
            session.abort_transaction()
            assert database["webhook_inbox"].count_documents({"status": "done"}) == 0
            with session.start_transaction():
                inbox.finish(delivery, {}, session=session)
                database["effects"].insert_one({"_id": 2}, session=session)
        assert database["webhook_inbox"].count_documents({"status": "done"}) == 1
        assert database["effects"].count_documents({}) == 1


class TestPostpone:
    """What PayTabs does not confirm yet is looked at again, ever later."""

    def test_steps(self, inbox: Inbox, clock: Clock) -> None:
        """It is due again after 1, 3, 10, 30 and 120 seconds, not before, and then no more."""
        record(inbox)
        waited = []
        while (delay := (delivery := claim(inbox)).next_delay_seconds) is not None:
            waited.append(delay)
            inbox.postpone(delivery, delay, "query lags")
            clock.advance(delay - 0.001)
            assert inbox.claim(ID, "w-1") is None
            clock.advance(0.001)
        assert waited == list(POSTPONE_SECONDS) == [1, 3, 10, 30, 120]

    def test_own_troubles(self, inbox: Inbox, clock: Clock) -> None:
        """A wait that is not for PayTabs' query spends none of that patience."""
        record(inbox)
        inbox.postpone(claim(inbox), 1, "database gone", counts=False)
        clock.advance(1)
        delivery = claim(inbox)
        assert (delivery.attempts, delivery.postponements, delivery.next_delay_seconds) == (2, 0, 1)


class TestDue:
    """The sweep finds whatever nobody works on, and does not ask for it without end."""

    def test_unclaimed(self, inbox: Inbox, clock: Clock) -> None:
        """A delivery that was not taken is due after ten seconds, then every twenty."""
        record(inbox)
        assert inbox.due() == []
        clock.advance(UNCLAIMED_SECONDS)
        assert inbox.due() == [ID]
        assert inbox.due() == []
        clock.advance(SWEPT_SECONDS)
        assert inbox.due() == [ID]

    def test_swept_is_claimable(self, inbox: Inbox, clock: Clock) -> None:
        """What the sweep has just returned can be claimed."""
        record(inbox)
        clock.advance(UNCLAIMED_SECONDS)
        assert inbox.due() == [ID]
        assert claim(inbox).attempts == 1

    def test_lost_worker(self, inbox: Inbox, clock: Clock) -> None:
        """A delivery whose worker died is due when its lease has ended."""
        record(inbox)
        claim(inbox)
        clock.advance(LEASE_SECONDS - 1)
        assert inbox.due() == []
        clock.advance(1)
        assert inbox.due() == [ID]

    def test_postponed(self, inbox: Inbox, clock: Clock) -> None:
        """A postponed delivery is due at its time."""
        record(inbox)
        inbox.postpone(claim(inbox), 120, "query lags")
        clock.advance(119)
        assert inbox.due() == []
        clock.advance(1)
        assert inbox.due() == [ID]

    def test_limit(self, inbox: Inbox, clock: Clock) -> None:
        """The longest due come first, the rest with the next call."""
        ids = []
        for number in range(3):
            ids.append(record(inbox, str(number).encode()))
            clock.advance(1)
        clock.advance(UNCLAIMED_SECONDS)
        assert [inbox.due(2), inbox.due(2)] == [ids[:2], ids[2:]]

    def test_index(self, inbox: Inbox, rows: Collection[dict[str, Any]], clock: Clock) -> None:
        """The sweep's query reads as many documents as it returns, in index order."""
        record(inbox)
        rows.insert_many([{"_id": f"done-{n}", "status": "done", "sweep_at": clock.now} for n in range(50)])
        query = {"status": {"$in": ["received", "processing"]}, "sweep_at": {"$lte": clock.now + timedelta(hours=1)}}
        explained = rows.find(query).sort("sweep_at", 1).limit(100).explain()
        assert explained["executionStats"]["totalDocsExamined"] == 1
        assert "COLLSCAN" not in str(explained["queryPlanner"]["winningPlan"])
        assert "'stage': 'SORT'" not in str(explained["queryPlanner"]["winningPlan"])
