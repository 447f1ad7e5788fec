from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from payments.comparing import MOVING, LedgerComparer
from payments.comparison import Kind
from payments.comparison_run import ComparisonRun, RunTerms
from payments.comparison_window import payments_within, pipeline
from payments.patience import Patience
from paytabs.answers import PARKED, Answer, Outcome
from paytabs.breaker_rules import BreakerRules
from tasks.wiring import World, build_world
from tests.integration.payments.comparing import Talkative, compare
from tests.integration.payments.stage import (
    PAID,
    SETTLED_SECONDS,
    Interrupted,
    Stage,
)
from tests.support.cms import SeededPayment, seed_payment

DAY = 86_400.0


#: Makes a world in which something happens at every query by reference, or something else is said.
Make = Callable[..., World]


@pytest.fixture
def talkative(stage: Stage) -> Iterator[Make]:
    """Makes such worlds."""
    worlds: list[World] = []

    def make(happening: Callable[[], None] = lambda: None, instead: list[Answer] | None = None) -> World:
        gateway = Talkative(stage, happening, instead or [])
        worlds.append(build_world(stage.settings, clock=stage.clock, gateway=gateway))
        return worlds[-1]

    yield make
    for one in worlds:
        one.close()


class TestUnanswered:
    """What PayTabs did not say."""

    def test_errors(self, stage: Stage, seeded: SeededPayment) -> None:
        """Error pages count as unanswered: neither as equal nor as only ours."""
        stage.paid(seeded)
        stage.clock.advance(SETTLED_SECONDS + 1)
        stage.sandbox.fault("/payment/query", "html_200", times=0)
        compared = compare(stage, apply=True)
        assert {(kind, standing) for kind, _, standing in compared.found} == {(Kind.UNANSWERED, None)}
        assert compared.run.counts[Kind.AGREEING] == 0
        assert compared.run.unanswered
        assert not compared.run.differs
        assert "ReviewRaised" not in stage.facts(seeded)

    def test_one_question(self, stage: Stage, seeded: SeededPayment) -> None:
        """One question without an answer leaves the others standing."""
        tran_ref = stage.paid(seeded)
        cart = stage.row(seeded).cart_id
        stage.sandbox.fault("/payment/query", "html_200", times=0, match={"cart_id": cart})
        compared = compare(stage)
        assert compared.run.counts[Kind.AGREEING] == 1
        assert compared.finding.question is not None
        assert (compared.finding.question.value, compared.finding.tran_ref) == (cart, None)
        assert tran_ref not in {ref for _, ref, _ in compared.found}

    def test_refused_key(self, stage: Stage) -> None:
        """A refused key ends the run with the first payment."""
        for _ in range(3):
            stage.paid(seed_payment(stage.database))
        stage.sandbox.fault("/payment/query", "code", times=0, code=1, http_status=401)
        asked = len(stage.queries())
        compared = compare(stage)
        assert len(stage.queries()) - asked == 1
        assert (compared.record["complete"], compared.record["counts"]["compared"]) == (False, 1)

    def test_parked(self, stage: Stage, seeded: SeededPayment, talkative: Make) -> None:
        """A question that may not be asked now is asked again when its turn has come."""
        stage.paid(seeded)
        parked = [Answer(Outcome.DID_NOT_HAPPEN, PARKED, retry_after_seconds=0.05) for _ in range(3)]
        compared = compare(stage, world=talkative(instead=parked))
        assert compared.found == []
        assert (parked, compared.run.unanswered) == ([], False)

    def test_open_breaker(self, stage: Stage) -> None:
        """A run that finds the breaker open waits until PayTabs may be asked again, and then compares everything."""
        payments = [seed_payment(stage.database) for _ in range(3)]
        for seeded in payments:
            stage.paid(seeded)
        world = stage.another_world(breaker=BreakerRules(open_seconds=0.3, jitter_seconds=0))
        for _ in range(5):
            with world.gateway.gate.passage("query") as permit:
                permit.record(ok=False)
        assert world.reconciler.ask_cart("nw-1", stage.context()).detail == PARKED
        compared = compare(stage, world=world, patience=20)
        assert (compared.found, compared.run.unanswered, compared.run.counts["compared"]) == ([], False, 3)


