from datetime import timedelta
from itertools import islice
from typing import Any

import pytest
from pymongo.database import Database

from payments.cms_fields import ADDED
from payments.errors import InvalidArgument, NotYet, ReplayTaken
from payments.outbox import COLLECTION as DELIVERIES
from payments.replay_pieces import Piece
from payments.replay_scan import Span
from payments.replay_views import differs
from payments.replaying import Phase, Replayer, ReplayTerms
from tests.integration.payments.stage import DECLINED, Stage
from tests.support.cms import SeededPayment, seed_payment
from tests.support.histories import LONG_AGO, tellings
from tests.support.replays import EVERYTHING, damage, live, no_way_out, ours, replay, stored, theirs

Documents = Database[dict[str, Any]]


@pytest.fixture
def replayer(stage: Stage) -> Replayer:
    """The world's replays."""
    return stage.world.replayer


class TestFields:
    """A replay writes what was written with the events, byte for byte."""

    def test_lost_wholly(self, stage: Stage, replayer: Replayer, database: Documents) -> None:
        """All fields of payments that lived through the store are computed again, and nothing else is touched."""
        for telling in islice(tellings(), 30):
            live(stage.world.store, seed_payment(database).payment_id, telling.groups)
        before = ours(database), theirs(database)
        database["payments"].update_many({}, {"$set": {"status": "pending"}, "$unset": {"gateway": 1, "transR": 1}})
        stage.clock.advance(600)
        row = replay(replayer)
        assert (ours(database), theirs(database)) == before
        assert row["counts"] == {"payments": 30, "events": database["payment_events"].count_documents({}), "mended": 30}
        assert {one["updatedAt"] for one in database["payments"].find()} == {stage.clock.now}

    def test_thousands(self, replayer: Replayer, database: Documents) -> None:
        """Among thousands of events exactly the documents that were damaged are found, and mended to the byte."""
        made = stored(database, 3_000)
        before = ours(database), theirs(database)
        assert replay(replayer, dry_run=True)["counts"] == {
            "payments": len(made), "events": sum(len(one.events) for one in made)
        }  # fmt: skip
        hurt = [one.payment_id for one in made[::17]]
        damage(database, hurt)
        damaged = ours(database)
        assert replay(replayer, dry_run=True)["counts"]["differing"] == len(hurt)
        assert ours(database) == damaged
        row = replay(replayer)
        assert row["counts"]["mended"] == len(hurt)
        assert (ours(database), theirs(database)) == before
        assert {name for name, _ in row["members"]} >= {"status", "transR", "gateway", "gateway.captured"}

    def test_of_the_version_before(self, stage: Stage, replayer: Replayer, database: Documents) -> None:
        """Documents that lack only what is new are no difference; those to which it says something are completed."""
        sold, lost = (seed_payment(database) for _ in range(2))
        stage.paid(sold)
        stage.sandbox.pay(stage.open_page(lost), DECLINED)
        stage.verify(lost)
        before = {one: stage.cms(one)["gateway"] for one in (sold, lost)}
        decline = stage.cms(lost)["gateway"]["decline"]
        assert decline["of"] == "payment"
        assert stage.cms(sold)["gateway"]["decline"] is None
        assert stage.get(lost).decline == decline
        database["payments"].update_many({}, {"$unset": {f"gateway.{name}": 1 for name in ADDED}})
        stage.clock.advance(600)
        looked = replay(replayer, dry_run=True)
        assert (looked["counts"]["outdated"], differs(looked)) == (1, False)
        assert (looked["samples"], looked["members"]) == ([], [])
        row = replay(replayer)
        assert row["counts"] == {"payments": 2, "events": looked["counts"]["events"], "outdated": 1}
        assert stage.cms(lost)["gateway"] == before[lost]
        of_before = {name: value for name, value in before[sold].items() if name not in ADDED}
        assert stage.cms(sold)["gateway"] == of_before
        assert set(replay(replayer)["counts"]) == {"payments", "events"}

    def test_open_page(self, stage: Stage, replayer: Replayer, seeded: SeededPayment, database: Documents) -> None:
        """The page of the open operation belongs to it; it is gone when the payer has been there."""
        tran_ref = stage.open_page(seeded)
        before = ours(database)
        assert replay(replayer)["counts"] == {"payments": 1, "events": 3}
        database["payments"].update_one({"_id": seeded.payment}, {"$set": {"gateway.redirect_url": None}})
        assert replay(replayer)["members"] == [["gateway.redirect_url", 1]]
        assert ours(database) == before
        stage.sandbox.pay(tran_ref, DECLINED)
        stage.verify(seeded)
        assert "mended" not in replay(replayer)["counts"]
        assert stage.cms(seeded)["gateway"]["redirect_url"] is None

    def test_reference_kept(self, stage: Stage, replayer: Replayer, seeded: SeededPayment, database: Documents) -> None:
        """A reference that the CMS was given stays although the attempt that is under way has none yet."""
        stage.sandbox.pay(stage.open_page(seeded), DECLINED)
        stage.verify(seeded)
        first = stage.cms(seeded)["transR"]
        stage.clock.advance(1)
        with pytest.raises(NotYet):
            stage.create(seeded, stage.another_world(paytabs_base_url="http://127.0.0.1:9"))
        assert stage.cms(seeded)["gateway"]["tran_ref"] is None
        assert stage.cms(seeded)["transR"] == first
        assert "mended" not in replay(replayer)["counts"]
        database["payments"].update_one({"_id": seeded.payment}, {"$unset": {"transR": 1}})
        assert replay(replayer)["members"] == [["transR", 1]]
        assert stage.cms(seeded)["transR"] == first


