from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from pymongo.database import Database

from payments.accepting import ChargeTerms, InvoiceTerms
from payments.allowance import Action
from payments.comparing import MOVING, LedgerComparer
from payments.comparison import TOO_EARLY, Finding, Kind
from payments.comparison_run import ComparisonRun, RunTerms
from payments.comparison_window import payments_within, pipeline
from payments.corrections import Judged, Standing
from payments.errors import NotYet
from payments.operations import Status
from payments.patience import PARKED, Patience
from paytabs.answers import Answer, Outcome
from tasks.wiring import World, build_world
from tests.integration.payments.stage import (
    DECLINED,
    HELD,
    PAID,
    PENDING,
    SETTLED_SECONDS,
    BetweenAnswerAndBooking,
    Interrupted,
    Stage,
)
from tests.support.cms import SeededPayment, seed_payment

Document = dict[str, Any]
DAY = 86_400.0


class Compared:
    """A finished run."""

    def __init__(self, run: ComparisonRun) -> None:
        self.run, self.run_id = run, run.run_id
        with run:
            self.results = list(run)
        self.record = run.record()

    @property
    def judged(self) -> list[Judged]:
        """All that was found."""
        return [one for _, results in self.results for one in results]

    @property
    def found(self) -> list[tuple[Kind, str | None, Standing | None]]:
        """What does not agree: kind, reference and what became of it."""
        rest = [one for one in self.judged if one.finding.kind is not Kind.AGREEING]
        return [(one.finding.kind, one.finding.tran_ref, one.standing) for one in rest]

    @property
    def finding(self) -> Finding:
        """The one thing that does not agree."""
        (one,) = (one.finding for one in self.judged if one.finding.kind is not Kind.AGREEING)
        return one


def compare(stage: Stage, *, apply: bool = False, since: float = DAY, world: World | None = None) -> Compared:
    """Compare all payments of the last day, or of as many seconds."""
    used = world or stage.world
    comparer = LedgerComparer(
        used.store, used.ledger, used.reconciler, stage.clock,
        timedelta(seconds=used.settings.lease_seconds), Patience(0.5),
    )  # fmt: skip
    now = stage.clock.now
    terms = RunTerms(now - timedelta(seconds=since), now + timedelta(seconds=1), "omar", "monthly", apply)
    return Compared(ComparisonRun(used.db, comparer, terms, clock=stage.clock))


def everything(database: Database[Document]) -> dict[str, list[Document]]:
    """Return all that stands in the database but the records of the runs."""
    names = set(database.list_collection_names()) - {"reconciliations"}
    return {name: list(database[name].find().sort("_id", 1)) for name in names}


class Talkative(BetweenAnswerAndBooking):
    """The real gateway client, something that happens at every query by reference, and what is said instead of it."""

    def __init__(self, stage: Stage, happening: Callable[[], None], instead: list[Answer]) -> None:
        super().__init__(stage.settings, happening)
        self._instead = instead

    def query_tran(self, tran_ref: str, *, correlation_id: str | None = None) -> Answer:
        """Ask about a transaction, and let it happen before the answer is read."""
        answer = super().query_tran(tran_ref, correlation_id=correlation_id)
        self._happening()
        return self._instead.pop() if self._instead else answer


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


#: What is made of a paid page, and what is done to it then.
LIVES: list[tuple[str, list[tuple[Action, str | None]]]] = [
    ("sale", [("refund", "40.00"), ("refund", "75.00")]),
    ("auth", [("capture", "40.00"), ("capture", "60.00"), ("release", None), ("refund", "40.00")]),
    ("auth", [("void", None)]),
    ("auth", [("release", "15.00")]),
    ("register", []),
]


