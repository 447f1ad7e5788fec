from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from payments.booking import book
from payments.card_sweep import PAUSES
from payments.inbox import SWEPT_SECONDS, UNCLAIMED_SECONDS
from payments.ladder import LADDERS, POLLING, Ladder, next_step, next_try
from payments.operations import ENQUEUED_FOR, Status
from payments.oversleepers import sleepers, waits, wake
from payments.owed import COLLECTION as OWED
from payments.owed import LADDER_SECONDS
from payments.stored_cards import pause_after
from paytabs.resilience import PARKED_WORK, spread
from paytabs.responses import Answer, Outcome
from tests.integration.payments.stage import Stage
from tests.support.cms import SeededPayment, seed_payment

Document = dict[str, Any]

LEASE, PARKED, HOUR = timedelta(seconds=30), timedelta(seconds=30), timedelta(hours=1)

#: The largest number that a draw may be.
MOST = 0.999999


def largest() -> float:
    """Draw as much as can be drawn."""
    return MOST


def woken(stage: Stage) -> dict[str, int]:
    """Wake what sleeps for too long, by the stage's clock."""
    return wake(stage.database, stage.clock(), lease=LEASE, parked=PARKED)


def asleep(stage: Stage) -> list[str]:
    """List what sleeps for too long, by the stage's clock."""
    return sleepers(stage.database, stage.clock(), lease=LEASE, parked=PARKED)


def operation(stage: Stage, name: str, **members: Any) -> None:
    """Put an operation's row there, with the members that matter."""
    stage.database["payment_operations"].insert_one(
        {"_id": name, "payment_id": name, "attempts": 1, "open": False} | members
    )


class TestWoken:
    """Whatever a clock that was ahead has put to sleep is woken."""

    def test_each_wait(self, stage: Stage) -> None:
        """Of each row of the table one that two days were added to is woken within seconds, a lease shortened; once."""
        now, table = stage.clock(), waits(LEASE)
        for number, wait in enumerate(table):
            outer, _, inner = wait.due.partition(".")
            later = now + timedelta(days=2)
            row = {"_id": f"{number}", "payment_id": number, "due_at": now, "poll_from": later}
            stage.database[wait.collection].insert_one(
                row | plain(wait.rows) | {outer: {inner: later} if inner else later}
            )
        assert sum(woken(stage).values()) == len(table)
        failed = []
        for number, wait in enumerate(table):
            found = stage.database[wait.collection].find_one({"_id": f"{number}"}) or {}
            outer, _, inner = wait.due.partition(".")
            due, held = found[outer][inner] if inner else found[outer], LEASE if wait.is_lease else timedelta(0)
            if not now + held <= due <= now + held + timedelta(seconds=20):
                failed.append((wait, due - now))
            if isinstance(wait.longest, Ladder) and found["poll_from"] != now:
                failed.append((wait, found["poll_from"] - now))
        assert failed == []
        assert (woken(stage), asleep(stage)) == ({}, [])

    def test_an_hour(self, stage: Stage) -> None:
        """An hour too long is noticed where no wait is so long: early on a ladder, of leases, of what was not begun."""
        now, missed = stage.clock(), []
        table = [one for one in waits(LEASE) if isinstance(one.longest, Ladder) or one.longest < HOUR]
        for number, wait in enumerate(table):
            outer, _, inner = wait.due.partition(".")
            later = now + HOUR
            row = {"_id": f"{number}", "payment_id": number, "due_at": now, "poll_from": now - timedelta(seconds=20)}
            stage.database[wait.collection].insert_one(
                row | plain(wait.rows) | {outer: {inner: later} if inner else later}
            )
            missed += [] if any(f" {number}: " in one for one in asleep(stage)) else [wait]
        assert missed == []

    def test_old_worker(self, stage: Stage, seeded: SeededPayment) -> None:
        """A page made, swept and polled by a worker of the version before, an hour ahead, is asked about in time."""
        stage.clock.advance(3600)
        stage.open_page(seeded)
        stage.world.ledger.claim_due(stage.clock() + timedelta(seconds=60), 10)
        stage.clock.advance(-3600)
        assert woken(stage) == {"payment_operations": 1, "event_deliveries": 2}
        row = stage.row(seeded)
        assert row.due_at is not None
        assert row.due_at <= stage.clock() + timedelta(seconds=20)
        assert row.poll_from <= stage.clock()

    def test_within_its_ladder(self, stage: Stage, seeded: SeededPayment) -> None:
        """Through all of its ladder, a page that nobody pays is never woken."""
        stage.open_page(seeded)
        for _ in range(12):
            due = stage.row(seeded).due_at
            assert due is not None
            assert asleep(stage) == []
            stage.live((due - stage.clock()).total_seconds() + 1)