class TestLeftAlone:
    """What cannot be told better is not touched."""

    def test_newer(self, stage: Stage, replayer: Replayer, seeded: SeededPayment, database: Documents) -> None:
        """A document that claims to know more events than there are keeps what it says."""
        stage.create(seeded)
        ahead_of_us = {"gateway.version": 1_000, "status": "from the future"}
        database["payments"].update_one({"_id": seeded.payment}, {"$set": ahead_of_us})
        before = ours(database)
        assert replay(replayer)["counts"]["newer"] >= 1
        assert ours(database) == before

    def test_missing(self, stage: Stage, replayer: Replayer, seeded: SeededPayment, database: Documents) -> None:
        """A document that the CMS has deleted is counted and not made again."""
        stage.create(seeded)
        database["payments"].delete_one({"_id": seeded.payment})
        assert replay(replayer)["counts"]["missing"] >= 1
        assert database["payments"].count_documents({}) == 0

    def test_unknown_event(self, stage: Stage, replayer: Replayer, seeded: SeededPayment, database: Documents) -> None:
        """Half a history decides nothing: a payment with an event of an unknown kind is left alone; others are not."""
        other = seed_payment(database)
        for one in (seeded, other):
            stage.create(one)
        database["payment_events"].update_one(
            {"payment_id": seeded.payment, "version": 2}, {"$set": {"type": "AttemptImagined"}}
        )
        damage(database, [seeded.payment, other.payment])
        before = ours(database)[seeded.payment]
        counts = replay(replayer)["counts"]
        assert counts["unreadable"] >= 1
        assert counts["mended"] == 1
        assert ours(database)[seeded.payment] == before


class TestRange:
    """A replay may be confined to payments to which something happened within a stretch of time."""

    def test_within(self, replayer: Replayer, database: Documents) -> None:
        """Only those are looked at, each over its whole history."""
        made = stored(database, 600)
        hurt = made[40:50]
        damage(database, [one.payment_id for one in (*hurt, made[0], made[-1])])
        since, until = hurt[0].events[-1].recorded_at, hurt[-1].events[0].recorded_at + timedelta(milliseconds=1)
        span = Span(since, until)
        row = replay(replayer, span=span)
        touched = [one for one in made if any(since <= event.recorded_at < until for event in one.events)]
        assert row["counts"]["payments"] == len(touched)
        assert row["counts"]["events"] == sum(len(one.events) for one in touched)
        assert row["counts"]["mended"] == len(hurt)
        assert replay(replayer, dry_run=True)["counts"]["differing"] == 2

    def test_ends(self, replayer: Replayer, database: Documents) -> None:
        """Either end may be open."""
        made = stored(database, 200)
        middle = LONG_AGO + timedelta(seconds=10)
        older, younger = (
            replay(replayer, span=span)["counts"]["payments"] for span in (Span(None, middle), Span(middle))
        )
        assert 0 < older < len(made)
        assert 0 < younger < len(made)
        assert older + younger >= len(made)

    def test_complete(self, stage: Stage, replayer: Replayer, database: Documents) -> None:
        """A replay says up to when it is complete: no event recorded before that can still be committed."""
        stored(database, 20)
        now = stage.clock.now
        assert replay(replayer)["complete_to"] == now - timedelta(seconds=90)
        assert replay(replayer, span=Span(None, LONG_AGO))["complete_to"] == LONG_AGO

    def test_senseless(self, replayer: Replayer) -> None:
        """No such projection, or an end before the beginning: refused by name, and nothing is noted."""
        with pytest.raises(InvalidArgument, match="projection: expected one of cms_payments, contracts"):
            replayer.begin(ReplayTerms("imagined", EVERYTHING, True, "tests"))  # noqa: FBT003 - dry
        with pytest.raises(InvalidArgument, match="range"):
            replayer.begin(ReplayTerms("contracts", Span(LONG_AGO, LONG_AGO), True, "tests"))  # noqa: FBT003 - dry
        with pytest.raises(InvalidArgument, match="replay_id"):
            replayer.go_on("replay-imagined")
        assert replayer.rows.count_documents({}) == 0


