from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, OperationFailure

from payments.facts import PaymentCreated, ReviewRaised, TransactionObserved
from payments.operations import Status, due_by
from payments.store import Change
from tests.integration.payments.stage import PAID, Stage
from tests.support.cms import SeededPayment, seed_payment
from tests.support.reasons import about
from tests.support.writers import Writers


class TestStream:
    """A payment's events are one chain, whoever writes at the same time."""

    def test_twenty_writers(self, stage: Stage, seeded: SeededPayment) -> None:
        """20 writers in four workers, 10 appends each: no gap, none lost or doubled, the chain of hashes whole."""
        stage.create(seeded)
        crowd = Writers([stage.world, *(stage.another_world() for _ in range(3))], seeded.payment_id)
        crowd.write(writers=20, appends=10)
        history = stage.world.store.load(seeded.payment_id)
        assert crowd.gaps(history) == []
        assert crowd.lost(history) == []
        assert stage.facts(seeded).count("ReviewRaised") == 200
        assert stage.cms(seeded)["gateway"]["version"] == len(history)
        assert len(stage.cms(seeded)["gateway"]["review"]) == 200

    def test_known_fact(self, stage: Stage, seeded: SeededPayment) -> None:
        """What is known already adds no event and writes nothing to the CMS."""
        claim = ReviewRaised(**about("once"), evidence="")
        for _ in range(2):
            stage.world.store.change(seeded.payment_id, stage.context(), lambda change: change.record(claim))
            updated = stage.cms(seeded)["updatedAt"]
            stage.clock.advance(5)
        assert stage.facts(seeded).count("ReviewRaised") == 1
        assert stage.cms(seeded)["updatedAt"] == updated

    def test_work_runs_again(self, stage: Stage, seeded: SeededPayment) -> None:
        """A writer that loses the race decides again on what the winner left."""
        seen: list[int] = []
        other = stage.another_world()
        created = PaymentCreated(amount="1.00", currency="SAR", profile_id=1)

        def work(change: Change) -> None:
            seen.append(len(change.history))
            if len(seen) == 1:
                other.store.change(seeded.payment_id, stage.context(), lambda change: change.record(created))
            change.record(ReviewRaised(**about("mine"), evidence=""))

        stage.world.store.change(seeded.payment_id, stage.context(), work)
        assert seen[0] == 0
        assert seen[-1] >= 1
        assert stage.facts(seeded)[0] == "PaymentCreated"
        assert stage.facts(seeded).count("ReviewRaised") == 1

    def test_rolled_back(self, stage: Stage, seeded: SeededPayment) -> None:
        """What an earlier try has read and a new primary does not know is not built upon."""
        stage.create(seeded)
        events, seen = stage.database["payment_events"], []

        def work(change: Change) -> None:
            seen.append(len(change.history))
            if len(seen) == 1:
                assert events.delete_one({"payment_id": seeded.payment, "version": change.history[-1].version})
                elected = OperationFailure("a new primary")
                elected._add_error_label("TransientTransactionError")
                raise elected
            change.record(ReviewRaised(**about("mine"), evidence=""))

        stage.world.store.change(seeded.payment_id, stage.context(), work)
        assert seen == [3, 2]
        assert stage.facts(seeded) == ["PaymentCreated", "AttemptStarted", "ReviewRaised", "PaymentFlagged"]

    def test_concurrent_answers(self, stage: Stage, seeded: SeededPayment) -> None:
        """Query, notice and poll of one charge at the same moment book it once."""
        tran_ref = stage.open_page(seeded)
        stage.sandbox.pay(tran_ref, PAID)
        acts = [lambda: stage.verify(seeded), lambda: stage.notice(tran_ref), lambda: stage.poll(seeded)] * 3
        with ThreadPoolExecutor(9) as threads:
            for done in [threads.submit(act) for act in acts]:
                done.result()
        assert stage.facts(seeded).count("PaymentCompleted") == 1
        assert stage.get(seeded).captured == "115.00"

    def test_cms_writes_too(self, stage: Stage, seeded: SeededPayment) -> None:
        """The CMS saving its own fields at the same time loses nothing, and neither do we."""

        def edit(number: int) -> None:
            stage.database["payments"].update_one({"_id": seeded.payment}, {"$inc": {"__v": 1}})
            claim = ReviewRaised(**about(str(number)), evidence="")
            stage.world.store.change(seeded.payment_id, stage.context(), lambda change: change.record(claim))

        with ThreadPoolExecutor(6) as threads:
            list(threads.map(edit, range(12)))
        assert (stage.cms(seeded)["__v"], len(stage.cms(seeded)["gateway"]["review"])) == (12, 12)


