from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from billiard.exceptions import SoftTimeLimitExceeded
from prometheus_client import REGISTRY
from pymongo.errors import AutoReconnect

from paytabs.resilience import BackoffPolicy
from schedules import table
from tasks import slotted
from tasks.due_times import slot_at
from tasks.slots import Claim, Slots
from tests.integration.schedule.conftest import ENTRIES, START, Desk
from tests.support.waiting import eventually


class TestOnce:
    """A slot's work is done once, whoever ticks and how often."""

    def test_two_beats(self, desk: Desk) -> None:
        """Of two beats' ticks in each of three slots, one in each leads to a run."""
        answers = []
        for _ in range(3):
            answers += [desk.tick("skip"), desk.tick("skip")]
            desk.forward(30)
            answers += [desk.tick("skip"), desk.tick("skip")]
            desk.forward(30)
        assert [answer.get("skipped") for answer in answers] == [None, "already", "already", "already"] * 3
        assert desk.runs == [START + timedelta(minutes=minute) for minute in range(3)]

    def test_at_the_same_moment(self, desk: Desk) -> None:
        """Of eight that claim a slot together, one gets it."""
        slot = slot_at(ENTRIES["skip"], desk.world.settings, desk.now)
        with ThreadPoolExecutor(8) as pool:
            claims = list(pool.map(lambda n: desk.world.slots.claim(slot, f"worker {n}"), range(8)))
        assert [type(claim) for claim in claims].count(Claim) == 1
        assert claims.count("busy") == 7

    def test_level(self, desk: Desk) -> None:
        """What looks at what is due needs no claim: every tick looks, and its last success is noted."""
        assert [desk.tick("level"), desk.tick("level")] == [{"ran": True}] * 2
        assert desk.slots("level") == []
        assert desk.world.slots.of("level")["done_at"] == START

    def test_first_of_all(self, desk: Desk) -> None:
        """Eight first successes at once make one row of the entry's own."""
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: desk.world.slots.succeeded("level"), range(8)))
        assert desk.world.slots.rows.count_documents({"entry": "level"}) == 1

    def test_unscheduled(self, desk: Desk) -> None:
        """What somebody enqueues by hand, or an entry that this version does not know, simply runs."""
        assert [desk.tick("of another version"), desk.tick("of another version")] == [{"ran": True}] * 2
        assert desk.world.slots.rows.count_documents({}) == 0

    def test_of_another_task(self, desk: Desk) -> None:
        """A header that names another task's entry takes no slot of it: the task simply runs."""
        assert [desk.tick("another task's"), desk.tick("another task's")] == [{"ran": True}] * 2
        assert desk.world.slots.rows.count_documents({}) == 0

    def test_metric(self, desk: Desk) -> None:
        """When an entry last succeeded can be watched."""
        desk.tick("skip")
        found = REGISTRY.get_sample_value("nestcms_schedule_last_success_timestamp_seconds", {"entry": "skip"})
        assert found == START.timestamp()