class TestGoingOn:
    """A replay that was interrupted goes on where it was."""

    def test_resumed(
        self, stage: Stage, replayer: Replayer, database: Documents, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Piece by piece, each in another process, it comes to the same, and reads nothing twice."""
        monkeypatch.setattr("payments.replay_scan.STRETCH", 100)
        made = stored(database, 500)
        before = ours(database)
        damage(database, [one.payment_id for one in made[::5]])
        replay_id = replayer.begin(ReplayTerms("cms_payments", EVERYTHING, False, "tests"))  # noqa: FBT003 - not dry
        runs = 0
        while replayer.row(replay_id)["phase"] != Phase.DONE:
            stage.another_world().replayer.go_on(replay_id, 0)
            runs += 1
        counts = replayer.row(replay_id)["counts"]
        assert runs >= 5
        assert counts["events"] == sum(len(one.events) for one in made)
        assert counts["payments"] == len(made)
        assert counts["mended"] == len(made[::5])
        assert ours(database) == before
        assert replayer.go_on(replay_id)["counts"] == counts

    def test_two_at_once(self, stage: Stage, replayer: Replayer, database: Documents) -> None:
        """Of two that go on with one replay at the same time, one stops; the other is not disturbed."""
        stored(database, 50)
        replay_id = replayer.begin(ReplayTerms("cms_payments", EVERYTHING, False, "tests"))  # noqa: FBT003 - not dry
        other = stage.another_world().replayer

        def elsewhere(_: Piece) -> None:
            other.go_on(replay_id)

        with pytest.raises(ReplayTaken):
            replayer.go_on(replay_id, watch=elsewhere)
        assert replayer.row(replay_id)["phase"] == Phase.DONE

    def test_broken_off(self, replayer: Replayer, database: Documents) -> None:
        """An error in the middle leaves the position where everything before it is done."""
        made = stored(database, 50)
        replay_id = replayer.begin(ReplayTerms("cms_payments", EVERYTHING, False, "tests"))  # noqa: FBT003 - not dry

        def interrupt(_: Piece) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            replayer.go_on(replay_id, watch=interrupt)
        assert replayer.row(replay_id)["position"] == made[-1].payment_id


class TestNoReaction:
    """A replay tells nobody anything."""

    def test_nobody_hears(self, stage: Stage, database: Documents, monkeypatch: pytest.MonkeyPatch) -> None:
        """Paid payments are mended: no delivery row changes, no message is sent, no connection leaves the database."""
        for telling in islice(tellings(seed=11), 12):
            live(stage.world.store, seed_payment(database).payment_id, telling.groups)
        deliveries = list(database[DELIVERIES].find().sort("_id", 1))
        assert {one["handler"] for one in deliveries} >= {"email_client", "notify_cms"}
        damage(database, [one["_id"] for one in database["payments"].find()])
        stage.messages.clear()
        tried = no_way_out(monkeypatch, database)
        fresh = stage.another_world()
        assert replay(fresh.replayer)["counts"]["mended"] == 12
        replay(fresh.replayer, "contracts")
        assert (tried, stage.messages) == ([], [])
        assert list(database[DELIVERIES].find().sort("_id", 1)) == deliveries

    def test_way_out_is_shut(self, database: Documents, monkeypatch: pytest.MonkeyPatch, redis_url: str) -> None:
        """The guard of the test above does stop who wants out."""
        import redis  # noqa: PLC0415 - a client of something that is there

        tried = no_way_out(monkeypatch, database)
        with pytest.raises(redis.exceptions.ConnectionError):
            redis.Redis.from_url(redis_url).ping()
        assert tried


def react(stage: Stage) -> None:
    """Do what workers do with the messages that were sent."""
    for name, arguments in stage.messages:
        if name == "events.handle" and arguments["handler"] == "recount_contract":
            stage.world.reactor.handle(**arguments)


class TestContracts:
    """The statuses of contracts are counted anew."""

    def test_recounted(self, stage: Stage, replayer: Replayer, database: Documents) -> None:
        """A contract whose status is wrong gets the right one; one that is right is not even touched."""
        wrong, right, unpaid = (seed_payment(database) for _ in range(3))
        for one in (wrong, right):
            stage.paid(one)
            react(stage)
        stage.create(unpaid)
        database["contracts"].update_one({"_id": wrong.contract}, {"$set": {"status": "active"}})
        before = {one["_id"]: one for one in database["contracts"].find()}
        row = replay(replayer, "contracts", dry_run=True)
        assert row["counts"] == {"payments": 3, "events": 13, "differing": 1}
        assert {one["_id"]: one for one in database["contracts"].find()} == before
        stage.clock.advance(5)
        row = replay(replayer, "contracts")
        assert row["counts"]["mended"] == 1
        assert row["samples"][0]["fields"] == [["status", "active", "paid"]]
        after = {one["_id"]: one for one in database["contracts"].find()}
        assert after[wrong.contract]["status"] == "paid"
        assert {name: after[name] for name in (right.contract, unpaid.contract)} == {
            name: before[name] for name in (right.contract, unpaid.contract)
        }