class TestLeftAlone:
    """No wait that is given here is ever cut short."""

    @pytest.fixture(autouse=True)
    def _draws(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have every draw be as long as it may be."""
        monkeypatch.setattr("random.random", largest)

    def test_longest(self, stage: Stage) -> None:
        """Each wait of ladders, policies, sweeps and keys at its longest is left as it is."""
        for name, members in rows(stage):
            collection = members.pop("collection", "payment_operations")
            stage.database[collection].insert_one({"_id": name, "payment_id": name, "attempts": 1} | members)
        assert asleep(stage) == []

    def test_sent_and_failed(self, stage: Stage) -> None:
        """What a send that did not happen waits is left alone, however often it was tried."""
        seeded = seed_payment(stage.database)
        stage.create(seeded)
        row = stage.row(seeded)
        for attempts in range(1, PARKED_WORK.max_attempts):
            tried = replace(row, attempts=attempts, created_at=stage.clock())
            nothing = Answer(Outcome.DID_NOT_HAPPEN, "connect")
            again = book(tried, "cart", nothing, stage.clock(), PARKED_WORK).changes
            operation(stage, f"again-{attempts}", **again | {"attempts": attempts, "poll_from": stage.clock()})
        assert asleep(stage) == []


def rows(stage: Stage) -> Iterator[tuple[str, Document]]:
    """Give rows whose waits are as long as any here may be."""
    now = stage.clock()
    for elapsed in (0, 4, 5, 14, 59, 129, 299, 300, 3_599, 3_600, 21_599, 86_399, 86_400, 400_000):
        start = now - timedelta(seconds=elapsed)
        for kind, ladder in LADDERS.items():
            due = next_try(next_step(start, now, ladder), now, largest)
            yield (
                f"unknown-{kind}-{elapsed}",
                {"status": Status.UNKNOWN, "kind": kind, "poll_from": start, "due_at": due},
            )
        for status in (Status.PENDING, Status.REVIEW, Status.SUCCEEDED, Status.FAILED, Status.REFUSED):
            due = next_try(next_step(start, now, POLLING), now, largest)
            yield f"{status}-{elapsed}", {"status": status, "kind": "refund", "poll_from": start, "due_at": due}
    swept = {"status": Status.NEW, "attempts": 0, "poll_from": now, "due_at": now + ENQUEUED_FOR}
    yield "swept", swept
    yield "key", swept | {"due_at": now + timedelta(seconds=spread(60, largest))}
    yield (
        "sending",
        {"status": Status.SENDING, "due_at": now + LEASE, "lease": {"until": now + LEASE}, "poll_from": now},
    )
    inbox = {"collection": "webhook_inbox", "status": "received", "attempts": 0, "due_at": now}
    for seconds in (UNCLAIMED_SECONDS, SWEPT_SECONDS):
        yield f"delivery-{seconds}", inbox | {"sweep_at": now + timedelta(seconds=seconds)}
    parked = now + timedelta(seconds=PARKED_WORK.delay(60, largest))
    yield "delivery-parked", inbox | {"attempts": 9, "due_at": parked, "sweep_at": parked}
    held = {"due_at": now, "sweep_at": now + LEASE, "lease_until": now + LEASE}
    yield "delivery-held", inbox | held | {"status": "processing"}
    reaction = {"collection": "event_deliveries", "status": "waiting", "attempts": 0}
    yield "reaction", reaction | {"due_at": now + timedelta(seconds=20)}
    yield "reaction-parked", reaction | {"attempts": 9, "due_at": parked}
    yield "reaction-held", reaction | {"status": "working", "due_at": now + LEASE, "lease_until": now + LEASE}
    for seconds in sorted({*LADDER_SECONDS}):
        yield f"owed-{seconds}", {"collection": OWED, "due_at": now + timedelta(seconds=seconds)}
    yield "change", {"collection": "cms_changes", "due_at": now + timedelta(seconds=60)}
    for asked in range(len(PAUSES) + 1):
        yield f"card-{asked}", {"collection": "payment_cards", "ask_at": now + pause_after(asked, PAUSES)}


def plain(query: Document) -> Document:
    """Return members that a simple query finds."""
    chosen: dict[str, Callable[[Any], Any]] = {"$gt": lambda value: value + 1, "$nin": lambda _: Status.PENDING}
    return {
        name: next(chosen[operator](value) for operator, value in wanted.items())
        if isinstance(wanted, dict)
        else wanted
        for name, wanted in query.items()
        if not (isinstance(wanted, dict) and "$type" in wanted)
    }