class TestFailure:
    """A slot that was not finished is begun again in its time."""

    def test_tried_again(self, desk: Desk) -> None:
        """A slot that failed waits for the backoff, then runs; once done it is done."""

        def broken() -> None:
            raise KeyError("a mistake of ours")

        desk.does(broken)
        with pytest.raises(KeyError):
            desk.tick("skip")
        assert desk.slots("skip")[0]["error"] == desk.world.slots.of("skip")["error"] == "KeyError"
        desk.does(lambda: None)
        eventually(lambda: "ran" in desk.tick("skip"), what="the next attempt")
        assert desk.tick("skip")["skipped"] == "already"
        assert desk.slots("skip")[0]["attempts"] == 2
        assert len(desk.runs) == 1

    def test_waits(self, desk: Desk) -> None:
        """It is not begun again before its wait is over."""
        policy = BackoffPolicy(base_seconds=3600, factor=1, cap_seconds=3600, horizon_seconds=7200, max_attempts=9)
        slots = Slots(desk.world.db, clock=lambda: desk.now, lease=timedelta(seconds=60), policy=policy)
        slot = slot_at(ENTRIES["skip"], desk.world.settings, desk.now)
        claim = slots.claim(slot, "a worker")
        assert isinstance(claim, Claim)
        assert slots.fail(claim, "KeyError") > 0
        assert slots.claim(slot, "a worker") == "busy"

    def test_passing_error(self, desk: Desk) -> None:
        """An error that may pass puts the tick back into the queue, with the same backoff."""

        def away() -> None:
            raise AutoReconnect("the primary is gone")

        desk.does(away)
        desk.tick("skip", throw=False)
        (row,) = desk.slots("skip")
        assert (row["error"], row["done_at"], row["under_way"]) == ("AutoReconnect", None, False)

    @pytest.mark.parametrize("entry", ["skip", "once"])
    def test_killed_runner(self, desk: Desk, short: Slots, entry: str) -> None:
        """The slot of a runner that was killed is lost when its lease has ended: the next one is begun, not it."""
        slot = slot_at(ENTRIES[entry], desk.world.settings, desk.now)
        assert isinstance(short.claim(slot, "is killed"), Claim)
        assert desk.tick(entry)["skipped"] == "busy"
        eventually(lambda: desk.tick(entry)["skipped"] == "lost", what="the lease's end")
        desk.forward(60)
        assert "ran" in desk.tick(entry)
        assert [(row["attempts"], row["done_at"] is None) for row in desk.slots(entry)] == [(1, True), (1, False)]

    def test_too_slow(self, desk: Desk, short: Slots) -> None:
        """Who comes back after his lease has ended was the only one that ran: his slot is done."""
        slot = slot_at(ENTRIES["skip"], desk.world.settings, desk.now)
        slow = short.claim(slot, "too slow")
        assert isinstance(slow, Claim)
        eventually(lambda: desk.tick("skip")["skipped"] == "lost", what="the lease's end")
        short.finish(slow)
        assert desk.slots("skip")[0]["done_at"] == desk.now
        assert desk.tick("skip")["skipped"] == "already"

    def test_note_without_answer(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        """Work whose end cannot be noted at first is not done again: only the note is repeated."""
        finish, asked = Slots.finish, []

        def lost(self: Slots, claim: Claim) -> None:
            asked.append(claim)
            if len(asked) < 3:
                raise SoftTimeLimitExceeded if len(asked) == 1 else AutoReconnect("no answer")
            finish(self, claim)

        monkeypatch.setattr(Slots, "finish", lost)
        assert "ran" in desk.tick("skip")
        assert desk.tick("skip")["skipped"] == "already"
        assert (len(asked), len(desk.runs)) == (3, 1)

    def test_note_never_made(self, desk: Desk, short: Slots, monkeypatch: pytest.MonkeyPatch) -> None:
        """Work whose end can never be noted is not done again in its slot."""

        def away(_self: Slots, _claim: Claim) -> None:
            raise AutoReconnect("no answer")

        object.__setattr__(desk.world, "slots", short)
        monkeypatch.setattr(slotted, "NOTE_SECONDS", 0.1)
        monkeypatch.setattr(Slots, "finish", away)
        assert "ran" in desk.tick("skip")
        eventually(lambda: desk.tick("skip")["skipped"] == "lost", what="the lease's end")
        assert len(desk.runs) == 1


class TestOverlap:
    """No two runs of an entry are under way at once."""

    def test_next_slot_waits(self, desk: Desk) -> None:
        """The next slot's tick finds the last one under way; after its end it runs."""
        claim = desk.world.slots.claim(slot_at(ENTRIES["skip"], desk.world.settings, desk.now), "a slow one")
        assert isinstance(claim, Claim)
        desk.forward(60)
        assert desk.tick("skip")["skipped"] == "busy"
        desk.world.slots.finish(claim)
        assert "ran" in desk.tick("skip")

    def test_other_entries(self, desk: Desk) -> None:
        """Another entry's run is no hindrance."""
        assert isinstance(desk.world.slots.claim(slot_at(ENTRIES["skip"], desk.world.settings, desk.now), "w"), Claim)
        assert "ran" in desk.tick("once")


class TestMissed:
    """What becomes of missed runs is each entry's own policy."""

    @pytest.mark.parametrize("entry", ["skip", "once"])
    def test_five_missed(self, desk: Desk, entry: str) -> None:
        """After five slots without anybody there is one run, not six; how many were missed is counted."""
        labels = {"entry": entry}
        before = REGISTRY.get_sample_value("nestcms_schedule_missed_total", labels) or 0
        desk.tick(entry)
        desk.forward(6 * 60 + 30)
        for _ in range(4):
            desk.tick(entry)
        assert len(desk.runs) == 2
        assert (REGISTRY.get_sample_value("nestcms_schedule_missed_total", labels) or 0) - before == 5

    def test_period_changed(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        """Slots of a period that is shorter now are not counted for the time when it was longer."""
        labels = {"entry": "skip"}
        before = REGISTRY.get_sample_value("nestcms_schedule_missed_total", labels) or 0
        monkeypatch.setattr(table, "ENTRIES", (replace(ENTRIES["skip"], every=3600),))
        desk.tick("skip")
        monkeypatch.setattr(table, "ENTRIES", (ENTRIES["skip"],))
        desk.forward(3599)
        assert "ran" in desk.tick("skip")
        assert (REGISTRY.get_sample_value("nestcms_schedule_missed_total", labels) or 0) == before

    def test_night_skipped(self, desk: Desk) -> None:
        """With `skip` a slot that nobody began within its hour is left out until the next night."""
        desk.forward(12 * 3600)  # midnight; the slot of the night before is long over
        assert desk.tick("nightly")["skipped"] == "late"
        desk.forward(2.5 * 3600)
        assert "ran" in desk.tick("nightly")
        desk.forward(24 * 3600 + 3601)
        assert desk.tick("nightly")["skipped"] == "late"

    def test_night_made_up_for(self, desk: Desk) -> None:
        """With `once` it is made up for as soon as there is somebody, once for three nights."""
        assert "ran" in desk.tick("nightly-once")
        desk.forward(3 * 24 * 3600)
        assert [("ran" in desk.tick("nightly-once")) for _ in range(3)] == [True, False, False]
        assert len(desk.runs) == 2


class TestClock:
    """A worker's clock that jumps does no slot's work twice, and leaves none out that its policy would not."""

    def test_forwards(self, desk: Desk) -> None:
        """After a jump by an hour the slot of the new time is run, once."""
        desk.tick("once")
        desk.forward(3600)
        assert [("ran" in desk.tick("once")) for _ in range(2)] == [True, False]

    def test_backwards(self, desk: Desk) -> None:
        """Put right again, the slots of the time between are run, and the one that was done early is not repeated."""
        desk.forward(120)
        desk.tick("skip")
        desk.forward(-120)
        ran = []
        for _ in range(4):
            ran.append("ran" in desk.tick("skip"))
            desk.forward(60)
        assert ran == [True, True, False, True]
        assert len(desk.slots("skip")) == len(desk.runs) == 4

    def test_under_way(self, desk: Desk) -> None:
        """A run that is under way is not taken for lost by one whose clock is ahead: the database tells the time."""
        nightly = slot_at(ENTRIES["nightly-once"], desk.world.settings, desk.now)
        assert isinstance(desk.world.slots.claim(nightly, "under way"), Claim)
        desk.forward(3600)
        assert desk.tick("nightly-once")["skipped"] == "busy"


class TestForgotten:
    """Rows do not stay for ever."""

    def test_index(self, desk: Desk) -> None:
        """Slots are removed a week after they were made and were due; an entry's own row, without that time, stays."""
        indexes = desk.world.slots.rows.index_information()
        assert indexes["forgotten_after"]["key"] == [("kept_from", 1)]
        assert indexes["forgotten_after"]["expireAfterSeconds"] == 7 * 86_400
        assert indexes["slot"]["unique"]
        assert indexes["one_at_a_time"]["partialFilterExpression"] == {"under_way": True}