def lively(stage: Stage) -> None:
    """Have payments come to all that a payment can come to, in the ordinary way."""
    for transaction, acts in LIVES:
        seeded = seed_payment(stage.database)
        stage.paid(seeded, transaction)
        for number, (action, amount) in enumerate(acts):
            captured = [one["tran_ref"] for one in stage.sandbox.ledger() if one["tran_type"] == "Capture"]
            on = captured[0] if (transaction, action) == ("auth", "refund") else None
            stage.follow_up(seeded, action, amount, operation_id=f"{action}-{seeded.payment_id}-{number}", tran_ref=on)
    for card in (DECLINED, HELD, PENDING, "error", "expired", None):
        seeded = seed_payment(stage.database)
        tran_ref = stage.open_page(seeded)
        if card:
            stage.sandbox.pay(tran_ref, card)
            stage.verify(seeded)
    other_ways(stage)


def other_ways(stage: Stage) -> None:
    """Have a retried payment, an invoice, a stored card and a waiting refund."""
    retried, billed, stored, waiting = (seed_payment(stage.database) for _ in range(4))
    stage.sandbox.cancel(stage.open_page(retried))
    stage.verify(retried)
    stage.clock.advance(1)
    stage.paid(retried)
    lines = {"line_items": [{"description": "All", "quantity": "1", "unit_cost": "115.00", "total": "115.00"}]}
    stage.world.invoices.create(billed.payment_id, InvoiceTerms(lines), "bill-1", stage.context())
    stage.world.invoices.mark_paid(billed.payment_id, "banktransfer", "at the bank", "mark-1", stage.context())
    kept = stage.desk("token", card=PAID)
    terms = ChargeTerms("charge_token", kept["token"], payer_present=False, origin=kept["tran_ref"])
    stage.world.money.charge(stored.payment_id, terms, "charge-1", stage.context())
    stage.paid(waiting)
    stage.sandbox.switch(refund_approval="manual")
    stage.follow_up(waiting, "refund", "15.00", operation_id="waits-1")


class TestAgreeing:
    """Ordinary payments, whatever has become of them."""

    def test_all(self, stage: Stage) -> None:
        """Every entry agrees, however PayTabs shows what is not there; nothing is written, not even when asked to."""
        lively(stage)
        known = everything(stage.database)
        for switches in ({}, {"query_unpaid_page": "error", "query_unknown": "error"}):
            stage.sandbox.switch(**switches)
            compared = compare(stage, apply=True)
            assert compared.found == []
            assert not compared.run.differs
            assert not compared.run.unanswered
            assert compared.record["counts"]["compared"] == compared.record["counts"]["payments"] == 15
            assert compared.record["counts"]["agreeing"] > 20
        assert everything(stage.database) == known

    def test_each_question_once(self, stage: Stage, seeded: SeededPayment) -> None:
        """Each reference and each cart is asked about once."""
        stage.paid(seeded)
        stage.follow_up(seeded, "refund", "40.00")
        asked = len(stage.queries())
        compare(stage)
        new = [(one.get("tran_ref"), one.get("cart_id")) for one in stage.queries()[asked:]]
        assert len(new) == len(set(new)) == 4