class TestMoving:
    """Payments live on while they are compared."""

    def test_looked_at_again(self, stage: Stage, seeded: SeededPayment, talkative: Make) -> None:
        """A payment that moved on between our look and PayTabs' answer is looked at again."""
        tran_ref = stage.open_page(seeded)
        stage.sandbox.pay(tran_ref, PAID)

        def verify() -> None:
            stage.verify(seeded)

        compared = compare(stage, world=talkative(verify), apply=True)
        assert compared.found == []
        assert not [one for one in stage.world.service.history(seeded.payment_id) if one["source"] == "reconcile"]

    @pytest.mark.parametrize("apply", [False, True])
    def test_never_still(
        self, stage: Stage, seeded: SeededPayment, talkative: Make,
        apply: bool,
    ) -> None:  # fmt: skip
        """Nothing is concluded of one that moves on every time."""
        tran_ref = stage.paid(seeded)

        def act() -> None:
            stage.sandbox.dashboard(tran_ref, "refund", amount="1.00")
            stage.notice(stage.sandbox.dashboard(tran_ref, "refund", amount="1.00")["tran_ref"])

        finding = next(one for one in compare(stage, world=talkative(act), apply=apply).judged if one.finding.detail)
        assert (finding.finding.kind, finding.finding.detail, finding.standing) == (Kind.UNANSWERED, MOVING, None)


class TestWindow:
    """Which payments are compared."""

    def test_since(self, stage: Stage) -> None:
        """Those to which something happened, each once, by the first thing that happened, the oldest first."""
        old, early, late = (seed_payment(stage.database) for _ in range(3))
        stage.paid(old)
        stage.clock.advance(2 * DAY)
        began = stage.clock.now
        stage.paid(late)
        stage.clock.advance(-60)
        stage.paid(early)
        stage.clock.advance(120)
        stage.follow_up(late, "refund", "1.00")
        with payments_within(stage.database, began - timedelta(hours=1), stage.clock.now + timedelta(1)) as listed:
            assert len(listed) == 2
            assert list(listed) == list(listed) == [early.payment_id, late.payment_id]
        with payments_within(stage.database, began + timedelta(seconds=1), stage.clock.now + timedelta(1)) as listed:
            assert list(listed) == [late.payment_id]
        with payments_within(stage.database, began - timedelta(7), began - timedelta(1)) as listed:
            assert list(listed) == [old.payment_id]

    def test_operation_alone(self, stage: Stage, seeded: SeededPayment) -> None:
        """An operation that was accepted and never sent has no event, and counts."""
        stage.paid(seeded)
        stage.clock.advance(2 * DAY)
        row = stage.row(seeded)
        stage.database["payment_operations"].update_one(
            {"_id": row.operation_id}, {"$set": {"created_at": stage.clock.now}}
        )
        with payments_within(stage.database, stage.clock.now, stage.clock.now + timedelta(1)) as listed:
            assert list(listed) == [seeded.payment_id]

    def test_indexes(self, stage: Stage) -> None:
        """Neither collection is read whole for it."""
        stages = pipeline(stage.clock.now - timedelta(1), stage.clock.now)
        plan = repr(stage.database.command("explain", {
            "aggregate": "payment_events", "pipeline": stages, "cursor": {},
        }, verbosity="queryPlanner"))  # fmt: skip
        assert "IXSCAN" in plan
        assert "COLLSCAN" not in plan


class TestRecord:
    """The run itself is kept."""

    def test_kept(self, stage: Stage, seeded: SeededPayment) -> None:
        """Who compared what since when, why, whether it was applied, and the counts."""
        tran_ref = stage.paid(seeded)
        stage.sandbox.dashboard(tran_ref, "refund", amount="40.00")
        compared = compare(stage, apply=True)
        record = stage.database["reconciliations"].find_one({"_id": compared.run_id})
        assert record == compared.record
        assert record is not None
        assert (record["by"], record["note"], record["applied"], record["complete"]) == ("omar", "monthly", True, True)
        assert record["counts"] == {
            "payments": 1, "compared": 1, "agreeing": 1, "only_ours": 0, "only_theirs": 1, "differing": 0,
            "unanswered": 0, "open": 0, "corrected": 1, "review": 0, "settled": 0,
        }  # fmt: skip
        assert record["started_at"] == record["ended_at"]

    def test_interrupted(self, stage: Stage) -> None:
        """A run that is broken off leaves its record, with what it came to."""
        for _ in range(2):
            stage.paid(seed_payment(stage.database))
        comparer = LedgerComparer(
            stage.world.store, stage.world.ledger, stage.world.reconciler, stage.clock, timedelta(30), Patience(1)
        )
        now = stage.clock.now
        run = ComparisonRun(
            stage.database, comparer, RunTerms(now, now + timedelta(1), "omar"), clock=stage.clock
        )  # fmt: skip
        with pytest.raises(Interrupted):
            _break_off(run)
        record = run.record()
        assert (record["complete"], record["counts"]["compared"], record["counts"]["payments"]) == (False, 1, 2)
        assert record["ended_at"]


def _break_off(run: ComparisonRun) -> None:
    """Compare one payment, and no more."""
    with run:
        next(iter(run))
        raise Interrupted
