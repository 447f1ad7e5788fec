from typing import Any

import pytest
from pymongo.errors import DuplicateKeyError

from aggregations.index_facts import BY_ID, CMS_COLLECTIONS
from aggregations.index_sync import IndexBuilder
from payments.errors import GuardMissing, NotYet
from payments.operations import Status
from tasks.alert_checks import INDEX_MISSING
from tasks.alert_tending import tell_of_indexes, tend
from tasks.indexing import SyncTerms, carry_out, plan_now
from tasks.own_indexes import OWN, missing, standing_of
from tasks.wiring import build_world, ensure_indexes
from tests.integration.payments.stage import Stage
from tests.support.cms import SeededPayment, seed_payment


def sync(stage: Stage) -> dict[str, str]:
    """Do what `indexes sync` does; return what was refused."""
    world = stage.world
    builder = IndexBuilder(world.db)
    report = carry_out(builder, plan_now(world.db), SyncTerms(), world.trail, stage.context(), reason="a test")
    return report.refused


def told(stage: Stage) -> dict[str, str]:
    """Look at the indexes as the schedule does; return the open alerts by collection."""
    tell_of_indexes(stage.world)
    tend(stage.world, [INDEX_MISSING])
    return {
        row["key"]: row["detail"] for row in stage.database["alerts"].find({"name": INDEX_MISSING, "closed_at": None})
    }


@pytest.fixture(autouse=True)
def _whole_again(stage: Stage) -> Any:
    """Leave the shared database with all of its indexes."""
    yield
    for name in OWN:
        stage.database[name].delete_many({})
    ensure_indexes(stage.world)


class TestLookedAt:
    """The indexes of our own collections are looked at like the CMS's."""

    def test_all_declared(self, stage: Stage) -> None:
        """What a process makes at its start is what is declared, in every collection that is ours."""
        ensure_indexes(stage.world)
        assert missing(stage.database) == []
        ours = {name for name in stage.database.list_collection_names() if name not in CMS_COLLECTIONS}
        made = {
            f"{name}.{one['name']}"
            for name in ours
            for one in stage.database[name].list_indexes()
            if one["name"] != BY_ID
        }
        assert made == {one.full_name for one in standing_of(stage.database)}

    def test_each(self, stage: Stage) -> None:
        """Dropped, each is told of by name, built again by a sync, and the alerts close."""
        declared = standing_of(stage.database)
        for name in OWN:
            stage.database[name].drop_indexes()
        sentences = told(stage)
        assert [one.full_name for one in declared if f"{one.name} (missing)" not in sentences[one.collection]] == []
        assert sync(stage) == {}
        assert (told(stage), missing(stage.database)) == ({}, [])
        assert sync(stage) == {}

    def test_differs(self, stage: Stage) -> None:
        """An index that is not unique does not stand for one that is, and says so with what is in its way."""
        rows = stage.database["payment_operations"]
        rows.drop_index("one_open")
        rows.create_index("payment_id", name="one_open")
        assert told(stage) == {"payment_operations": "payment_operations: one_open (differs)"}
        assert "another index has the same name" in sync(stage)["payment_operations.one_open"]
        rows.drop_index("one_open")
        assert (sync(stage), told(stage)) == ({}, {})


class TestOneOpen:
    """Without what keeps a second operation out, no money is sent."""

    def test_accepted_before(self, stage: Stage, seeded: SeededPayment) -> None:
        """What was accepted waits, unsent, and goes out once the index is there again."""
        stage.paid(seeded)
        before = len(stage.rows(seeded)), len(stage.sandbox.requests("/payment/request"))
        accepted = stage.database["payment_operations"]
        accepted.drop_index("one_open")
        with pytest.raises(GuardMissing, match="one_open"):
            stage.follow_up(seeded, "refund", operation_id="r-1")
        assert (len(stage.rows(seeded)), len(stage.sandbox.requests("/payment/request"))) == before
        ensure_indexes(stage.world)
        assert stage.follow_up(seeded, "refund", operation_id="r-1").status == "succeeded"

    def test_sent(self, stage: Stage) -> None:
        """Each kind of send is held back: a row that is `new` stays so and is due again, its attempts unspent."""
        failed = []
        for transaction in ("sale", "auth", "register"):
            seeded = seed_payment(stage.database)
            with pytest.raises(NotYet, match="index_missing"):
                dropped_before_sending(stage, seeded, transaction)
            row = stage.row(seeded)
            if (row.status, row.attempts, row.sends) != (Status.NEW, 0, ()) or stage.sent():
                failed.append((transaction, row))
            ensure_indexes(stage.world)
            stage.live(80)
            if stage.row(seeded).status is not Status.PENDING:
                failed.append((transaction, stage.row(seeded)))
            stage.sandbox.reset()
        assert failed == []

    def test_start(self, stage: Stage, seeded: SeededPayment) -> None:
        """A process starts although two open rows stand in the index's way; they are told of, and nothing is sent."""
        rows = stage.database["payment_operations"]
        rows.drop_index("one_open")
        for name in ("a", "b"):
            rows.insert_one({"_id": name, "payment_id": seeded.payment, "open": True})
        with pytest.raises(DuplicateKeyError):
            stage.world.ledger.ensure_indexes()
        another = build_world(stage.settings, clock=stage.clock, database_clock=stage.clock)
        try:
            ensure_indexes(another)
            assert not another.ledger.keeps_one_open()
        finally:
            another.close()
        assert told(stage) == {"payment_operations": "payment_operations: one_open (missing)"}
        assert "documents have the same value" in sync(stage)["payment_operations.one_open"]
        rows.delete_one({"_id": "b"})
        assert (sync(stage), told(stage)) == ({}, {})


def dropped_before_sending(stage: Stage, seeded: SeededPayment, transaction: str) -> None:
    """Ask for a page, and have the index dropped between its row and its send."""
    ledger = stage.world.ledger
    looks = iter([True])
    keeps = ledger.keeps_one_open

    def look() -> bool:
        found = next(looks, None)
        if found is None:
            stage.database["payment_operations"].drop_index("one_open")
            del ledger.keeps_one_open
            return keeps()
        return keeps()

    ledger.keeps_one_open = look  # type: ignore[method-assign]
    stage.create(seeded, transaction=transaction)