class TestOnlyTheirs:
    """What PayTabs has and we never heard of."""

    def test_dashboard_refund(self, stage: Stage, seeded: SeededPayment) -> None:
        """A refund at the desk whose notice was lost is found, and nothing is changed without being asked to."""
        tran_ref = stage.paid(seeded)
        refund = stage.sandbox.dashboard(tran_ref, "refund", amount="40.00")["tran_ref"]
        known = everything(stage.database)
        compared = compare(stage)
        assert compared.found == [(Kind.ONLY_THEIRS, refund, Standing.OPEN)]
        assert compared.run.differs
        assert everything(stage.database) == known

    def test_corrected(self, stage: Stage, seeded: SeededPayment) -> None:
        """Recorded, with its cause, it is in the payment, in its projection, and agrees from then on."""
        tran_ref = stage.paid(seeded)
        refund = stage.sandbox.dashboard(tran_ref, "refund", amount="40.00")["tran_ref"]
        compared = compare(stage, apply=True)
        assert compared.found == [(Kind.ONLY_THEIRS, refund, Standing.CORRECTED)]
        assert not compared.run.differs
        assert (stage.state(seeded), stage.cms(seeded)["gateway"]["refunded"]) == ("PART_REFUNDED", "40.00")
        told = [event for event in stage.world.service.history(seeded.payment_id) if event["source"] == "reconcile"]
        assert [event["type"] for event in told] == ["TransactionObserved", "PaymentPartRefunded"]
        assert {(event["causation_id"], event["requested_by"]) for event in told} == {(compared.run_id, "omar")}
        known = everything(stage.database)
        assert compare(stage, apply=True).found == []
        assert everything(stage.database) == known

    def test_dashboard_capture(self, stage: Stage, seeded: SeededPayment) -> None:
        """A capture at the desk makes the payment paid."""
        tran_ref = stage.paid(seeded, "auth")
        capture = stage.sandbox.dashboard(tran_ref, "capture")["tran_ref"]
        assert compare(stage, apply=True).found == [(Kind.ONLY_THEIRS, capture, Standing.CORRECTED)]
        assert (stage.state(seeded), stage.cms(seeded)["status"]) == ("PAID", "paid")

    def test_dashboard_void(self, stage: Stage, seeded: SeededPayment) -> None:
        """A void at the desk changes the original as well; both are corrected together."""
        tran_ref = stage.paid(seeded)
        void = stage.sandbox.dashboard(tran_ref, "void")["tran_ref"]
        assert compare(stage, apply=True).found == [
            (Kind.DIFFERING, tran_ref, Standing.CORRECTED), (Kind.ONLY_THEIRS, void, Standing.CORRECTED),
        ]  # fmt: skip
        assert (stage.state(seeded), stage.cms(seeded)["status"]) == ("VOIDED", "failed")
        assert compare(stage).found == []

    def test_lost_answer(self, stage: Stage, seeded: SeededPayment) -> None:
        """A refund whose answer was lost is found under its cart, and its operation ends with it."""
        stage.paid(seeded)
        stage.sandbox.fault("/payment/request", "cut_after_accept")
        with pytest.raises(NotYet):
            stage.follow_up(seeded, "refund", "40.00", operation_id="op-1")
        finding = compare(stage).finding
        assert (finding.kind, finding.operation_id) == (Kind.ONLY_THEIRS, "op-1")
        compare(stage, apply=True)
        assert stage.row(seeded).status is Status.SUCCEEDED
        assert compare(stage).found == []

    def test_adopted(self, stage: Stage, seeded: SeededPayment) -> None:
        """A refund at the desk of a payment that the CMS's old code began is found under that code's cart."""
        tran_ref = stage.paid(seeded)
        for name in ("payment_events", "payment_operations"):
            stage.database[name].delete_many({})
        left = {"$set": {"transR": tran_ref, "status": "paid"}, "$unset": {"gateway": ""}}
        stage.database["payments"].update_one({"_id": seeded.payment}, left)
        stage.verify(seeded)
        refund = stage.sandbox.dashboard(tran_ref, "refund")["tran_ref"]
        assert compare(stage, apply=True).found == [(Kind.ONLY_THEIRS, refund, Standing.CORRECTED)]
        assert stage.state(seeded) == "REFUNDED"