class TestLedger:
    """One open operation per payment, whoever writes."""

    def test_one_open(self, stage: Stage, seeded: SeededPayment) -> None:
        """The database itself refuses a second open row."""
        stage.create(seeded)
        row = stage.database["payment_operations"].find_one({"payment_id": seeded.payment})
        assert row is not None
        with pytest.raises(DuplicateKeyError):
            stage.database["payment_operations"].insert_one({**row, "_id": "second"})

    def test_claimed_once(self, stage: Stage) -> None:
        """A due row is handed to one sweep, and to the next one only after a while."""
        rows = [seed_payment(stage.database) for _ in range(3)]
        for seeded in rows:
            stage.create(seeded)
        stage.clock.advance(5)
        with ThreadPoolExecutor(4) as threads:
            claimed = list(threads.map(lambda _: stage.world.ledger.claim_due(stage.clock.now, 10), range(4)))
        assert sorted(row.payment_id for rows in claimed for row in rows) == sorted(one.payment_id for one in rows)
        stage.clock.advance(19)
        assert stage.world.ledger.claim_due(stage.clock.now, 10) == []
        stage.clock.advance(1)
        assert len(stage.world.ledger.claim_due(stage.clock.now, 2)) == 2

    def test_moved_on(self, stage: Stage, seeded: SeededPayment) -> None:
        """Who read a row before it was closed does not schedule it again."""
        tran_ref = stage.open_page(seeded)
        old = stage.row(seeded)
        stage.sandbox.pay(tran_ref, PAID)
        stage.verify(seeded)
        stage.world.ledger.reschedule(old, stage.clock.now)
        assert (stage.row(seeded).status, stage.row(seeded).due_at) == (Status.SUCCEEDED, None)

    def test_unknown_parent(self, stage: Stage, seeded: SeededPayment) -> None:
        """What acts on a transaction nobody has heard of makes a settled payment be asked about again."""
        stage.sandbox.pay(stage.open_page(seeded), PAID)
        stage.verify(seeded)
        assert stage.row(seeded).due_at is None
        refund = TransactionObserved(
            tran_ref="TST2", tran_type="refund", status="A", amount="1.00", currency="SAR", previous_tran_ref="TST1"
        )
        stage.world.store.change(seeded.payment_id, stage.context(), lambda change: change.record(refund))
        stage.live(5)
        assert {"profile_id": stage.settings.paytabs_profile, "tran_ref": "TST1"} in stage.queries()
        assert (stage.state(seeded), stage.get(seeded).refunded) == ("PAID", "0")

    def test_watched_again(self, stage: Stage, seeded: SeededPayment) -> None:
        """The row that is asked about again fits at once what the payment has come to while nobody watched it."""
        stage.sandbox.pay(stage.open_page(seeded), PAID)
        stage.verify(seeded)
        second = TransactionObserved(tran_ref="TST3", tran_type="sale", status="A", amount="115.00", currency="SAR")
        refund = TransactionObserved(
            tran_ref="TST2", tran_type="refund", status="A", amount="1.00", currency="SAR", previous_tran_ref="TST1"
        )
        for fact in (second, refund):
            stage.world.store.change(seeded.payment_id, stage.context(), _recording(fact))
        assert stage.row(seeded).due_at is not None
        assert stage.row(seeded).status is Status.REVIEW

    def test_indexes(self, stage: Stage, database: Database[dict[str, Any]]) -> None:
        """What runs on every sweep and every notice is found by index."""
        rows, events = database["payment_operations"], database["payment_events"]
        for cursor in (
            rows.find(due_by(stage.clock.now)).sort("due_at", 1),
            rows.find({"sends.cart_id": "nw-1"}),
            rows.find({"payment_id": seed_payment(database).payment, "open": True}),
            events.find({"data.tran_ref": "TST1"}),
            events.find({"payment_id": seed_payment(database).payment}).sort("version", 1),
        ):
            plan = repr(cursor.explain()["queryPlanner"]["winningPlan"])
            assert "IXSCAN" in plan
            assert "COLLSCAN" not in plan
            assert "'SORT'" not in plan


def _recording(fact: TransactionObserved) -> Callable[[Change], None]:
    """Return the work that records a fact."""
    return lambda change: change.record(fact)