class TestOnlyOurs:
    """What we have and PayTabs does not show."""

    def test_unknown_to_paytabs(self, stage: Stage, seeded: SeededPayment) -> None:
        """At first it may be a query that lags; then it is only ours, and a human is called, once."""
        tran_ref = stage.paid(seeded)
        stage.sandbox.reset()
        early = compare(stage, apply=True)
        assert (early.finding.kind, early.finding.detail) == (Kind.UNANSWERED, TOO_EARLY)
        stage.clock.advance(SETTLED_SECONDS + 1)
        assert compare(stage).found == [(Kind.ONLY_OURS, tran_ref, Standing.OPEN)]
        assert compare(stage, apply=True).found == [(Kind.ONLY_OURS, tran_ref, Standing.REVIEW)]
        (case,) = stage.world.review.cases(seeded.payment_id)
        assert case.reason == f"{tran_ref}: PayTabs does not show it"
        assert case.evidence == ("ours: sale A 115.00 SAR; PayTabs': nothing",)
        assert case.reason in stage.alerts()["payment_review"]
        assert stage.state(seeded) == "PAID"
        known = everything(stage.database)
        again = compare(stage, apply=True)
        assert again.found == [(Kind.ONLY_OURS, tran_ref, Standing.REVIEW)]
        assert again.run.differs
        assert everything(stage.database) == known

    def test_settled(self, stage: Stage, seeded: SeededPayment) -> None:
        """Once a human has closed the case it is still told, and does not count any more."""
        tran_ref = stage.paid(seeded)
        stage.sandbox.reset()
        stage.clock.advance(SETTLED_SECONDS + 1)
        compare(stage, apply=True)
        (case,) = stage.world.review.cases(seeded.payment_id)
        stage.world.review.settle(seeded.payment_id, case.reason, "PayTabs lost it", stage.context())
        compared = compare(stage, apply=True)
        assert compared.found == [(Kind.ONLY_OURS, tran_ref, Standing.SETTLED)]
        assert not compared.run.differs
        assert not compared.run.unanswered

    def test_phantom(self, stage: Stage, seeded: SeededPayment) -> None:
        """An operation booked as succeeded of which PayTabs shows nothing is only ours."""
        stage.paid(seeded)
        stage.sandbox.fault("/payment/request", "http_500")
        with pytest.raises(NotYet):
            stage.follow_up(seeded, "refund", "40.00", operation_id="op-1")
        stage.database["payment_operations"].update_one({"_id": "op-1"}, {"$set": {"status": "succeeded"}})
        finding = compare(stage).finding
        assert (finding.kind, finding.tran_ref, finding.operation_id) == (Kind.ONLY_OURS, None, "op-1")
        compare(stage, apply=True)
        assert "operation op-1: PayTabs does not show it" in stage.get(seeded).review


class TestDiffering:
    """The same transaction, otherwise."""

    def test_lost_notice(self, stage: Stage, seeded: SeededPayment) -> None:
        """A page that was paid without our hearing of it is paid once the answer is applied."""
        tran_ref = stage.open_page(seeded)
        stage.sandbox.pay(tran_ref, PAID)
        finding = compare(stage).finding
        assert (finding.kind, finding.tran_ref, finding.fields) == (Kind.DIFFERING, tran_ref, ("status",))
        assert stage.state(seeded) == "AWAITING_PAYER"
        assert compare(stage, apply=True).found == [(Kind.DIFFERING, tran_ref, Standing.CORRECTED)]
        assert (stage.state(seeded), stage.row(seeded).open, stage.cms(seeded)["status"]) == ("PAID", False, "paid")
        assert compare(stage).found == []

    def test_altered(self, stage: Stage, seeded: SeededPayment) -> None:
        """Another amount in our events than PayTabs has cannot be mended by its word: a human is called."""
        tran_ref = stage.paid(seeded)
        stage.database["payment_events"].update_many({"data.tran_ref": tran_ref}, {"$set": {"data.amount": "150.00"}})
        stage.clock.advance(SETTLED_SECONDS + 1)
        assert compare(stage, apply=True).found == [(Kind.DIFFERING, tran_ref, Standing.REVIEW)]
        assert f"{tran_ref}: PayTabs' ledger differs" in stage.get(seeded).review
        known = everything(stage.database)
        assert compare(stage, apply=True).found == [(Kind.DIFFERING, tran_ref, Standing.REVIEW)]
        assert everything(stage.database) == known


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
